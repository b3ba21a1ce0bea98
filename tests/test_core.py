"""Conventions of the core: geometry, units, Fourier, dipole, solvers, metrics."""

from itertools import product

import numpy as np
import pytest
import torch

from chiflow.core.dipole import DipoleOperator, dipole_kernel
from chiflow.core.errors import ChiflowError
from chiflow.core.fourier import filtered, padded_shape
from chiflow.core.geometry import Geometry, geometry_of
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.metrics import hfen, nrmse, region_slope, xsim
from chiflow.core.reliability import noise_of_field, reliability
from chiflow.core.solvers import conjugate_gradient, soft_threshold
from chiflow.core.units import hz_to_ppm, larmor_frequency_mhz, ppm_to_hz

AWKWARD = (11, 12, 13)
FLOAT32 = 1e-5  # a few hundred rounding steps of float32 (6e-8) in sums over 10⁴ voxels
GEOMETRIES = [
    Geometry(AWKWARD),
    Geometry(AWKWARD, (0.8, 0.9, 2.0), (0.3, -0.4, 0.9)),
    Geometry((12, 10, 8), (1.0, 1.0, 3.0), (1.0, 0.0, 0.0)),
    Geometry((16, 16, 16), (0.5, 1.5, 2.5), (-0.6, 0.5, 0.62)),
]


def rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    turn[i, i], turn[j, j], turn[i, j], turn[j, i] = c, c, -s, s
    return turn


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_b0_is_scanner_z_in_voxel_axes(flip):
    turn = rotation(0, 25) @ rotation(1, -10) @ np.diag(flip)
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.8, 0.9, 2.0]
    geometry = geometry_of(affine, AWKWARD)
    assert np.allclose(geometry.voxel_size, (0.8, 0.9, 2.0))
    assert np.allclose(turn @ geometry.b0, (0, 0, 1))


def test_given_b0_overrides_the_affine_and_is_normalised():
    assert geometry_of(np.eye(4), AWKWARD, (0, 3, 4)).b0 == pytest.approx((0, 0.6, 0.8))


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])])
def test_unusable_affines_are_refused(affine):
    with pytest.raises(ChiflowError):
        geometry_of(affine, AWKWARD)


def test_hz_and_ppm_are_inverse_and_one_ppm_is_the_frequency_in_mhz():
    assert hz_to_ppm(123.2, 123.2) == 1.0
    assert ppm_to_hz(hz_to_ppm(42.0, 297.2), 297.2) == pytest.approx(42.0)
    assert larmor_frequency_mhz(3.0) == pytest.approx(127.732, abs=1e-3)


def naive_kernel(geometry, aliases):
    """D, or its mean over the aliases of each sample, (X, Y, Z // 2 + 1) float64."""
    axes = [np.fft.fftfreq(n, v) for n, v in zip(geometry.shape, geometry.voxel_size)]
    axes[2] = np.abs(axes[2][: geometry.shape[2] // 2 + 1])
    result = np.zeros([len(axis) for axis in axes])
    for index in np.ndindex(result.shape):
        k = np.array([axis[i] for axis, i in zip(axes, index)])
        samples = [k - np.array(step) * np.where(k < 0, -1, 1) / geometry.voxel_size for step in product((0, 1) if aliases else (0,), repeat=3)]
        power = [np.prod(np.sinc(q * geometry.voxel_size) ** 2) / max(q @ q, 1e-12) for q in samples]
        result[index] = np.average([1 / 3 - (q @ geometry.b0) ** 2 / max(q @ q, 1e-12) for q in samples], weights=power) if any(index) else 0
    return result


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_kernel_is_the_mean_of_the_formula_over_aliases(geometry):
    kernel = dipole_kernel(geometry).numpy()
    assert np.abs(kernel - naive_kernel(geometry, aliases=True)).max() < 2e-6  # float32
    k = np.stack(np.meshgrid(*[np.fft.fftfreq(n) for n in geometry.shape], indexing="ij"))[..., : kernel.shape[2]]
    low = np.abs(k).max(axis=0) < 0.13
    assert np.abs(kernel - naive_kernel(geometry, aliases=False))[low].max() < 0.02, "the formula itself where the grid is fine"


def test_thin_things_have_the_field_of_a_finer_grid():
    geometry, factor = Geometry((24, 24, 24), (1.0, 1.0, 1.0), (0.0, 0.5, 0.866)), 3
    fine = Geometry([factor * n for n in geometry.shape], [v / factor for v in geometry.voxel_size], geometry.b0)
    axes = [(np.arange(n) - n / 2 + 0.5) * v for n, v in zip(fine.shape, fine.voxel_size)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    centres = np.random.default_rng(0).uniform(-7, 7, (40, 3))
    spheres = np.any([(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < 1.2**2 for a, b, c in centres], axis=0)
    blocks = lambda volume: volume.reshape(24, factor, 24, factor, 24, factor).mean(axis=(1, 3, 5))
    truth = blocks(DipoleOperator(fine, 1.5).forward(torch.from_numpy(spheres.astype(np.float32))).numpy())
    ours, plain = DipoleOperator(geometry, 1.5), DipoleOperator(geometry, 1.5)
    plain.kernel = torch.from_numpy(naive_kernel(Geometry(plain.padded, geometry.voxel_size, geometry.b0), aliases=False)).float()
    error, plain_error = (np.linalg.norm(d.forward(torch.from_numpy(blocks(spheres)).float()).numpy() - truth) for d in (ours, plain))
    assert error < 0.95 * plain_error, (error, plain_error)  # measured 0.90


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("padding", [1.0, 1.25, 2.0])
def test_dipole_operator_is_self_adjoint(geometry, padding):
    random = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, *geometry.shape, generator=random)
    dipole = DipoleOperator(geometry, padding)
    left, right = float((dipole.forward(x) * y).sum()), float((x * dipole.adjoint(y)).sum())
    assert left == pytest.approx(right, rel=1e-3, abs=1e-3 * float(x.norm() * y.norm()) ** 0.5 * FLOAT32 * 1e3)


def test_padded_filter_is_a_linear_convolution():
    shift = torch.zeros(AWKWARD)
    shape = padded_shape(AWKWARD, 1.5)
    delta = torch.zeros(shape)
    delta[3, 0, 0] = 1
    shift[-1, 5, 5] = 1.0
    assert filtered(shift, torch.fft.rfftn(delta), shape).abs().max() < FLOAT32, "what leaves one side must not enter at the other"


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (0.8, 0.9, 2.0)])
def test_gradient_and_its_adjoint(voxel_size):
    random = torch.Generator().manual_seed(2)
    x, g = torch.randn(AWKWARD, generator=random), torch.randn(3, *AWKWARD, generator=random)
    left, right = (gradient(x, voxel_size) * g).sum(), (x * gradient_adjoint(g, voxel_size)).sum()
    assert float(left) == pytest.approx(float(right), abs=float(x.norm() * g.norm()) * FLOAT32)


def test_gradient_of_a_ramp_in_mm_is_one_number():
    voxel_size = (0.5, 1.0, 2.0)
    ramp = sum(torch.arange(n, dtype=torch.float32).mul(v).reshape([-1 if a == axis else 1 for a in range(3)])
               for axis, (n, v) in enumerate(zip(AWKWARD, voxel_size)))
    inner = gradient(ramp, voxel_size)[:, :-1, :-1, :-1]
    assert torch.allclose(inner, torch.ones_like(inner), atol=FLOAT32)


def test_conjugate_gradient_solves_and_reports_its_residual():
    random = torch.Generator().manual_seed(3)
    matrix = torch.randn(20, 20, generator=random)
    matrix = matrix @ matrix.T + torch.eye(20)
    right = torch.randn(20, generator=random)
    x, residual = conjugate_gradient(lambda v: matrix @ v, right, torch.zeros(20), 200, tolerance=1e-5)
    assert torch.linalg.norm(matrix @ x - right) < 1e-3 * torch.linalg.norm(right)
    assert torch.allclose(residual, right - matrix @ x, atol=1e-3)


def test_soft_threshold_by_its_definition():
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    assert torch.equal(soft_threshold(values, 1.0), torch.tensor([-2.0, 0, 0, 0, 0, 0, 2.0]))


def test_metrics_of_known_errors():
    random = np.random.default_rng(4)
    truth, mask = random.normal(0, 0.05, AWKWARD), random.random(AWKWARD) > 0.2
    assert nrmse(truth + 7, truth, mask) == pytest.approx(0, abs=1e-9), "χ has no absolute zero"
    assert nrmse(1.1 * truth, truth, mask) == pytest.approx(10)
    assert hfen(0.9 * truth, truth, mask) == pytest.approx(10)
    assert xsim(truth, truth, mask) == pytest.approx(1)
    assert xsim(-truth, truth, mask) < 0
    labels = random.integers(0, 4, AWKWARD)
    assert region_slope(0.8 * truth, truth, labels, mask) == pytest.approx(0.8)


def test_noise_of_a_field_is_found_under_smooth_structure():
    random = np.random.default_rng(5)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
    field = 3 * x**2 - y * z + random.normal(0, 0.01, x.shape)
    mask = x**2 + y**2 + z**2 < 1
    assert noise_of_field(field, mask) == pytest.approx(0.01, rel=0.05)  # standard error of a MAD over 3·10⁴ correlated values is 2 %


def test_reliability_is_one_in_a_typical_voxel_falls_with_noise_and_is_bounded():
    noise, mask = np.full(AWKWARD, 2.0), np.ones(AWKWARD, dtype=bool)
    noise[0, 0, 0], noise[0, 0, 1], mask[5] = 8.0, 0.001, False
    weight = reliability(noise, mask)
    assert (weight[1, 1, 1], weight[0, 0, 0], weight[0, 0, 1], weight[5, 0, 0]) == pytest.approx((1, 0.25, 2, 0))
