"""Structure and texture, and the model's own error that tells them apart."""

import numpy as np
import pytest
import torch
from test_invert import AXIAL, OBLIQUE, brain

from chiflow.core.dipole import DipoleOperator, dipole_kernel
from chiflow.core.geometry import Geometry
from chiflow.core.metrics import nrmse
from chiflow.core.model_error import LEAST_SHARE, SHARE_IN_VIVO, error_share, error_to_susceptibility
from chiflow.invert import INVERSIONS
from chiflow.invert.bootstrap import SLOPE
from chiflow.invert.decomposition import LAMBDA_PER_ERROR, TEXTURE_SHARE, Search, decomposed

POWER_IN_VIVO = {0.022: 0.009, 0.041: 0.008, 0.076: 0.012, 0.103: 0.015, 0.141: 0.026, 0.193: 0.032, 0.263: 0.047, 0.359: 0.084}  # P_e / P_χ by k in 1/mm


def test_the_error_is_that_of_a_brain_in_vivo():
    kappa_squared = (2 * np.pi * torch.tensor(list(POWER_IN_VIVO))) ** 2
    ratio = error_to_susceptibility(kappa_squared, SHARE_IN_VIVO) / torch.tensor(list(POWER_IN_VIVO.values()))
    assert float(ratio.log().abs().mean().exp()) < 1.1 and 0.7 < float(ratio.min()) and float(ratio.max()) < 1.3  # the table has one digit


def test_the_error_is_never_below_what_was_told_or_what_is_seen():
    assert error_share(0.3) > 0.3 and error_share(0.0, 0.5) == 0.5 and error_share(0.0) == LEAST_SHARE


def test_texture_is_the_wiener_filter_of_what_structure_leaves():
    _, field, mask = brain(OBLIQUE, 0.002)
    search = Search(field, mask, OBLIQUE, None)
    search.minimise(0.05, 0.5, 4, iter(range(4)))
    kernel = dipole_kernel(OBLIQUE, search.shape)
    prior = error_to_susceptibility(search.kappa_squared, 0.5) / TEXTURE_SHARE
    left = torch.fft.rfftn(search.measured) - kernel * torch.fft.rfftn(search.structure)
    texture = torch.fft.irfftn(kernel / (kernel**2 + prior) * left, search.shape) * search.inside
    assert (search.chi - search.structure - texture).norm() < 1e-4 * texture.norm()  # float32


def test_a_large_penalty_leaves_texture_alone():
    """Without structure the map is the closed form D / (D² + q) f."""
    _, field, mask = brain(AXIAL, 0.002)
    found = decomposed(field, mask, AXIAL, None, 0.002, lambda_ppm=1e3 * float(field.std()), passes=(60,))
    assert found.structure[mask].std() < 0.05 * found.chi[mask].std()


def test_structure_keeps_its_height_where_a_quadratic_filter_shrinks_it():
    geometry = Geometry((40, 40, 40))
    axes = torch.meshgrid(*[torch.arange(40) - 20.0 for _ in range(3)], indexing="ij")
    radius = sum(a**2 for a in axes).sqrt()
    mask, nucleus = radius < 18, radius < 5
    chi = 0.1 * nucleus.float()
    field = DipoleOperator(geometry, padding=2).forward(chi) * mask
    field += 0.3 * field[mask].std() * torch.randn(field.shape, generator=torch.Generator().manual_seed(0)) * mask
    contrast = lambda x: float(x[nucleus].mean() - x[mask & (radius > 8)].mean()) / 0.1
    both, texture = (decomposed(field, mask, geometry, None, 1e-4, lambda_ppm=strength) for strength in (None, 1.0))
    assert contrast(both.chi * both.rms_ppm) > 0.85 > contrast(texture.chi * texture.rms_ppm)


def test_voxels_without_weight_do_not_matter():
    chi, field, mask = brain(AXIAL)
    bad = torch.zeros_like(mask)
    bad[14:18, 14:18, 20:23] = True
    spoiled, weight = field + bad * 0.5, (mask & ~bad).float()
    error = lambda known: nrmse(INVERSIONS["ictv"](spoiled, mask, AXIAL, known, 0.0005).chi.numpy(), chi, mask.numpy())
    assert error(weight) < 0.5 * error(None)


@pytest.mark.parametrize("told", [0.0005, 0.02])
def test_the_penalty_follows_the_error(told):
    _, field, mask = brain(AXIAL, 0.002)
    found = decomposed(field, mask, AXIAL, None, told)
    assert found.share >= min(told / found.rms_ppm, 1) and found.strength >= LAMBDA_PER_ERROR * min(told / found.rms_ppm, 1) - 1e-6


def test_every_map_has_an_uncertainty_that_grows_with_the_error():
    uncertain = []
    for noise in (0.001, 0.01):
        _, field, mask = brain(OBLIQUE, noise)
        found = INVERSIONS["ictv"](field, mask, OBLIQUE, mask.float(), noise)
        assert (found.uncertainty[mask] > 0).all() and not found.uncertainty[~mask].any()
        uncertain.append(float(found.uncertainty[mask].median()))
    assert uncertain[1] > 1.5 * uncertain[0]


def test_uncertainty_scales_with_the_field():
    _, field, mask = brain(AXIAL, 0.002)
    one, other = (INVERSIONS["ictv"](c * field, mask, AXIAL, mask.float(), c * 0.002).uncertainty / c for c in (1.0, 7.0))
    assert (one - other).norm() < 1e-3 * one.norm()  # float32


def test_the_interval_holds_what_it_says_on_a_map_of_the_assumed_kind():
    """A texture and an error of the assumed spectra, whose inversion is what the bootstrap repeats with other random numbers."""
    geometry, generator = Geometry((44, 42, 40)), torch.Generator().manual_seed(5)
    axes = torch.meshgrid(*[torch.arange(n) - n / 2 for n in geometry.shape], indexing="ij")
    mask = sum(a**2 for a in axes).sqrt() < 18
    search = Search(torch.zeros(geometry.shape), mask, geometry, None)
    drawn = lambda amplitude: search.cut(search.filtered(amplitude * torch.fft.rfftn(torch.randn(search.shape, generator=generator))))
    spectrum = (search.kappa_squared + 0.1) ** (-SLOPE / 4)
    chi, error = drawn(spectrum), drawn(spectrum * error_to_susceptibility(search.kappa_squared, 1.0).sqrt())
    chi = (chi - chi[mask].mean()) * mask
    field = DipoleOperator(geometry, padding=2).forward(chi) * mask
    field += 0.4 * field[mask].std() / error[mask].std() * error
    found = INVERSIONS["ictv"](field, mask, geometry)
    wrong = (found.chi - chi)[mask]
    # 0.72 measured on this small body, where the map is flatter than the truth and so is what the bootstrap takes for it; 0.9 on heads
    assert 0.65 < float(((wrong - wrong.mean()).abs() < 1.645 * found.uncertainty[mask]).float().mean()) < 0.99
