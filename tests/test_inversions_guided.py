"""MEDI, FANSI and TFI: what each of them claims to do better than plain TV."""

import numpy as np
import pytest
import torch
from test_invert import AXIAL, OBLIQUE, brain

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.core.metrics import nrmse
from chiflow.core.variation.edges import edge_weight
from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS

FANSI, MEDI = INVERSIONS["fansi"], INVERSIONS["medi"]
TFI = TOTAL_FIELD_INVERSIONS["tfi"]


def error(found, chi, mask):
    return nrmse(found.chi.numpy(), chi, mask.numpy())


def coordinates(geometry):
    """x, y, z in mm from the centre, each (X, Y, Z)."""
    axes = [(torch.arange(n) - n // 2) * v for n, v in zip(geometry.shape, geometry.voxel_size)]
    return torch.meshgrid(*axes, indexing="ij")


def surroundings(geometry, chi, noise=0.0005):
    """Total field (X, Y, Z) of χ and of two bodies of some ppm outside the ball of radius 13 mm."""
    room = 10
    wide = Geometry(tuple(n + 2 * room for n in geometry.shape), geometry.voxel_size, geometry.b0)
    x, y, z = coordinates(wide)
    bodies = 9.0 * ((x - 3) ** 2 + (y - 17) ** 2 + (z + 4) ** 2 < 9) - 2.0 * ((x + 16) ** 2 + y**2 + (z - 5) ** 2 < 16)
    inner = (slice(room, -room),) * 3
    bodies[inner] += torch.from_numpy(chi)
    field = DipoleOperator(wide, padding=2).forward(bodies)[inner]
    return field + noise * torch.randn(field.shape, generator=torch.Generator().manual_seed(1))


def test_edges_are_the_steepest_share_of_the_magnitude():
    inside = torch.zeros(12, 13, 14)
    inside[1:-1, 1:-1, 1:-1] = 1
    magnitude = inside * (1 + torch.rand(inside.shape, generator=torch.Generator().manual_seed(0)))
    magnitude[:6] *= 5
    weight = edge_weight(inside, magnitude, (1.0, 1.0, 1.0), 0.3)
    within = torch.stack([inside * torch.roll(inside, -1, axis) for axis in range(3)]) > 0
    assert (weight[within] < 1).float().mean() == pytest.approx(0.3, abs=1e-3)
    assert (weight[~within] < 1).all(), "the border of the mask is an edge"
    assert (weight[0, 5][within[0, 5]] < 1).all() and (weight[0, 8] == 1)[within[0, 8]].all()
    scaled = edge_weight(inside, 1000 * magnitude, (1.0, 1.0, 1.0), 0.3)
    assert torch.equal(scaled, weight)


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_medi_uses_what_the_magnitude_shows(geometry):
    chi, field, mask = brain(geometry, noise=0.005)
    magnitude = 100 * (1 + torch.from_numpy((np.abs(chi) > 0.02).astype(np.float32)))
    guided = MEDI(field, mask, geometry, mask.float(), 0.005, magnitude)
    plain = MEDI(field, mask, geometry, mask.float(), 0.005)
    # 0.70 and 0.46 measured, × 1.1
    assert error(guided, chi, mask) < 0.77 * error(plain, chi, mask)
    assert guided.parameters["Edges"] != plain.parameters["Edges"] == "border of the mask"


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_fansi_leaves_a_harmonic_field_to_the_background(geometry):
    chi, field, mask = brain(geometry)
    x, y, z = coordinates(geometry)
    harmonic = 2e-3 * (x / 13 + (x**2 - y**2) / 13**2 + (2 * z**2 - x**2 - y**2) / 13**2) * mask
    found = FANSI(field + harmonic, mask, geometry, mask.float(), 0.0005)
    # 0.45 measured, × 1.1
    assert error(found, chi, mask) < 0.5 * error(INVERSIONS["tv"](field + harmonic, mask, geometry, mask.float(), 0.0005), chi, mask)
    predicted = found.background + DipoleOperator(geometry).forward(found.chi)
    assert (predicted - field - harmonic)[mask].square().mean().sqrt() < 0.0006  # noise of 0.0005


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_tfi_finds_chi_under_a_background(geometry):
    chi, _, mask = brain(geometry)
    total = surroundings(geometry, chi)
    found = TFI(total * mask, mask, geometry, mask.float(), 0.0005)
    assert error(found, chi, mask) < 27.3  # 24.8 measured, × 1.1
    assert not found.chi[~mask].any() and not found.background[~mask].any()
    left = total - found.background - DipoleOperator(geometry).forward(found.chi)
    assert left[mask].square().mean().sqrt() < 0.0007  # 0.00064 measured with a noise of 0.0005, × 1.1


def test_tfi_scales_with_field_and_noise():
    chi, _, mask = brain(OBLIQUE)
    total = surroundings(OBLIQUE, chi) * mask
    one, other = TFI(total, mask, OBLIQUE, None, 0.0005).chi, TFI(4 * total, mask, OBLIQUE, None, 0.002).chi
    assert (other / 4 - one).norm() < 1e-3 * one.norm()


def test_tfi_weighs_voxels_as_told():
    chi, _, mask = brain(OBLIQUE)
    total = surroundings(OBLIQUE, chi) * mask
    bad = torch.zeros_like(mask)
    bad[14:18, 14:18, 12:15] = True
    found = TFI(total + bad * 0.5, mask, OBLIQUE, mask.float() * ~bad, 0.0005)
    assert error(found, chi, mask) < 27.0  # 24.5 measured, × 1.1
