"""The spherical-mean family: V-SHARP, RESHARP, iSMV, and the filling of voxels that cannot be trusted."""

from itertools import product

import numpy as np
import pytest
import torch

from chiflow.background.filling import filled, masked_laplacian
from chiflow.background.ismv import ismv
from chiflow.background.resharp import resharp
from chiflow.background.spheres import SphereDeviation, sphere
from chiflow.background.vsharp import growing_radii, vsharp
from chiflow.core.dipole import DipoleOperator
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry

METHODS = {"vsharp": vsharp, "resharp": resharp, "ismv": ismv}
GEOMETRIES = [Geometry((34, 37, 35)), Geometry((36, 37, 25), (0.9, 1.0, 1.6), (0.3, 0.42, 0.86))]
SPOILED = {"vsharp": 0.0013, "resharp": 3e-4, "ismv": 3e-4}  # measured 0.0011, 0.0001, 0.0001


def grid(geometry):
    """Millimetres from the middle of the volume along each axis."""
    return np.meshgrid(*[(np.arange(n) - n // 2) * v for n, v in zip(geometry.shape, geometry.voxel_size)], indexing="ij")


def ball(geometry, radius_mm, shift_mm=(0, 0, 0)):
    return torch.from_numpy(sum((a - s) ** 2 for a, s in zip(grid(geometry), shift_mm)) < radius_mm**2)


def harmonic(geometry):
    """Polynomials that are harmonic in millimetres, up to the third degree."""
    x, y, z = grid(geometry)
    return torch.tensor(0.3 + 0.02 * x - 0.01 * z + 1e-3 * (x**2 - z**2) + 2e-3 * x * y + 1e-4 * (x**3 - 3 * x * y**2), dtype=torch.float32)


def local_field(geometry):
    chi = 0.1 * ball(geometry, 3.0, (4, 0, -3)).float() - 0.1 * ball(geometry, 3.0, (-5, 2, 3)).float()
    return DipoleOperator(geometry, padding=2).forward(chi)


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (1.0, 1.5, 2.0), (0.8, 0.8, 2.0)])
@pytest.mark.parametrize("radius_mm", [2.0, 5.0])
def test_sphere_is_a_mean_over_a_ball_that_sees_no_harmonic_of_the_second_degree(radius_mm, voxel_size):
    shape = tuple(2 * int(radius_mm / v) + 3 for v in voxel_size)
    x, y, z = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) * v for n, v in zip(shape, voxel_size)], indexing="ij")
    ball_ = sphere(radius_mm, shape, voxel_size).double().numpy()
    np.testing.assert_array_equal(ball_ > 0, x**2 + y**2 + z**2 <= radius_mm**2 + 1e-6)
    assert ball_.sum() == pytest.approx(1, abs=1e-6)
    for unseen in (x**2 - y**2, y**2 - z**2, x * y, x, z):
        assert abs((ball_ * unseen).sum()) < 1e-6 * radius_mm**2


def test_sphere_on_equal_voxels_is_flat():
    ball_ = sphere(3.0, (9, 9, 9), (2.0, 2.0, 2.0))
    assert ball_[ball_ > 0].unique().tolist() == pytest.approx([1 / 19])


def test_deviation_is_the_difference_from_the_mean_of_the_largest_sphere_that_fits():
    geometry = Geometry((9, 8, 7), (1.0, 1.2, 1.5))
    mask = torch.rand(geometry.shape, generator=torch.Generator().manual_seed(1)) > 0.01
    field = torch.randn(geometry.shape, generator=torch.Generator().manual_seed(2))
    deviation = SphereDeviation(mask, geometry, [1.5, 3.0])
    balls = {radius: sphere(radius, (9, 9, 9), geometry.voxel_size) for radius in (1.5, 3.0)}
    result, seen = deviation.forward(field), set()
    for centre in product(*map(range, geometry.shape)):
        fits = {}
        for radius, ball_ in balls.items():
            offsets = [tuple((o + 4) % 9 - 4 for o in offset) for offset in ball_.nonzero().tolist()]
            places = [tuple(c + o for c, o in zip(centre, offset)) for offset in offsets]
            if all(0 <= p < n for place in places for p, n in zip(place, geometry.shape)) and all(mask[place] for place in places):
                fits[radius] = float(field[centre] - sum(ball_[offset] * field[place] for offset, place in zip(offsets, places)))
        assert bool(deviation.kept[centre]) == bool(fits)
        assert float(result[centre]) == pytest.approx(fits[max(fits)] if fits else 0, abs=1e-5)
        seen |= {max(fits)} if fits else set()
    assert seen == {1.5, 3.0}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_adjoint_of_the_deviation(geometry):
    deviation = SphereDeviation(ball(geometry, 15.0), geometry, [2.0, 4.0])
    x, y = torch.randn((2, *geometry.shape), generator=torch.Generator().manual_seed(3))
    assert float((deviation.forward(x) * y).sum()) == pytest.approx(float((x * deviation.adjoint(y)).sum()), rel=1e-4)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("method", METHODS)
def test_a_smooth_background_leaves_the_local_field_as_it_is(method, geometry):
    mask, background, local = ball(geometry, 15.0), harmonic(geometry), local_field(geometry)
    one = METHODS[method](local, mask, geometry)
    both = METHODS[method](local + background, mask, geometry)
    left = (both.field - one.field)[one.mask].norm() / background[one.mask].norm()
    assert left < 1e-6  # float32


@pytest.mark.parametrize("method", METHODS)
def test_a_bad_voxel_costs_itself_only(method):
    geometry = GEOMETRIES[1]
    mask, total = ball(geometry, 15.0), harmonic(geometry) + local_field(geometry)
    bad = ball(geometry, 2.5, (2, 0, 6)) | ball(geometry, 2.0, (0, -12, 0))
    weight, spoiled = (mask & ~bad).float(), torch.where(bad, total + 2, total)
    clean = METHODS[method](total, mask, geometry)
    with_weight, without = (METHODS[method](spoiled, mask, geometry, w) for w in (weight, None))
    good = clean.mask & ~bad
    error = lambda result: float((result.field - clean.field)[good].norm() / clean.field[good].norm())
    assert error(with_weight) < SPOILED[method]
    assert error(without) > 10 * error(with_weight)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_filling_goes_on_with_a_linear_field(geometry):
    x, y, z = grid(geometry)
    field = torch.tensor(0.1 + 0.02 * x - 0.03 * y + 0.01 * z, dtype=torch.float32)
    mask, hole = ball(geometry, 12.0), ball(geometry, 4.0, (2, 1, 0))
    spoiled = torch.where(hole, torch.full_like(field, torch.nan), field)
    result = filled(spoiled, mask, geometry, (~hole).float())
    assert torch.isfinite(result).all() and not result[~mask].any()
    assert torch.equal(result[mask & ~hole], field[mask & ~hole])
    assert (result - field)[mask & hole].abs().max() < 1e-3 * field[mask].abs().max()  # the tolerance of the solver
    assert not masked_laplacian(torch.ones(geometry.shape), mask, geometry).any()


@pytest.mark.parametrize("method", METHODS)
def test_the_border_of_the_volume_is_the_border_of_the_mask(method):
    geometry = GEOMETRIES[1]
    total = harmonic(geometry) + local_field(geometry)
    padded = Geometry(tuple(n + 12 for n in geometry.shape), geometry.voxel_size, geometry.b0)
    wide = lambda x: torch.nn.functional.pad(x, (5, 7, 6, 6, 8, 4))
    inner = tuple(slice(m, m + n) for m, n in zip((8, 6, 5), geometry.shape))
    mask = torch.ones(geometry.shape, dtype=torch.bool)
    tight, roomy = METHODS[method](total, mask, geometry), METHODS[method](wide(total), wide(mask), padded)
    assert torch.equal(tight.mask, roomy.mask[inner])
    assert (tight.field - roomy.field[inner]).abs().max() < 1e-3 * tight.field.abs().max()  # float32 through tens of steps


@pytest.mark.parametrize("method", METHODS)
def test_parts_of_a_mask_do_not_see_each_other(method):
    geometry = Geometry((24, 25, 44))
    one, two = ball(geometry, 9.0, (0, 0, -11)), ball(geometry, 8.0, (0, 1, 11))
    total = harmonic(geometry) + local_field(geometry)
    spoiled = torch.where(two, torch.randn(geometry.shape, generator=torch.Generator().manual_seed(4)) * 0.01, total)
    clean, other = (METHODS[method](f, one | two, geometry, iterations=200, tolerance=1e-5) for f in (total, spoiled))
    assert (clean.mask & one).any() and (clean.mask & two).any()
    assert (clean.field - other.field)[one].norm() < 0.02 * clean.field[one].norm()


@pytest.mark.parametrize("smallest_mm", [0.8, 1.0, 2.0, 9.0, 20.0, 30.0])
def test_radii_grow_evenly_from_one_voxel_to_the_largest(smallest_mm):
    radii = growing_radii(smallest_mm, 20.0)
    assert radii[0] == smallest_mm and radii[-1] == pytest.approx(max(20.0, smallest_mm))
    factors = [b / a for a, b in zip(radii, radii[1:])]
    assert factors == pytest.approx(factors[:1] * len(factors)) and all(1.4 < f < 3.3 for f in factors)  # √2.2 … 2.2^1.5


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_outside_the_mask_does_not_matter(method):
    geometry = GEOMETRIES[1]
    mask, total = ball(geometry, 14.0), local_field(geometry)
    hostile = torch.where(mask, total, torch.full_like(total, torch.nan))
    assert torch.equal(METHODS[method](hostile, mask, geometry).field, METHODS[method](total, mask, geometry).field)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_without_room_for_a_sphere_is_refused_in_one_line(method):
    geometry = GEOMETRIES[0]
    mask = torch.zeros(geometry.shape, dtype=torch.bool)
    for shape in ((0, 0, 0), (1, 1, 1), (2, 2, 9)):
        mask[: shape[0], : shape[1], : shape[2]] = True
        with pytest.raises(ChiflowError, match="no sphere of .* mm fits into the mask"):
            METHODS[method](torch.ones(geometry.shape), mask, geometry)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_in_nothing_out(method):
    geometry = GEOMETRIES[0]
    result = METHODS[method](torch.zeros(geometry.shape), ball(geometry, 15.0), geometry)
    assert not result.field.any() and result.parameters["Iterations"] == 0
