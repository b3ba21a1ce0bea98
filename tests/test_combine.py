"""What is combined is one signal, proportional to echo time: without the offset of any coil, without the readout's alternation."""

import numpy as np
import pytest

from chiflow.combine import combine
from chiflow.combine.blocks import Blocks
from chiflow.combine.echoes import SINGLE_ECHO
from chiflow.core.spanning_tree import wrapped

TIMES = [0.004, 0.010, 0.016, 0.022]
UNEVEN = [0.004, 0.009, 0.017, 0.022]
SHAPE = (31, 32, 33)
VOXEL = (2.0, 2.0, 2.0)


def grid(shape=SHAPE):
    return np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij")


def scan(offset, times=TIMES, shape=SHAPE, bipolar=0.0, axis=0):
    """Magnitude, phase, mask and field of a coil with an offset (rad) that is curved, read alternately along an axis with ± bipolar at its ends."""
    x, y, z = axes = grid(shape)
    field = 40 * x * y + 30 * z
    curved = offset * (1 + x - 0.5 * y + 0.3 * z * x)
    phase = [curved + 2 * np.pi * field * t + (-1) ** e * bipolar * axes[axis] for e, t in enumerate(times)]
    mask = x**2 + y**2 + z**2 < 0.9
    magnitude = np.stack([np.where(mask, np.exp(-20 * t), 0) for t in times], axis=-1).astype(np.float32)
    return magnitude, wrapped(np.stack(phase, axis=-1).astype(np.float32)), mask, field


def worst(result, mask, field, times=TIMES):
    """Largest phase, rad, by which any echo in the mask misses 2πf TE."""
    return max(float(np.abs(wrapped(result.phase[..., e] - 2 * np.pi * field * t))[mask].max()) for e, t in enumerate(times))


@pytest.mark.parametrize("strength", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("voxel, curvature", [(VOXEL, 0.0068), ((0.9, 1.0, 2.0), 0.0217)])  # measured, rad of 1 rad at the edge
def test_offset_is_found_and_removed(strength, voxel, curvature):
    magnitude, phase, mask, field = scan(strength)
    result = combine(lambda: [(magnitude, phase)], TIMES, voxel)
    assert np.array_equal(result.magnitude, magnitude)
    assert worst(result, mask, field) < 1e-5 + 1.1 * curvature * strength
    assert result.figures["Readout"] == "monopolar" and "SliceOffsets" not in result.figures and not result.warnings


def test_offset_jumping_by_two_pi_is_no_jump():
    magnitude, phase, mask, _ = scan(3.0)
    one, two = (combine(lambda p=p: [(magnitude, p)], TIMES, VOXEL).phase for p in (phase, wrapped(phase + np.float32(np.pi))))
    assert np.abs(wrapped(one - two))[mask].max() < 1e-3  # float32 phases of up to π pass through sin, cos and a Gaussian


@pytest.mark.parametrize("times", [TIMES, TIMES[:3], UNEVEN])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("bipolar", [0.8, -1.4])
def test_a_bipolar_readout_is_found_and_corrected(times, axis, bipolar):
    magnitude, phase, mask, field = scan(0.7, times, bipolar=bipolar, axis=axis)
    result = combine(lambda: [(magnitude, phase)], times, VOXEL)
    assert (result.figures["Readout"], result.figures["ReadoutAxis"]) == ("bipolar, corrected", "ijk"[axis])
    assert worst(result, mask, field, times) < 1.1 * 0.0068 * 0.7  # what the offset alone leaves


OWN = {"odd slices": lambda n: 0.5 * (np.arange(n) % 2), "random": lambda n: np.random.default_rng(5).uniform(-np.pi, np.pi, n)}


@pytest.mark.parametrize("times", [TIMES, TIMES[:2]])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
@pytest.mark.parametrize("voxel", [(2.0, 2.0, 2.0), (1.0, 1.0, 1.0)], ids=["one slice a block", "two slices a block"])
def test_slices_with_a_phase_of_their_own_lose_it(own, axis, times, voxel):
    magnitude, phase, mask, field = scan(0.7, times)
    shape = [-1 if a == axis else 1 for a in range(4)]
    turned = wrapped(phase + own(SHAPE[axis]).astype(np.float32).reshape(shape))
    result = combine(lambda: [(magnitude, turned)], times, voxel)
    assert result.figures["SliceOffsets"] == f"along {'ijk'[axis]}, taken off"
    assert worst(result, mask, field, times) < 1.1 * 0.0217 * 0.7, "what a curved offset leaves without them"


def test_slices_of_noisy_coils_have_one_offset():
    coils, power, inside, field = four_coils(TIMES)
    own = OWN["random"](SHAPE[2]).astype(np.float32).reshape(1, 1, -1, 1)
    plain, turned = (combine(lambda o=o: [(m, wrapped(p + o)) for m, p in coils], TIMES, VOXEL) for o in (0, own))
    assert "SliceOffsets" not in plain.figures
    assert np.abs(wrapped(plain.phase - turned.phase))[inside].std() < 0.02, "the noise of 0.02 in the first echo has the slices' means off by 1e-3"


def test_two_echoes_do_not_tell_the_readout():
    magnitude, phase, mask, field = scan(0.7, TIMES[:2])
    result = combine(lambda: [(magnitude, phase)], TIMES[:2], VOXEL)
    assert result.figures["Readout"] == "unknown"
    assert worst(result, mask, field, TIMES[:2]) < 1.1 * 0.0068 * 0.7


def four_coils(times):
    """Noisy magnitude and phase of four coils, where they all have signal, and the field."""
    rng, coils = np.random.default_rng(0), []
    x, y, z = grid()
    for strength, place in ((0.5, x), (-1.0, y), (2.0, -x), (1.2, -z)):
        magnitude, phase, mask, field = scan(strength, times)
        sensitivity = (0.2 + np.exp(-((place - 1) ** 2)))[..., None]
        noisy = magnitude * sensitivity * np.exp(1j * phase) + 0.02 * (rng.normal(size=phase.shape) + 1j * rng.normal(size=phase.shape))
        coils.append((np.abs(noisy).astype(np.float32), np.angle(noisy).astype(np.float32)))
    power = np.sqrt(sum(magnitude**2 for magnitude, _ in coils))
    return coils, power, mask & (power[..., -1] > 0.2), field


@pytest.mark.parametrize("times", [TIMES, TIMES[:2]])
def test_coils_add_up_to_one_coherent_signal(times):
    coils, power, inside, field = four_coils(times)
    result = combine(lambda: coils, times, VOXEL)
    assert result.figures["Coils"] == 4
    assert np.median(result.magnitude[inside] / power[inside]) == pytest.approx(1, abs=0.005), "no signal is lost to phases that cancel"
    error = np.stack([wrapped(result.phase[..., e] - 2 * np.pi * field * t)[inside] for e, t in enumerate(times)], axis=-1)
    alone = np.stack([wrapped(coils[0][1][..., e] - scan(0.5, times)[1][..., e])[inside] for e in range(len(times))], axis=-1)
    assert error.std() < 0.6 * alone.std(), "four coils have less noise than one"


def test_coils_of_a_single_echo_are_turned_to_the_strongest():
    coils, power, inside, field = four_coils(TIMES[:1])
    result = combine(lambda: coils, TIMES[:1], VOXEL)
    assert np.median(result.magnitude[inside] / power[inside]) == pytest.approx(1, abs=0.005)
    strongest = np.argmax([magnitude.sum() for magnitude, _ in coils])
    kept = scan((0.5, -1.0, 2.0, 1.2)[strongest], TIMES[:1])[1]
    assert np.median(np.abs(wrapped(result.phase - kept))[inside]) < 0.02, "its offset stays, the others' are gone"


def test_a_single_echo_stays_as_it_is_and_is_warned_about():
    magnitude, phase, _, _ = scan(0.7, TIMES[:1])
    result = combine(lambda: [(magnitude, phase)], TIMES[:1], VOXEL)
    assert np.array_equal(result.phase, phase) and result.warnings == [SINGLE_ECHO]
    assert combine(lambda: [(magnitude, phase)], TIMES[:1], VOXEL, difference=True).warnings == []


@pytest.mark.parametrize("shape, voxel", [((11, 12, 13), (0.5, 0.7, 3.0)), ((40, 41, 9), (1.0, 0.4, 2.0))])
def test_blocks_average_and_spread_a_smooth_phase_back(shape, voxel):
    blocks = Blocks(shape, voxel)
    x, y, z = grid(shape)
    phase = 2.9 + x - 0.5 * y + 0.8 * z
    back = blocks.spread(np.angle(blocks.mean(np.exp(1j * phase))))
    assert back.shape == shape
    whole = tuple(slice(0, n - n % f) for n, f in zip(shape, blocks.factors))  # the last block may be filled up with nothing
    assert np.abs(wrapped(back - phase))[whole].max() < 0.03
    assert np.allclose(blocks.mean(np.ones(shape, np.float32))[:-1, :-1, :-1], 1)
    assert Blocks((64, 64, 64), (1.0, 1.0, 1.0)).factors == (2, 2, 2) and Blocks((64, 64, 64), (2.5, 1.9, 0.6)).factors == (1, 1, 3)
