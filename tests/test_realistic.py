"""Samples like scans in vivo: the parts they are made of, and the figures that say how alike they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from chiflow.core.dipole import DipoleOperator
from chiflow.core.fourier import filtered, k_grid, padded_shape
from chiflow.core.geometry import Geometry
from chiflow.simulate import realistic
from chiflow.phantom.fibres import PADDING, Fibres, anisotropic_field
from chiflow.simulate.fibres import pools_shift
from chiflow.simulate.realism import IN_VIVO_ERROR, explained_share, model_error, statistics
from chiflow.simulate.realistic import drawn_real, made_real
from chiflow.phantom.kspace import truncated
from chiflow.simulate.scanned import scanned
from chiflow.simulate.texture import blurred, power_law
from chiflow.simulate.vessels import vessel_share

OBLIQUE = Geometry((22, 20, 18), (1.0, 1.1, 1.5), (0.3, -0.3, 0.9))


@pytest.mark.parametrize("shape", [(11, 12, 13), (25, 10, 41), (50, 8, 47)])
def test_a_scanner_keeps_the_frequencies_that_its_voxels_resolve(shape):
    """A plane wave of the fine grid has its value at the middle of each voxel; one that is too fine for them leaves nothing."""
    fine = [2 * n for n in shape]
    x, y, z = torch.meshgrid(*[torch.arange(n).double() for n in fine], indexing="ij")
    middle = torch.meshgrid(*[2 * torch.arange(n).double() + 0.5 for n in shape], indexing="ij")
    for k in ((n - 1) // 2 for n in range(2, min(shape) + 1)):
        wave = lambda at: torch.exp(2j * torch.pi * (k * at[0] / fine[0] - k * at[1] / fine[1] + k * at[2] / fine[2])).to(torch.complex64)
        assert torch.allclose(truncated(wave((x, y, z)), (2, 2, 2)), wave(middle), atol=1e-4)  # float32
    assert truncated(torch.exp(2j * torch.pi * (shape[0] - 1) * x / fine[0]).to(torch.complex64), (2, 2, 2)).abs().max() < 1e-4


def test_a_voxel_sees_the_mean_phase_of_the_signal_in_it():
    field, magnitude = torch.full((10, 10, 10), 0.3), torch.rand(10, 10, 10, generator=torch.Generator().manual_seed(0)) + 0.5
    measured, seen = scanned(field, magnitude, 30.0)
    assert torch.allclose(measured, torch.full((5, 5, 5), 0.3), atol=1e-5) and seen.mean() == pytest.approx(float(magnitude.mean()), rel=1e-4)


@pytest.mark.parametrize("along, share", [(True, 2 / 3), (False, -1 / 3)])
def test_fibres_along_b0_or_across_it_are_an_isotropic_source(along, share):
    """n ∥ b: X b = ⅔ Δ ρ b; n ⊥ b: X b = −⅓ Δ ρ b; the field of either is that of a scalar."""
    generator = torch.Generator().manual_seed(0)
    density = blurred(torch.rand(OBLIQUE.shape, generator=generator), 2.0, OBLIQUE.voxel_size)
    b = torch.tensor(OBLIQUE.b0)
    n = b if along else torch.linalg.cross(b, torch.tensor([0.0, 0.0, 1.0]))
    n = (n / n.norm())[None, :, None, None, None].expand(2, 3, *OBLIQUE.shape)
    found = anisotropic_field(Fibres(n, torch.stack([0.3 * density, 0.7 * density])), OBLIQUE, 0.015)
    padded = padded_shape(OBLIQUE.shape, PADDING)
    k = k_grid(padded, OBLIQUE.voxel_size)
    kernel = 1 / 3 - sum(a * c for a, c in zip(k, OBLIQUE.b0)) ** 2 / sum(a**2 for a in k).clamp(min=1e-12)
    expected = filtered(share * 0.015 * density, kernel, padded)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()  # float32
    shift = pools_shift(Fibres(n, torch.stack([density, 0 * density])), OBLIQUE, 0.01, 0.3)
    assert torch.allclose(shift, -0.01 * density * ((0 if along else 1) - 0.3), atol=1e-7)


def test_vessels_lie_in_tissue_and_fill_at_most_a_voxel():
    tissue = torch.zeros(30, 32, 28, dtype=torch.bool)
    tissue[4:26, 5:27, 3:25] = True
    share = vessel_share(np.random.default_rng(0), tissue, (0.5, 0.5, 0.6), 3)
    assert 0 < share.sum() and share.max() <= 1 and share.min() >= 0 and not share[~tissue].any()
    assert not vessel_share(np.random.default_rng(0), torch.zeros_like(tissue), (0.5, 0.5, 0.6), 3).any()


def small(number: int):
    return drawn_real(np.random.default_rng([3, number]), 0)


def test_a_recipe_gives_the_same_sample_and_another_seed_another_one(monkeypatch):
    monkeypatch.setattr(realistic, "PART", (16, 20))
    one, again, other = (made_real(small(n), []) for n in (0, 0, 1))
    assert all(torch.equal(getattr(one, name), getattr(again, name)) for name in ("field", "mask", "weight", "magnitude", "chi"))
    assert one.field.shape != other.field.shape or not torch.equal(one.field, other.field)
    assert not one.field[~one.mask].any() and abs(float(one.chi[one.mask].mean())) < 1e-6


def test_without_errors_the_field_is_that_of_chi_on_a_finer_grid(monkeypatch):
    monkeypatch.setattr(realistic, "PART", (28, 32))
    recipe = small(2)
    anatomy = replace(recipe.anatomy, residue=0.0, mask_error=0, sigma_ppm=0.0, lesions=())
    made = made_real(replace(recipe, anatomy=anatomy, anisotropy_ppm=0.0, shift_ppm=0.0, false_share=0.0, coloured_share=0.0), [])
    field = DipoleOperator(made.geometry, padding=2).forward(made.chi) * made.mask
    away = lambda one: float((one - made.local)[made.mask].norm() / made.local[made.mask].norm())
    # measured × 1.2: k space that is cut off keeps what the mean over a voxel takes off (0.25), and the kernel is another one on another grid (0.09)
    assert away(made.field) < 0.3 and away(field) < 0.11


def test_figures_of_white_noise_are_those_of_a_normal_distribution():
    geometry, mask = Geometry((48, 48, 48)), np.ones((48, 48, 48), bool)
    noise = np.random.default_rng(0).standard_normal(mask.shape)
    found = statistics(noise, mask, geometry, deeper_mm=2.0)
    assert found["Kurtosis"] == pytest.approx(3, abs=0.05) and found["FlatShare"] == pytest.approx(2 * norm.cdf(0.1) - 1, rel=0.03)
    edge = norm.ppf(0.975)
    assert found["LargestShare"] == pytest.approx(2 * (edge * norm.pdf(edge) + 0.025), rel=0.03)  # ∫ x² φ beyond the 5 % point
    assert found["Slope"] == pytest.approx(0, abs=0.1) and found["SdPpm"] == pytest.approx(1, rel=0.02)


def test_the_slope_of_a_power_law_is_its_exponent():
    geometry = Geometry((64, 64, 64))
    chi = power_law(np.random.default_rng(0), geometry.shape, geometry.voxel_size, 3.4, 200.0).numpy()
    assert statistics(chi, np.ones(geometry.shape, bool), geometry, deeper_mm=2.0)["Slope"] == pytest.approx(-3.4, abs=0.25)


def test_a_magnitude_of_the_same_edges_has_them_all_and_explains_all():
    geometry, mask = Geometry((40, 40, 40)), np.ones((40, 40, 40), bool)
    chi = np.zeros(mask.shape)
    chi[14:26, 14:26, 14:26] = 0.1
    found = statistics(chi, mask, geometry, 1 + chi, deeper_mm=2.0)
    assert found["EdgeShare"] == pytest.approx(1, abs=1e-6) and found["GreyShare"] > 0.9
    random = np.random.default_rng(0).standard_normal((2, 20000))
    assert explained_share(*random) < 0.01


def test_an_error_in_proportion_to_the_field_is_told_at_every_scale():
    geometry, mask = Geometry((64, 60, 56), (1.2, 1.2, 1.2)), np.ones((64, 60, 56), bool)
    chi = power_law(np.random.default_rng(1), geometry.shape, geometry.voxel_size, 2.0, 30.0).numpy()
    chi -= chi.mean()
    field = DipoleOperator(geometry).forward(torch.from_numpy(chi)).numpy()
    by_k, by_depth = model_error(1.3 * field, chi, mask, geometry)
    assert all(value == pytest.approx(0.3, abs=0.01) for k, value in by_k.items() if k in IN_VIVO_ERROR and np.isfinite(value))
    assert by_depth["deeper"] == pytest.approx(0.3 * float(np.std(field)), rel=0.3)
