"""Guided TV: edges from the magnitude, never values."""

import numpy as np
import pytest
import torch
from test_invert import AXIAL, OBLIQUE, brain

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.core.variation.guide import standardised
from chiflow.core.metrics import nrmse
from chiflow.core.solvers import soft_threshold
from chiflow.invert import INVERSIONS
from chiflow.core.variation.guided import Rules, guided
from chiflow.core.variation.images import GuideImages, linear
from chiflow.core.variation.sources import padding_for

GTV, TV = INVERSIONS["gtv"], INVERSIONS["tv"]
NOISE = 0.005
LEFT_OF_BIAS = 0.5  # measured


def error(found, chi, mask):
    return nrmse(found.chi.numpy(), chi, mask.numpy())


def magnitude_of(chi, seed=1):  # not the seed of the field's noise, or the guide would show it
    """A magnitude that shows each body in a grey value that says nothing of its χ, with 2 % of noise."""
    grey = {value: brightness for value, brightness in zip(np.unique(chi.round(3)), (1.0, 0.5, 0.9, 0.4, 0.7, 0.6, 0.8))}
    image = np.vectorize(grey.get)(chi.round(3)).astype(np.float32)
    return torch.from_numpy(image * (1 + 0.02 * np.random.default_rng(seed).standard_normal(image.shape).astype(np.float32)))


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_images_of_a_guide_and_their_adjoint(geometry):
    _, _, mask = brain(geometry)
    generator = torch.Generator().manual_seed(0)
    guide = torch.randn(geometry.shape, generator=generator) * mask
    images = GuideImages(guide, mask, geometry)
    assert torch.allclose(images.forward(torch.ones_like(images.scale))[mask], torch.tensor(1.0), atol=1e-5), "tents and control points are partitions of 1"
    c, v = torch.randn(images.scale.shape, generator=generator), torch.randn(geometry.shape, generator=generator)
    one, other = torch.sum(images.forward(c) * v), torch.sum(c * images.adjoint(v))
    assert float(one) == pytest.approx(float(other), rel=1e-4)  # float32
    assert not images.forward(c)[~mask].any()


@pytest.mark.parametrize(("voxels", "spacing"), [(11, 4.0), (48, 100.0), (1, 3.0)])
def test_interpolation_between_control_points(voxels, spacing):
    weights = linear(voxels, spacing)
    assert torch.allclose(weights.sum(1), torch.ones(voxels)) and (weights >= 0).all()
    places = weights @ torch.arange(weights.shape[1], dtype=torch.float32)
    assert torch.allclose(places, torch.linspace(0, weights.shape[1] - 1, voxels) if voxels > 1 else torch.zeros(1), atol=1e-5)


def test_the_guide_has_no_scale_and_no_bias():
    chi, _, mask = brain(AXIAL)
    large = Geometry(AXIAL.shape, (5.0, 5.0, 5.0))  # the body is 130 mm wide then
    magnitude = magnitude_of(chi)
    bias = torch.linspace(0.7, 1.4, AXIAL.shape[0])[:, None, None]
    one, other = standardised(magnitude, mask, large), standardised(bias * magnitude, mask, large)
    assert torch.allclose(standardised(1000 * magnitude, mask, large), one, atol=1e-4)
    assert (other - one)[mask].norm() < LEFT_OF_BIAS * one[mask].norm()
    assert not standardised(torch.zeros_like(magnitude), mask, large).any() and not one[~mask].any()


@pytest.mark.parametrize(("geometry", "share"), [(AXIAL, 0.98), (OBLIQUE, 0.8)])  # measured 0.94 and 0.73, on a body without texture
def test_a_magnitude_that_shows_the_bodies_helps(geometry, share):
    chi, field, mask = brain(geometry, NOISE)
    guided = GTV(field, mask, geometry, mask.float(), NOISE, magnitude_of(chi))
    assert error(guided, chi, mask) < share * error(TV(field, mask, geometry, mask.float(), NOISE), chi, mask)


def test_a_magnitude_that_shows_something_else_costs_little_and_leaves_no_trace():
    chi, field, mask = brain(AXIAL, NOISE)
    other = torch.ones(AXIAL.shape)
    other[:, :14] = 2.0
    plain, misled = (GTV(field, mask, AXIAL, mask.float(), NOISE, m) for m in (None, other))
    assert error(misled, chi, mask) < 1.1 * error(plain, chi, mask)


def objective(chi, field, mask, weight, strength):
    """½ ‖W (D χ − f)‖² + λ ‖M ∇χ‖₁ of an exact field without a guide, written out."""
    both = [mask & torch.roll(mask, -1, axis) for axis in range(3)]
    slopes = [(torch.roll(chi, -1, axis) - chi)[both[axis]] for axis in range(3)]
    misfit = weight * (DipoleOperator(AXIAL, padding=1.25).forward(chi) - field)
    return float((misfit * mask).square().sum() / 2 + strength * sum(slope.abs().sum() for slope in slopes))


def test_without_a_magnitude_it_is_the_minimum_of_tv_within_the_mask():
    chi, field, mask = brain(AXIAL, NOISE)
    found = guided(field, mask, AXIAL, mask.float(), NOISE, None, lambda_ppm=0.0005, rules=Rules(60, 1.0, 0.0))
    value = lambda x: objective(x, field, mask, found.weight, 0.0005)
    wave = torch.sin(torch.arange(AXIAL.shape[0]) / 2.0)[:, None, None] * mask
    others = [torch.from_numpy(chi), 0.97 * found.chi, 1.03 * found.chi, *(found.chi + s * wave for s in (-0.002, 0.002))]
    assert value(found.chi) < min(value(other) for other in others)


def test_sources_outside_take_the_rest_of_a_background_when_it_may_be_there():
    chi, field, mask = brain(AXIAL)
    x, y, z = torch.meshgrid(*[(torch.arange(n) - n // 2) / 13.0 for n in AXIAL.shape], indexing="ij")
    rest = 0.02 * (x + y * z) * mask  # harmonic
    open_, closed = (guided(field + rest, mask, AXIAL, mask.float(), 0.0005, None, least) for least in (0.0002, 0.0))
    left = rest - rest[mask].mean() * mask
    assert (open_.harmonic - left)[mask].norm() < 0.5 * left.norm() and not closed.harmonic.any()
    assert error(open_, chi, mask) < 0.5 * error(closed, chi, mask)


@pytest.mark.parametrize("rounding", [0.0, 0.5])
def test_the_threshold_is_the_proximal_step_of_its_penalty(rounding):
    values, places = torch.linspace(-3, 3, 13), torch.linspace(-4, 4, 8001)
    size = places.abs()
    penalty = size if rounding == 0 else torch.where(size < rounding, size**2 / (2 * rounding), size - rounding / 2)
    best = places[(0.7 * penalty + (places - values[:, None]) ** 2 / 2).argmin(1)]
    assert torch.allclose(soft_threshold(values, 0.7, rounding), best, atol=2e-3)  # places are 1e-3 apart


def test_a_mask_that_fills_its_box_gets_more_room():
    assert padding_for(torch.ones(8, 8, 8)) > padding_for(brain(AXIAL)[2])
