"""Laws that every inversion keeps, over the registry."""

import numpy as np
import pytest
import torch

from chiflow.core.dipole import DipoleOperator
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.metrics import nrmse
from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS
from chiflow.invert.judge import judged
from chiflow.invert.problem import MaskedProblem
from chiflow.invert.reference import Region, csf_region
from chiflow.core.variation.remainder import with_remainder
from chiflow.invert.result import Susceptibility
from chiflow.invert.sign import sign_check

AXIAL = Geometry((31, 32, 33))
OBLIQUE = Geometry((32, 31, 22), (1.0, 1.1, 1.5), (0.3, -0.3, 0.9))
ALL = INVERSIONS | TOTAL_FIELD_INVERSIONS
TFI_ERROR = 22.2  # measured 20.2 × 1.1
SIGMA_ERROR = 0.2  # measured 0.16 on this small body, 0.03 on heads
THREADS = {"net-total": 5e-3}  # its fit of sources is stopped before it has converged: 0.0034 measured
TURNED, FLIPPED = {"net": 0.055}, {"net": 0.036}  # of ‖χ‖: the members of the ensemble are few, measured × 1.25; the others are exact
ERROR = {"net": 13.4, "ictv": 15.3, "gtv": 6.6, "tv": 4.5, "hdqsm": 4.5, "medi": 3.5, "fansi": 11.0, "l2": 27.4, "tkd": 29.7}  # NRMSE in %, the worse of both geometries: measured × 1.1


def brain(geometry, noise=0.0005, seed=0):
    """χ of a few bodies in a ball, its noisy field, and the mask; all (X, Y, Z)."""
    axes = [(np.arange(n) - n // 2) * v for n, v in zip(geometry.shape, geometry.voxel_size)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    at = lambda cx, cy, cz, r: ((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < r**2).astype(np.float32)
    mask = at(0, 0, 0, 13) > 0
    chi = (0.1 * at(4, 3, 2, 4) - 0.05 * at(-5, 0, -3, 5) + 0.2 * at(0, -7, 4, 2)) * mask
    chi[mask] -= chi[mask].mean()
    field = DipoleOperator(geometry, padding=2).forward(torch.from_numpy(chi)).numpy()
    field += np.random.default_rng(seed).normal(0, noise, field.shape).astype(np.float32)
    return chi, torch.from_numpy(field * mask), torch.from_numpy(mask)


def invert(method, field, mask, geometry, sigma=0.0005):
    options = {"guard": False} if method == "net" else {}  # these bodies are unlike heads
    return judged(INVERSIONS[method](field, mask, geometry, mask.float(), sigma, **options), field, mask, geometry, mask.float(), sigma)


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
@pytest.mark.parametrize("method", INVERSIONS)
def test_truth_is_found(method, geometry):
    chi, field, mask = brain(geometry)
    result = invert(method, field, mask, geometry)
    assert nrmse(result.chi.numpy(), chi, mask.numpy()) < ERROR[method]
    assert not result.chi[~mask].any() and not result.residual[~mask].any()
    assert abs(float(result.chi[mask].mean())) < 1e-6, "referenced to the whole mask"


@pytest.mark.parametrize("factor", [0.25, 10.0])
@pytest.mark.parametrize("method", INVERSIONS)
def test_maps_scale_with_field_and_noise(method, factor):
    _, field, mask = brain(AXIAL)
    one, other = invert(method, field, mask, AXIAL), invert(method, factor * field, mask, AXIAL, 0.0005 * factor)
    assert (other.chi / factor - one.chi).norm() < 1e-3 * one.chi.norm()  # float32 through 95 conjugate gradient steps


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("method", INVERSIONS)
def test_turning_the_volume_with_b0_turns_the_map(method, order):
    _, field, mask = brain(OBLIQUE)
    turned = Geometry(*(tuple(values[a] for a in order) for values in (OBLIQUE.shape, OBLIQUE.voxel_size, OBLIQUE.b0)))
    one = invert(method, field, mask, OBLIQUE).chi.permute(order)
    other = invert(method, field.permute(order).contiguous(), mask.permute(order).contiguous(), turned).chi
    assert (other - one).norm() < TURNED.get(method, 1e-3) * one.norm()


@pytest.mark.parametrize("method", INVERSIONS)
def test_flipping_an_axis_with_b0_flips_the_map(method):
    _, field, mask = brain(OBLIQUE)
    b = OBLIQUE.b0
    flipped = Geometry(OBLIQUE.shape, OBLIQUE.voxel_size, (-b[0], b[1], b[2]))
    one = invert(method, field, mask, OBLIQUE).chi.flip(0)
    other = invert(method, field.flip(0), mask.flip(0), flipped).chi
    # the field of view is padded behind the volume, so its flip has other neighbours across the border: 1 % measured
    assert (other - one).norm() < FLIPPED.get(method, 0.02) * one.norm()


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_tkd_gives_a_point_source_its_height_back(geometry):
    point = torch.zeros(geometry.shape)
    point[15, 15, 11] = 1.0
    everywhere = torch.ones(geometry.shape, dtype=torch.bool)
    # the kernel of inversion and simulation is one here, so only what the field of view cuts off is missing: 3 % measured
    assert float(INVERSIONS["tkd"](DipoleOperator(geometry).forward(point), everywhere, geometry).chi[15, 15, 11]) == pytest.approx(1, abs=0.035)


def test_residual_is_what_chi_leaves_unexplained():
    _, field, mask = brain(OBLIQUE)
    weight = 0.5 * mask.float()
    background = torch.full_like(field, 0.01)
    found = INVERSIONS["tkd"](field, mask, OBLIQUE)
    result = judged(Susceptibility(found.chi, found.parameters, background), field, mask, OBLIQUE, weight, 0.002)
    assert torch.allclose(result.residual, (DipoleOperator(OBLIQUE).forward(found.chi) + background - field) * mask, atol=1e-7)
    assert torch.allclose(result.ratio, result.residual * 0.5 / 0.002, atol=1e-4)
    assert result.figures["ResidualToNoise"] == pytest.approx(float(result.ratio[mask].square().mean().sqrt()), rel=1e-4)


def test_reference_region_is_zero_and_its_mean_under_the_mask_is_told():
    _, field, mask = brain(AXIAL)
    region = mask.clone()
    region[:17] = False
    found = INVERSIONS["tkd"](field, mask, AXIAL)
    whole = judged(found, field, mask, AXIAL, mask.float(), 0.0005)
    result = judged(found, field, mask, AXIAL, mask.float(), 0.0005, Region(region, "half"))
    assert abs(float(result.chi[region].mean())) < 1e-7
    assert result.figures["ReferenceMeanPpm"] == pytest.approx(float(whole.chi[region].mean()), abs=1e-7)
    assert result.figures["ReferenceSdPpm"] == pytest.approx(float(whole.chi[region].std(correction=0)), rel=1e-4)
    assert result.parameters["Reference"] == "mean of the half"
    assert torch.equal(whole.residual, result.residual)


def test_what_is_neither_of_chi_nor_noise_is_told():
    _, field, mask = brain(AXIAL, 0.002)
    told = lambda chi, noise: next(check for check in judged(Susceptibility(chi), field, mask, AXIAL, mask.float(), noise).checks if check.name == "Unexplained")
    nothing = torch.zeros_like(field)
    assert told(nothing, 1e-9).value == pytest.approx(1, rel=1e-5) and told(nothing, 1e-9).verdict == "warn"
    assert told(nothing, float(field[mask].square().mean().sqrt())).value == pytest.approx(0, abs=1e-3) and told(nothing, 1.0).verdict == "pass"
    assert told(INVERSIONS["tv"](field, mask, AXIAL, mask.float(), 0.002).chi, 0.002).verdict == "pass"


@pytest.mark.parametrize("sign, size, verdicts", [(1, 40, ["pass"]), (-1, 40, ["warn"]), (-1, 20, [])])
def test_a_turned_sign_is_seen_in_the_extremes_of_chi_when_there_are_voxels_enough(sign, size, verdicts):
    geometry = Geometry((size,) * 3, (1.0, 1.0, 1.0))
    chi = sign * torch.randn(geometry.shape, generator=torch.Generator().manual_seed(0)).clamp(min=0) ** 2
    everywhere = torch.ones(geometry.shape, dtype=torch.bool)
    result = judged(Susceptibility(chi), chi, everywhere, geometry, everywhere.float(), 0.001)
    assert [check.verdict for check in result.checks if check.name == "Skew"] == verdicts


@pytest.mark.parametrize("ppm, ml", [(0, 0), (-0.6, 7), (-0.6, 20), (1.0, 7), (1.0, 30)])
def test_one_lesion_is_not_taken_for_a_turned_sign_and_does_not_hide_one(ppm, ml):
    """Veins in all of the head and nuclei are the positive end; a calcification or a haemorrhage is one place, whatever its sign."""
    shape, spacing = (60, 66, 54), 2.5
    axes = np.meshgrid(*[(np.arange(n) - n / 2) * spacing for n in shape], indexing="ij")
    brain = (axes[0] / 65) ** 2 + (axes[1] / 75) ** 2 + (axes[2] / 60) ** 2 < 1
    random = np.random.default_rng(0)
    chi = random.normal(0, 0.02, shape)
    for place in random.uniform(-40, 40, (60, 3)):
        chi += 0.2 * (sum((axis - at) ** 2 for axis, at in zip(axes, place)) < 4**2)
    radius = (3000 * ml / (4 * np.pi)) ** (1 / 3)
    chi = np.where(sum((axis - at) ** 2 for axis, at in zip(axes, (20, -25, 10))) < radius**2, ppm, chi)
    for sign, verdict in ((1, "pass"), (-1, "warn")):
        check, = sign_check(torch.from_numpy(sign * chi), torch.from_numpy(brain))
        assert check.verdict == verdict and check.value == pytest.approx(sign * 0.65, abs=0.25)


def test_csf_is_found_by_its_slow_decay():
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in (40, 40, 40)], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    mask, ventricle = radius < 18, (np.abs(axes[0]) < 5) & (radius < 9)
    decay = np.where(ventricle | (radius > 16), 2.0, 20.0)
    times = [0.004, 0.02]
    magnitude = np.stack([100 * np.exp(-decay * t) * mask for t in times], -1).astype(np.float32)
    region = csf_region(magnitude, mask, (3.0, 3.0, 3.0), times)
    assert region.any() and not (region & ~ventricle).any(), "fluid in the middle, not the fluid round the brain"
    for wrong, text in ((magnitude[..., :1], "two echoes"), (magnitude * np.exp(-30 * np.array(times, np.float32)), "ml of fluid")):
        with pytest.raises(ChiflowError, match=text):
            csf_region(wrong, mask, (3.0, 3.0, 3.0), times[: wrong.shape[-1]])


@pytest.mark.parametrize("told", [0.5, 2.0])
def test_tv_finds_the_noise_itself(told):
    _, field, mask = brain(OBLIQUE, noise=0.002)
    right = invert("tv", field, mask, OBLIQUE, 0.002)
    wrong = invert("tv", field, mask, OBLIQUE, told * 0.002)
    assert wrong.parameters["SigmaPpm"] == pytest.approx(right.parameters["SigmaPpm"], rel=0.06)  # contraction 2^(0.42³) = 1.05
    assert right.parameters["SigmaPpm"] == pytest.approx(0.002, rel=SIGMA_ERROR)


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_normal_operator_of_tv_is_the_naive_one(geometry):
    _, field, mask = brain(geometry)
    random = torch.Generator().manual_seed(0)
    weight = torch.rand(geometry.shape, generator=random)
    problem = MaskedProblem(field, mask, geometry, weight)
    x = problem.inside * torch.randn(problem.inside.shape, generator=random)
    dipole = DipoleOperator(problem.geometry)
    naive = dipole.adjoint(problem.squared * dipole.forward(x)) + 0.3 * gradient_adjoint(gradient(x, geometry.voxel_size), geometry.voxel_size)
    naive = naive * problem.inside
    assert (problem.normal(x, 0.3) - naive).norm() < 1e-5 * naive.norm()  # float32


def test_tv_weighs_voxels_as_told():
    chi, field, mask = brain(AXIAL)
    bad = torch.zeros_like(mask)
    bad[14:18, 14:18, 20:23] = True
    spoiled = field + bad * 0.5
    weight = mask.float() * ~bad
    with_weight = INVERSIONS["tv"](spoiled, mask, AXIAL, weight, 0.0005).chi.numpy()
    without = INVERSIONS["tv"](spoiled, mask, AXIAL, None, 0.0005).chi.numpy()
    assert nrmse(with_weight, chi, mask.numpy()) < 0.3 * nrmse(without, chi, mask.numpy())


@pytest.mark.parametrize("method", ALL)
def test_no_field_gives_no_susceptibility(method):
    _, field, mask = brain(OBLIQUE)
    chi = ALL[method](torch.zeros_like(field), mask, OBLIQUE, mask.float(), 0.0005).chi
    assert torch.isfinite(chi).all() and not chi.any()


@pytest.mark.parametrize("method", ALL)
def test_threads_do_not_change_a_map(method):
    _, field, mask = brain(OBLIQUE)
    maps = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        maps.append(ALL[method](field, mask, OBLIQUE, mask.float(), 0.0005).chi)
        torch.set_num_threads(before)
    assert (maps[0] - maps[1]).norm() < THREADS.get(method, 1e-3) * maps[0].norm()  # float32 through some 100 conjugate gradient steps


def test_inversion_of_the_total_field_needs_no_background_removal():
    chi, field, mask = brain(AXIAL)
    axes = [(np.arange(n) - n // 2) * v / 13 for n, v in zip(AXIAL.shape, AXIAL.voxel_size)]
    x, y, z = (torch.from_numpy(a.astype(np.float32)) for a in np.meshgrid(*axes, indexing="ij"))
    total = (field + 0.1 * (x + y * z + z**2 - x**2)) * mask
    found = TOTAL_FIELD_INVERSIONS["tfi"](total, mask, AXIAL, mask.float(), 0.0005)
    assert nrmse(found.chi.numpy(), chi, mask.numpy()) < TFI_ERROR
    result = judged(found, total, mask, AXIAL, mask.float(), 0.0005)
    assert result.figures["ResidualRmsPpm"] < 0.0006, "χ and the background it found explain the total field"


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_the_field_is_doubted_at_the_surface_of_the_mask(geometry):
    _, field, mask = brain(geometry)
    told = mask.float()
    told[16, 16, 10] = 0
    weight, sigma, least = with_remainder(field, mask, geometry, told, 0.0005)
    axes = [(torch.arange(n) - n // 2) * v for n, v in zip(geometry.shape, geometry.voxel_size)]
    radius = sum(a**2 for a in torch.meshgrid(*axes, indexing="ij")).sqrt()
    shells = [weight[mask & (told > 0) & (radius > r) & (radius <= r + 3)].mean() for r in (9, 6, 3)]
    assert shells[0] < shells[1] < shells[2], "deeper is surer"
    assert weight[16, 16, 10] == 0 and not weight[~mask].any() and sigma > 0.0005
    assert least == pytest.approx(min(2 * sigma, 0.4 * float(field[mask].square().mean() ** 0.5)), rel=1e-5)
    deep = (0.0005**2 + (1.6 * float(field[mask].square().mean() ** 0.5) / (1 + (13 - min(geometry.voxel_size) / 2) / 1.2)) ** 2) ** 0.5
    assert float(weight.max()) == pytest.approx(min(2, sigma / deep), rel=0.1), "the deepest voxel lies 13 mm deep, within a voxel"
    scaled, ten, _ = with_remainder(10 * field, mask, geometry, told, 0.005)
    assert torch.allclose(scaled, weight, rtol=1e-4) and ten == pytest.approx(10 * sigma, rel=1e-4)
