"""The phantom's head as in vivo: what it is made of against analytic truth, its scan's laws, and how like a brain in vivo it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from chiflow.core.geometry import Geometry, geometry_of
from chiflow.phantom.anatomy import draw_head
from chiflow.phantom.canvas import Canvas
from chiflow.phantom.coils import receive_profile
from chiflow.phantom.detail import layers
from chiflow.phantom.fibres import Fibres, anisotropic_field, draw_fibres, fibres_on_grid
from chiflow.phantom.field import dipole_field
from chiflow.phantom.grid import Grid, box_mean, slab
from chiflow.phantom.head import render
from chiflow.phantom.kspace import acquired, truncated
from chiflow.phantom.pools import frequencies_ppm, pools_factor, pools_of, water_shares
from chiflow.phantom.scan import InVivo, Protocol, simulate
from chiflow.phantom.tissues import TISSUES
from chiflow.phantom.vessels import Trees, vein_share
from chiflow.phantom.waves import draw_power_law, on_grid
from chiflow.simulate.realism import IN_VIVO, statistics

TIMES_S = (0.004, 0.012, 0.020)
SCAN = Protocol((34, 40, 28), (5.5, 5.5, 5.5), tilt_deg=20, echo_times_s=TIMES_S, snr=1e5, in_vivo=InVivo(motion_voxels=0))
EVEN = replace(SCAN, in_vivo=InVivo(anisotropy_ppm=0, pools=False, motion_voxels=0))
OBLIQUE = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])
PHASE_OFF = 0.06  # rad at 20 ms, median in deep white matter of 5.5 mm: the mean of a signal is not that of its phase; measured 0.03
ALIKE = 0.25  # of each figure, between heads


@pytest.fixture(scope="module")
def living():
    return simulate(SCAN, seed=3)


@pytest.fixture(scope="module")
def even():
    return simulate(EVEN, seed=3)


def deep_white(scan):
    depth = distance_transform_edt(np.pad(scan.truth["mask"], 1), sampling=scan.grid.voxel_size)[1:-1, 1:-1, 1:-1]
    return (scan.truth["labels"] == TISSUES["white_matter"].label) & (depth > 12)


def test_the_shapes_are_those_of_the_plain_head():
    plain, head = draw_head(5), draw_head(5, plain=False)
    assert plain.detail is None and head.detail is not None
    np.testing.assert_array_equal(plain.sulci.k, head.sulci.k)
    np.testing.assert_array_equal(plain.to_head, head.to_head)


def test_total_field_is_that_of_chi_of_fibres_and_of_the_background(living):
    truth, mask = living.truth, living.truth["mask"]
    total_ppm = truth["field_hz"] / living.protocol.imaging_frequency_mhz
    parts = truth["local_ppm"] + truth["anisotropic_ppm"] + truth["background_ppm"]
    np.testing.assert_allclose(total_ppm[mask], parts[mask], atol=1e-5)  # float32 of ±10 ppm
    assert truth["anisotropic_ppm"][mask].std() > 0.1 * truth["local_ppm"][mask].std()
    assert abs(truth["chi"][mask].mean()) < 1e-6 and not truth["chi"][~mask].any()


def test_local_field_is_that_of_the_isotropic_part(living, even):
    field, mask = dipole_field(living.truth["chi"], geometry_of(living.grid.affine, living.grid.shape)), living.truth["mask"]
    assert np.corrcoef(field[mask], living.truth["local_ppm"][mask])[0, 1] > 0.9  # voxels of 5.5 mm against 2.8 mm
    assert np.polyfit(living.truth["local_ppm"][mask], field[mask], 1)[0] == pytest.approx(1, abs=0.1)
    for name in ("chi", "local_ppm"):
        np.testing.assert_array_equal(living.truth[name], even.truth[name])


def test_phase_is_linear_in_echo_time_without_pools_and_not_with_them(living, even):
    times = np.array(TIMES_S, np.float32)
    for scan in (living, even):
        rest = scan.truth["phase"] - scan.truth["offset"][..., None] - 2 * np.pi * times * scan.truth["field_hz"][..., None]
        np.testing.assert_allclose(rest, scan.truth["pools_rad"], atol=1e-4)  # float32 of ±30 rad
    assert not even.truth["pools_rad"].any()
    frequency_hz = (living.truth["pools_rad"] / times)[deep_white(living)]
    assert np.abs(frequency_hz[:, 0] - frequency_hz[:, -1]).mean() > 0.3 * np.abs(frequency_hz[:, -1]).mean()


@pytest.mark.parametrize("name", ["living", "even"])
def test_the_scan_has_the_true_phase(name, request):
    scan = request.getfixturevalue(name)
    off = np.abs(np.angle(np.exp(1j * (scan.phase - scan.truth["phase"]))))[deep_white(scan)]
    assert np.median(off, axis=0).max() < PHASE_OFF


def test_fibres_turn_the_signal_by_what_the_truth_says(living, even):
    seen, true = (np.exp(1j * (living_phase - even_phase)) for living_phase, even_phase in
                  ((living.phase, even.phase), (living.truth["phase"], even.truth["phase"])))
    off = np.abs(np.angle(seen / true))[deep_white(living)]
    assert np.median(off[:, -1]) < 0.25 * np.median(np.abs(living.truth["pools_rad"][deep_white(living)][:, -1]))


def test_echoes_find_the_head_elsewhere_by_as_much_as_is_asked(even):
    moved = simulate(replace(EVEN, in_vivo=replace(EVEN.in_vivo, motion_voxels=0.1)), seed=3)
    np.testing.assert_array_equal(moved.truth["phase"], even.truth["phase"])
    changed = np.abs(moved.magnitude - even.magnitude)[even.truth["mask"]].mean(0)
    assert changed[0] < 1e-3 * changed[1:].min()  # the noise is the same, the first echo does not move


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 3)])
@pytest.mark.parametrize("first", [12, 100])
def test_a_scan_keeps_what_its_voxels_resolve(factors, first):
    shape, moved = (first, 10, 8), (0.25, -0.4, 0.1)
    fine = [np.arange(n * f) / (n * f) for n, f in zip(shape, factors)]
    middles = [(np.arange(n) * f + (f - 1) / 2) / (n * f) for n, f in zip(shape, factors)]
    wave = lambda cycles, places: np.exp(2j * np.pi * sum(c * x for c, x in zip(cycles, np.meshgrid(*places, indexing="ij")))).astype(np.complex64)
    shifted = [x - m / n for x, m, n in zip(middles, moved, shape)]
    for cycles in range(-(first // 2) + 1, first // 2):
        kept = truncated(torch.from_numpy(wave((cycles, -2, 1), fine)), factors, moved).numpy()
        np.testing.assert_allclose(kept, wave((cycles, -2, 1), shifted), atol=1e-4)  # float32
    lost = truncated(torch.from_numpy(wave((3, 6, 1), fine)), factors).numpy()
    np.testing.assert_allclose(lost, 0, atol=1e-5)


def test_what_is_even_stays_even_to_the_end_of_the_slab():
    ramp = np.broadcast_to(np.linspace(1, 3, 32, dtype=np.float32)[:, None, None], (32, 8, 8)).astype(np.complex64)
    scan = acquired(ramp, (2, 2, 2))
    assert scan.shape == (16, 4, 4)
    np.testing.assert_allclose(scan[2:-2].real, box_mean(ramp.real, (2, 2, 2))[2:-2], rtol=0.03)  # 9 % of the step of 2 at its foot without the fold


def test_the_field_of_an_anisotropic_sphere_is_that_of_its_dipole():
    """Inside 0, as Lorentz's sphere has it; outside a³/(3 r³) (3 (m·r̂)(b·r̂) − m·b) with m = X b."""
    geometry, radius, n = Geometry((44, 44, 44), (1.0, 1.0, 1.0), tuple(OBLIQUE)), 8.0, np.array([0.6, 0.0, 0.8])
    r = np.stack(np.meshgrid(*[np.arange(s) - (s - 1) / 2 for s in geometry.shape], indexing="ij"))
    length = np.linalg.norm(r, axis=0)
    inside = torch.from_numpy(np.clip(0.5 - (length - radius), 0, 1).astype(np.float32))
    directions = torch.from_numpy(n.astype(np.float32))[None, :, None, None, None].expand(2, 3, *geometry.shape)
    field = anisotropic_field(Fibres(directions, torch.stack([0.25 * inside, 0.75 * inside])), geometry, 0.5).numpy()
    m = 0.5 * (n * (n @ OBLIQUE) - OBLIQUE / 3)
    along = np.einsum("axyz,a->xyz", r, OBLIQUE) / length
    truth = radius**3 / (3 * length**3) * (3 * np.einsum("axyz,a->xyz", r, m) / length * along - m @ OBLIQUE) * (length > radius)
    away = (np.abs(length - radius) > 3) & (length < 18)
    assert np.sqrt(np.mean((field - truth)[away] ** 2)) < 0.08 * np.sqrt(np.mean(truth[away] ** 2))  # as the isotropic sphere's on an oblique grid


def test_fibres_have_unit_directions_that_turn_with_the_grid():
    """b·n does not depend on the grid that looks."""
    drawn = draw_fibres(np.random.default_rng(0))
    head = np.linalg.inv(slab((4, 4, 4), (1, 1, 1), 10, 5).affine)
    found = []
    for grid in (slab((9, 9, 9), (2, 2, 2)), slab((9, 9, 9), (2, 2, 2), 30, 20, "coronal")):
        fibres = fibres_on_grid(drawn, np.ones(grid.shape, np.float32), grid.affine, head)
        np.testing.assert_allclose(fibres.directions.norm(dim=1), 1, atol=1e-5)
        b0 = torch.tensor(geometry_of(grid.affine, grid.shape).b0, dtype=torch.float32)
        found.append(torch.einsum("naxyz,a->nxyz", fibres.directions, b0)[:, 4, 4, 4])
    np.testing.assert_allclose(*found, atol=1e-4)


def test_pools_agree_with_the_hollow_cylinder():
    """Wharton and Bowtell 2012 with χ_I = χ_A = −0.1 ppm, E = 0.02 ppm, g = 0.8: by hand, along B0 and at right angles to it."""
    along, across = (frequencies_ppm(np.array([s])) for s in (0.0, 1.0))
    assert along["axon"] == 0 and across["axon"] == pytest.approx(-0.016736, abs=1e-6)
    assert along["myelin"] == pytest.approx(0.003333, abs=1e-6) and across["myelin"] == pytest.approx(0.070589, abs=1e-5)
    assert sum(water_shares().values()) == pytest.approx(1) and water_shares()["myelin"] == pytest.approx(0.126 / 0.946)


def test_pools_are_one_at_no_echo_time_and_grow_with_field_strength():
    directions = torch.tensor([1.0, 0, 0])[None, :, None, None, None].expand(2, 3, 2, 3, 4)
    shares = torch.full((2, 2, 3, 4), 0.5)
    shares[:, 0] = 0
    pools = pools_of(Fibres(directions, shares), (0.0, 0.0, 1.0))
    np.testing.assert_allclose(pools_factor(pools, 0.0, 123.2, 3.0), 1, atol=1e-6)
    at_3, at_7 = (pools_factor(pools, 0.03, 123.2 / 3 * t, t) for t in (3.0, 7.0))
    np.testing.assert_array_equal(at_3[0], 1)
    assert np.all(np.angle(at_7[1]) < 2 * np.angle(at_3[1])) and np.all(np.angle(at_3[1]) < 0)


def test_averaged_waves_are_means_over_voxels():
    drawn, grid = draw_power_law(np.random.default_rng(0), 12, 3.0, 40.0, 3.0, 10.0), Grid((6, 5, 4), np.diag([2.0, 1.5, 3.0, 1.0]))
    fine = grid.finer((8, 8, 8))
    mean = box_mean(on_grid(drawn, fine.affine, fine.shape), (8, 8, 8))
    np.testing.assert_allclose(on_grid(drawn, grid.affine, grid.shape, averaged=True), mean, atol=0.02)  # waves of less than 2 % are left out


def test_waves_of_a_power_law_have_its_power_in_each_octave():
    drawn = draw_power_law(np.random.default_rng(0), 4000, 2.0, 64.0, 4.0, 1e6)
    assert (drawn.amplitude**2).sum() == pytest.approx(2)
    wavelength = 2 * np.pi / np.linalg.norm(drawn.k, axis=1)
    octaves = [(drawn.amplitude[(wavelength >= low) & (wavelength < 2 * low)] ** 2).sum() for low in (4, 8, 16)]
    np.testing.assert_allclose(np.divide(octaves[1:], octaves[:-1]), 2, rtol=0.1)  # k³ dk/k k⁻⁴; 4000 waves an octave


@pytest.mark.parametrize("voxel_mm", [0.8, 2.0])
def test_veins_fill_their_volume_on_any_grid(voxel_mm):
    points = np.stack([np.arange(-20, 20, 0.5), np.full(80, 0.3), np.full(80, -0.2)], 1)
    tube = Trees(points, np.tile([1.0, 0, 0], (80, 1)), np.full(80, 0.35))
    grid = slab((round(60 / voxel_mm),) * 3, (voxel_mm,) * 3, centre=(0, 0, 0))
    share = vein_share(Canvas(grid, np.eye(4), TISSUES["air"]), tube)
    assert share.sum(dtype=np.float64) * voxel_mm**3 == pytest.approx(np.pi * 0.35**2 * 40, rel=1e-3) and share.max() <= 1


def test_cortex_is_richest_in_its_middle():
    detail, thickness = draw_head(1, plain=False).detail, 2.8
    values = layers(detail, np.array([-1.0, 0.0, thickness / 2, thickness, thickness + 1.5, thickness + 30]), thickness)
    np.testing.assert_allclose(values, [0, 0, detail.cortex_ppm, 0, detail.below_ppm, 0], atol=1e-6)


def test_coils_hear_less_of_what_is_far_from_them():
    profile = receive_profile(slab((9, 9, 9), (20, 20, 20), centre=(0, 0, 0)))
    assert profile.mean() == pytest.approx(1, abs=1e-5)
    assert profile[0, 4, 4] > profile[4, 4, 4] > profile[4, 4, 8]


def test_the_head_is_like_a_brain_in_vivo():
    grid, head = slab((104, 130, 64), (1.0625, 1.0625, 1.0714), centre=(10.0, 0.0, 12.0)), draw_head(2, plain=False)
    maps = render(head, grid)
    mask, noise = maps.brain > 0.5, np.random.default_rng(0).standard_normal(maps.m0.shape)
    magnitude = maps.m0 * np.sqrt(sum(np.exp(-2 * time * maps.r2star) for time in Protocol.echo_times_s)) * (1 + 0.01 * noise)
    found = statistics(maps.chi, mask, geometry_of(grid.affine, grid.shape), magnitude)
    assert {name: value for name, value in found.items() if abs(value / IN_VIVO[name] - 1) > ALIKE} == {}
