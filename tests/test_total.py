"""The network of the total field, its start and its samples: what it may change and what not."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_background import ball, field_of, outside_field

from chiflow.background.net import net
from chiflow.core.blocks import Correction
from chiflow.core.depth import depth_mm
from chiflow.core.geometry import Geometry
from chiflow.core.total.net import INPUTS, TotalNet, inputs
from chiflow.core.total.scale import coarser, coarser_geometry, factors_for, finer, total_fit, total_result, turned
from chiflow.core.total.start import DEPTH_MM, explained, informed, local_field, middle_of, outside_of, placed, started, surface
from chiflow.core.total.trained import figures, loaded
from chiflow.invert.net_total import net_total
from chiflow.simulate import recipe
from chiflow.simulate.anatomy import LabelHead
from chiflow.simulate.recipe import Recipe
from chiflow.simulate.surroundings import Surroundings, background_field
from chiflow.simulate.total import head_tensor, shim, turned_field
from chiflow.train import total as total_training
from chiflow.train import total_session
from chiflow.train.total import half_widths, loss_of, restored
from chiflow.train.heads import code_sha256
from chiflow.train.total_session import Config, new_state, trained, write_total

AXIAL = Geometry((42, 43, 45))
OBLIQUE = Geometry((40, 43, 30), (1.2, 1.0, 1.5), (0.0, 0.42, 0.91))
SCALED = 0.0133  # measured × 1.1: the fit stops a step apart; exact for a factor that is a power of two
SEEN = {0: 0.126, 1: 0.123}  # measured × 1.1, of the field of z
PRIOR_GAIN = 0.59  # measured × 1.1


def scan(geometry):
    """Total field, mask, local field and χ of a ball with bodies inside and two spheres outside; background ten times the local field."""
    mask = ball(geometry)
    chi = (0.1 * ball(geometry, 4.0, (4, 0, -3)).float() - 0.1 * ball(geometry, 3.0, (-5, 2, 3)).float() + 0.05 * ball(geometry, 5.0, (0, -8, 0)).float()) * mask
    chi = (chi - chi[mask].mean()) * mask
    local = field_of(chi, geometry) * mask
    return (local + outside_field(geometry)) * mask, mask, local, chi


def start_of(geometry, factor=1.0):
    field, mask, _, _ = scan(geometry)
    return started(factor * field, mask, geometry, mask.float(), factor * 5e-4, None)


def trained_at_random(seed=0):
    """A network whose last layers are not 0."""
    torch.manual_seed(seed)
    network = TotalNet((8, 8), 2)
    for correction in network.corrections:
        torch.nn.init.normal_(correction.exit.weight, std=0.02)
    return network.eval()


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
def test_untrained_the_network_is_its_start(geometry):
    start = start_of(geometry)
    found = TotalNet((4, 4), 2)(start)
    assert all(torch.equal(sources, start.sources) for sources in found.sources)
    assert torch.equal(found.local[-1], local_field(start.sources, start))


@pytest.mark.parametrize(("geometry", "bent"), [(AXIAL, 0.0031), (OBLIQUE, 0.0147)])  # measured × 1.1: second differences, exact for small voxels only
@torch.no_grad()
def test_the_local_field_differs_from_the_total_field_by_that_of_sources_outside(geometry, bent):
    """Whatever the network says: the field of these sources, none of them below the mask's surface, so it is harmonic there."""
    start = informed(start_of(geometry), 0.5 * scan(geometry)[3])
    found = trained_at_random()(start)
    inside, fit = start.mask > 0, start.fit
    background = (start.field - found.local[-1]) * start.mask
    outside = outside_of(found.sources[-1], start)
    assert torch.allclose(background[inside], fit.forward(outside)[inside], atol=1e-4 * float(start.field.abs().max()))
    assert not outside[inside & ~surface(inside)].any()
    curvature = sum((background.roll(1, a) + background.roll(-1, a) - 2 * background) / v**2 for a, v in enumerate(geometry.voxel_size))
    middle, _ = middle_of(geometry)
    deep = placed(ball(geometry, 11.0), middle, start.mask.shape)
    spread = max(float(background[deep].std()), 1e-6)
    assert float(curvature[deep].square().mean() ** 0.5) < bent * spread


@pytest.mark.parametrize("case", [0, 1])
@torch.no_grad()
def test_a_change_is_hardly_seen_in_the_field(case):
    """z − J D z is what the field does not tell: J takes back what it sees."""
    geometry = (AXIAL, OBLIQUE)[case]
    start = start_of(geometry)
    fit = start.fit
    z = start.mask * torch.nn.functional.avg_pool3d(torch.randn(1, 1, *start.mask.shape, generator=torch.Generator().manual_seed(1)), 5, 1, 2)[0, 0]
    seen = fit.forward(z)
    left = fit.forward(z - explained(seen, fit, start.deviation, 12))
    inside = start.mask > 0
    assert left[inside].norm() < SEEN[case] * seen[inside].norm()


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE])
@torch.no_grad()
def test_knowing_half_of_the_susceptibility_makes_the_local_field_better(geometry):
    field, mask, local, chi = scan(geometry)
    start = started(field, mask, geometry, mask.float(), 5e-4, None)
    middle, _ = middle_of(geometry)
    error = lambda s: ((local_field(s.sources, s)[middle] * s.rms_ppm - local)[mask]).std()
    assert error(informed(start, 0.5 * chi)) < PRIOR_GAIN * error(start)


@pytest.mark.parametrize("factor", [0.25, 10.0])
@torch.no_grad()
def test_sources_scale_with_the_field(factor):
    one, other = start_of(AXIAL), start_of(AXIAL, factor)
    network = trained_at_random()
    a, b = network(one).sources[-1] * one.rms_ppm, network(other).sources[-1] * other.rms_ppm / factor
    assert (a - b).norm() < SCALED * a.norm()


@pytest.mark.parametrize(("order", "flips", "sign"), [((1, 2, 0), (), 1.0), ((0, 1, 2), (0, 2), -1.0)])
@torch.no_grad()
def test_the_start_turns_with_the_scan(order, flips, sign):
    one = turned(start_of(OBLIQUE), order, flips, sign)
    field, mask, _, _ = scan(OBLIQUE)
    geometry = Geometry(tuple(OBLIQUE.shape[a] for a in order), one.geometry.voxel_size, one.geometry.b0)
    move = lambda volume: volume.permute(order).flip(flips).contiguous()
    other = started(sign * move(field), move(mask), geometry, move(mask.float()), 5e-4, None)
    (a, _), (b, _) = middle_of(geometry), middle_of(geometry)
    # a flip may move the volume by a voxel on its grid, which changes nothing but the order of sums
    locals_ = [local_field(s.sources, s)[s.mask > 0] * s.rms_ppm for s in (one, other)]
    assert (locals_[0] - locals_[1]).norm() < 0.02 * locals_[0].norm()  # they stop a step apart


def test_the_network_is_given_what_it_reads_and_learns():
    start = start_of(OBLIQUE)
    assert inputs(start.sources, start, start.fit).shape == (INPUTS, *start.mask.shape)
    network = TotalNet((4, 4))
    field, mask, local, chi = scan(OBLIQUE)
    middle, wide = middle_of(OBLIQUE)
    truth = {"chi": placed(chi, middle, wide.shape) / start.rms_ppm, "local": placed(local, middle, wide.shape) / start.rms_ppm}
    loss = loss_of(network(start), start, truth)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert network.corrections[0].exit.weight.grad.abs().max() > 0


def test_no_field_has_no_sources():
    _, mask, _, _ = scan(AXIAL)
    start = started(torch.zeros(AXIAL.shape), mask, AXIAL, mask.float(), 5e-4, None)
    with torch.no_grad():
        found = trained_at_random()(start)
    assert torch.isfinite(found.sources[-1]).all() and float(found.local[-1].abs().max()) * start.rms_ppm < 1e-9


def test_blocks_of_voxels_keep_means_and_places():
    geometry = Geometry((21, 22, 11), (0.8, 0.8, 2.0))
    factors = factors_for(geometry)
    assert factors == (3, 3, 1) and coarser_geometry(geometry, factors).shape == (7, 8, 11)
    mask = torch.zeros(geometry.shape, dtype=torch.bool)
    mask[3:18, 3:18, 2:9] = True
    x, _, _ = torch.meshgrid(*[torch.arange(float(n)) for n in geometry.shape], indexing="ij")
    field, blocks, _, weights, sigma, _ = coarser(x * mask, mask, geometry, None, 3e-3, None, factors)
    assert torch.allclose(field[1:6, 3, 5], torch.tensor([4.0, 7, 10, 13, 16])) and sigma == pytest.approx(1e-3) and torch.equal(weights > 0, blocks)
    again = finer(field, blocks.float(), mask, factors)
    assert torch.allclose(again[6:15, 8, 5], x[6:15, 8, 5], atol=1e-4)


SURROUNDED = (40, 44, 48)


def surroundings():
    """Air in a corner outside a brain of 20 × 24 × 22 mm."""
    rng = np.random.default_rng(0)
    excess = np.zeros(SURROUNDED, np.float32)
    excess[4:9, 6:12, 8:13], excess[30:34, 34:38, 36:40] = 9.4, -2.1
    kinds = rng.integers(1, 3, (20, 24, 22)).astype(np.uint8)
    return Surroundings(excess, (10, 10, 13)), LabelHead(kinds, "head")


@pytest.mark.parametrize("b0", [(0.0, 0.0, 1.0), (0.3, -0.5, 0.8)])
def test_the_background_of_a_straight_head_is_that_of_the_surroundings(b0):
    around, head = surroundings()
    recipe = Recipe(0, 0, (11, 13, 12), (2.0, 2.0, 2.0), tuple((np.array(b0) / np.linalg.norm(b0)).tolist()))
    ours, theirs = turned_field(head_tensor(around, head.kinds.shape), head, recipe), background_field(around, head, recipe)
    assert (ours - theirs).norm() < 0.01 * theirs.norm()  # kernels with and without aliases, of blurred sources: 0.1 % on a head


def test_the_background_turns_with_the_head():
    """A quarter turn about the first axis: the box sees the same field with its axes exchanged, when B0 turns, too."""
    around, head = surroundings()
    tensor = head_tensor(around, head.kinds.shape)
    one = Recipe(0, 0, (11, 13, 12), (2.0, 2.0, 2.0), (0.0, 0.6, 0.8))
    other = replace(one, shape=(11, 12, 13), turn_deg=(90.0, 0.0, 0.0), b0=(0.0, 0.8, -0.6))
    here, there = turned_field(tensor, head, one), turned_field(tensor, head, other)
    assert torch.allclose(there, here.permute(0, 2, 1).flip(2), atol=1e-3 * float(here.abs().max()))


def test_a_shim_takes_off_what_a_scanner_can():
    geometry = Geometry((20, 21, 22), (1.0, 1.2, 0.9))
    mask = ball(geometry, 8.0)
    x, y, z = torch.meshgrid(*[(torch.arange(n) - (n - 1) / 2) * v for n, v in zip(geometry.shape, geometry.voxel_size)], indexing="ij")
    field = 0.1 + 0.02 * x - 0.01 * y * z + 0.003 * (2 * z**2 - x**2 - y**2)
    assert (field - shim(field, mask, geometry))[mask].abs().max() < 1e-4
    kept = x**3 - 3 * x * y**2
    assert (kept - shim(kept, mask, geometry))[mask].norm() > 0.3 * kept[mask].norm()


def test_a_correction_reads_as_many_volumes_as_it_is_told():
    assert not Correction(5, (4, 4), 1)(torch.ones(5, 8, 9, 10)).any()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A configuration and random shapes of a few voxels."""
    monkeypatch.setattr(recipe, "SHAPES", ((14, 14, 14),))
    monkeypatch.setattr(total_training, "FEWEST_VOXELS", 50)
    return Config(steps=4, shards=2, shard_size=1, steps_per_shard=2, warm_up=1, channels=(4, 4), checked_every=2, validation_samples=1), tmp_path


def test_a_training_goes_on_where_it_was_interrupted(tiny, monkeypatch):
    config, folder = tiny
    whole = trained(config, [], [], folder / "whole", torch.device("cpu"))
    monkeypatch.setattr(total_session, "SAVED_EVERY", 1)
    real, done = total_session.stepped, []

    def interrupted(*arguments):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(real(*arguments))
        return done[-1]

    monkeypatch.setattr(total_session, "stepped", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(config, [], [], folder / "parts", torch.device("cpu"))
    monkeypatch.setattr(total_session, "stepped", real)
    again = trained(config, [], [], folder / "parts", torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(whole.mean.parameters(), again.mean.parameters()))
    assert [row["step"] for row in again.curve] == [2, 4] and np.isfinite([row["loss"] for row in again.curve]).all()


def test_untrained_weights_give_the_start_and_a_scan_unlike_the_training_does_without_them(tmp_path):
    field, mask, _, _ = scan(AXIAL)
    known = field, mask, AXIAL, mask.float(), 5e-4, None
    fit = total_fit(*known)
    expected = total_result(fit)
    for ranges, fell in (({}, False), ({"MeanVoxelMm": [0.1, 0.2]}, True)):
        weights = tmp_path / f"{fell}.safetensors"
        save_file(TotalNet((4, 4), 1).state_dict(), weights)
        card = {"Sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "Architecture": {"Channels": [4, 4], "Iterations": 1}, "Ranges": ranges,
                "HalfWidths": {"DepthMm": [0, 10], "OfChi": [3.0, 1.0], "OfLocal": [1.0, 0.5]}}
        weights.with_suffix(".json").write_text(json.dumps(card))
        found, local = net_total(*known, weights=weights), net(*known, weights=weights)
        assert torch.equal(found.chi, expected.chi) and torch.equal(found.background, expected.background) and torch.equal(local.field, expected.local)
        for result in (found, local):
            assert ("Fallback" in result.parameters) == fell == bool(result.warnings) and {check.verdict for check in result.checks} == ({"warn"} if fell else set())
        assert local.parameters["HalfWidthsPpm"] == pytest.approx([fit.coarse.rms_ppm, fit.coarse.rms_ppm / 2], rel=0.01)  # three digits
        depth = depth_mm(mask, AXIAL)
        assert torch.allclose(found.uncertainty[mask], ((3 - depth / 5).clamp(min=1) * fit.coarse.rms_ppm / 1.645)[mask], rtol=1e-5) and not found.uncertainty[~mask].any()


def test_half_widths_hold_ninety_percent_of_the_errors(tiny, tmp_path):
    contents = [total_training.sample(0, number, [], []) for number in range(2)]
    network = TotalNet((4, 4), 1)
    widths = half_widths(network, contents)
    for content in contents[:1]:
        start, truth = restored(content)
        found = network(start)
        depth = -DEPTH_MM * start.depth[start.mask > 0].log()
        for name, error in zip(("OfLocal", "OfChi"), total_training.errors_of(found.sources[-1], found.local[-1], start, truth)):
            one = half_widths(network, [content])[name]
            band = (depth > 3.0) & (depth <= 5.0)
            assert float((error[band].abs() <= one[1]).float().mean()) == pytest.approx(0.9, abs=0.02)
    assert 1 < len(widths["DepthMm"]) == len(widths["OfChi"]) == len(widths["OfLocal"]) and min(widths["OfChi"]) > 0


def test_a_training_ends_in_weights_that_a_card_describes(tiny, tmp_path):
    config, folder = tiny
    path = write_total(replace(config, steps=2), None, "", folder / "cache", tmp_path / "out", torch.device("cpu"))
    network, card = loaded(path, torch.device("cpu"))
    assert sum(p.numel() for p in network.parameters()) == card["Architecture"]["Parameters"] and card["Training"]["StepsDone"] == 2
    assert set(card["Ranges"]) == set(figures(start_of(AXIAL))) and card["ValidationCurve"][-1]["Step"] == 2
    assert card["Training"]["Sha256OfCode"] == [code_sha256()]
