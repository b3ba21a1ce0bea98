"""The learned inversion: its parts against naive ones, its symmetries, its guard and its uncertainty."""

import shutil

import pytest
import torch
from test_invert import AXIAL, OBLIQUE, brain

from chiflow.core import blocks
from chiflow.core.blocks import Convolution, Correction, shuffled, unshuffled
from chiflow.core.contracts import worst
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.core.ranges import FARTHEST
from chiflow.invert.corrector import LEAST_DOUBT, Corrector
from chiflow.invert.guard import checks, figures_before
from chiflow.invert.ictv import ictv
from chiflow.invert.net import WEIGHTS, ensemble, loaded, net
from chiflow.invert.start import NAMES, started, turned

RANGES = {"MeanVoxelMm": [0.5, 2.8], "FieldRmsPpm": [0.002, 0.1], "MisfitShare": [0.01, 1.0]}


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def start_of(geometry, noise=0.002, magnitude=None):
    _, field, mask = brain(geometry, noise)
    return started(field, mask, geometry, mask.float(), noise, magnitude)


def test_shuffling_is_undone():
    x = random(8, 3, 6, 10)
    assert unshuffled(x).shape == (4, 24, 3, 5)
    assert torch.equal(shuffled(unshuffled(x)), x)


@pytest.mark.parametrize("part", [3, 64])
def test_convolution_of_slices_is_the_3d_one(part, monkeypatch):
    monkeypatch.setattr(blocks, "PART", part)
    convolution, x = Convolution(3, 5), random(11, 3, 8, 7)
    kernel = convolution.weight.detach().reshape(5, 3, 3, 3, 3).transpose(1, 2)
    naive = torch.nn.functional.conv3d(x.transpose(0, 1)[None], kernel, padding=1)[0].transpose(0, 1)
    with torch.no_grad():
        assert torch.allclose(convolution(x), naive, atol=1e-5)  # float32 over 81 products
    assert torch.allclose(convolution(x), naive, atol=1e-5)


@pytest.mark.parametrize("shape", [(11, 12, 13), (16, 8, 20)])
def test_a_correction_has_the_size_of_its_input_and_starts_at_zero(shape):
    correction = Correction(5, (4, 6), 1)
    assert torch.equal(correction(random(5, *shape)), torch.zeros(shape))


def test_an_untrained_network_changes_nothing_and_has_a_doubt_in_the_mask_alone():
    start = start_of(OBLIQUE)
    found = Corrector((4, 6, 8))(start)
    assert torch.equal(found.chi, start.volume("chi") * start.mask)
    assert (found.u[start.mask > 0] >= LEAST_DOUBT).all() and not found.u[start.mask == 0].any()


@pytest.mark.parametrize(("flips", "sign", "order"), [((0, 1, 2), -1.0, (0, 1, 2)), ((1,), 1.0, (2, 0, 1))])
def test_the_start_turns_with_the_scan(flips, sign, order):
    _, field, mask = brain(OBLIQUE, 0.002)
    magnitude = 1 + mask * field.abs() / field.abs().max()
    start = started(field, mask, OBLIQUE, mask.float(), 0.002, magnitude)
    one = turned(start, flips, sign, order)
    move = lambda volume: volume.permute(order).flip(flips).contiguous()
    other = started(sign * move(field), move(mask), one.geometry, move(mask.float()), 0.002, move(magnitude))
    for name in NAMES:
        # the field of view is padded behind the volume, so its flip has other neighbours across the border: 0.3 % measured
        assert (one.volume(name) - other.volume(name)).norm() < 0.005 * other.volume(name).norm(), name
    assert one.misfit_share == pytest.approx(other.misfit_share, rel=0.005)


@pytest.mark.parametrize("factor", [0.25, 4.0, 10.0])
def test_map_and_uncertainty_scale_with_field_and_noise(factor):
    _, field, mask = brain(OBLIQUE, 0.002)
    one = net(field, mask, OBLIQUE, mask.float(), 0.002, guard=False)
    other = net(factor * field, mask, OBLIQUE, mask.float(), factor * 0.002, guard=False)
    for a, b in ((one.chi, other.chi), (one.uncertainty, other.uncertainty)):
        assert (b / factor - a).norm() < 1e-3 * a.norm()  # float32 through some 80 conjugate gradient steps


def test_uncertainty_is_positive_in_the_mask_and_grows_with_noise():
    found = []
    for noise in (0.0005, 0.005):
        _, field, mask = brain(AXIAL, noise)
        found.append(net(field, mask, AXIAL, mask.float(), noise, guard=False))
        assert (found[-1].uncertainty[mask] > 0).all() and not found[-1].uncertainty[~mask].any() and not found[-1].chi[~mask].any()
    assert found[1].uncertainty[mask].median() > 1.3 * found[0].uncertainty[mask].median()  # measured 1.5, for ten times the noise


def test_the_guard_lets_pass_what_is_in_range():
    start = start_of(AXIAL)
    assert worst(checks(figures_before(start), RANGES)) == "pass"


@pytest.mark.parametrize(("change", "verdict", "words"), [
    ({"MeanVoxelMm": 3.0}, "warn", "MeanVoxelMm 3 is above 2.8: outside the range"), ({"FieldRmsPpm": 2.0}, "fail", "FieldRmsPpm 2 is above 0.15"),
    ({"MisfitShare": 0.001}, "fail", "MisfitShare 0.001 is below 0.00667"), ({"ZeroShare": 0.3}, "fail", "is it in the right place?")])
def test_the_guard_names_what_is_unlike_the_training(change, verdict, words):
    found = checks(figures_before(start_of(AXIAL)) | change, RANGES)
    assert worst(found) == verdict and words in " ".join(check.told for check in found if check.verdict != "pass")
    far = {key: FARTHEST * 1.01 * high for key, (_, high) in RANGES.items()} | {"ZeroShare": 1.0}
    assert [check.verdict for check in checks(far, RANGES)] == ["fail"] * (len(RANGES) + 1)


@pytest.mark.parametrize("spoil", ["hz", "coarse", "misplaced"])
def test_another_method_takes_over_where_the_network_was_not_trained(spoil):
    _, field, mask = brain(AXIAL, 0.002)
    geometry = Geometry(AXIAL.shape, (5.0, 5.0, 5.0)) if spoil == "coarse" else AXIAL
    field = 123.0 * field if spoil == "hz" else field
    mask = torch.roll(mask, 8, 0) if spoil == "misplaced" else mask
    found = net(field * mask, mask, geometry, mask.float(), 0.002)
    assert found.parameters["Fallback"] == "ictv" and (found.uncertainty[mask] > 0).all() and worst(found.checks) == "warn"
    assert "ictv is: " in found.warnings[0]


def test_what_the_network_began_from_is_the_iterative_map_of_the_same_field():
    _, field, mask = brain(AXIAL, 0.002)
    found = net(field, mask, AXIAL, mask.float(), 0.002, guard=False)
    began = ictv(field, mask, AXIAL, mask.float(), 0.002).chi
    assert torch.allclose(found.start, began, atol=1e-6 * float(began.abs().max())) and not torch.equal(found.start, found.chi)  # float32


def test_other_weights_than_the_card_describes_are_refused(tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(WEIGHTS.with_suffix(suffix), tmp_path / f"other{suffix}")
    content = bytearray((tmp_path / "other.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "other.safetensors").write_bytes(content)
    _, field, mask = brain(AXIAL)
    with pytest.raises(ChiflowError, match="SHA-256"):
        net(field, mask, AXIAL, weights=tmp_path / "other.safetensors")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_gpu_finds_the_same_map():
    start = start_of(OBLIQUE)
    maps = [ensemble(loaded(WEIGHTS, torch.device(d))[0], started(*(v.to(d) for v in brain_tensors()), OBLIQUE, None, 0.002, None))[0].cpu() for d in ("cpu", "cuda")]
    assert (maps[0] - maps[1]).norm() < 1e-3 * start.volume("chi").norm()  # float32, other order of sums


def brain_tensors():
    _, field, mask = brain(OBLIQUE, 0.002)
    return field, mask
