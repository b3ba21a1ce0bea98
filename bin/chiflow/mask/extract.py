"""Brain extraction from the magnitude.

    strength = root mean square over the echoes, in RAS order of its own axes
    network: probability at 2 mm, mean of image and mirror image, interpolated linearly to the grid, > ½, round its thickest piece
    surface: a sphere of triangles that moves to the edge of the brain

then the largest component, holes filled. A brain that cannot be one (too small, in pieces, or the network is unsure) makes room for the next
method. Where nothing dark is enclosed there is no skull: a phantom, a piece of brain, or a brain without its head. There, and where no method
finds a brain, everything with signal is taken. Each step down is a warning.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from chiflow.core.errors import ChiflowError
from chiflow.core.weights import load_weights
from chiflow.mask.grid import SPACING_MM, normalised, padded, resampled, unpadded
from chiflow.mask.network import BrainNetwork
from chiflow.mask.quality import largest_component
from chiflow.mask.surface import surface_mask

LEAST_SIGNAL = 0.3  # × the median inside: what the surface encloses and is darker is no brain
LEAST_DARK = 0.03  # enclosed dark voxels per bright one: six heads had 0.10 … 0.19, three phantoms and a piece of brain 0 … 0.013
LEAST_SHARE = 0.02  # of the volume
LEAST_ML = 30.0
LARGEST_MM = 220.0  # brains are up to 190 mm long; what was found in an abdomen was 358 mm wide
LEAST_PROBABILITY = 0.5
HEAD_MM = 175.0  # brains end 132 … 152 mm below the top of the head; the network has seen no neck below that
CORE_MM = 10.0  # measured on a tilted head whose neck was taken for brain: 4 … 6 mm leave it, 8 … 12 mm cut it off
LEAST_IN_ONE_PIECE = 0.8
LEAST_CERTAINTY = 0.8  # mean probability inside


@dataclass(frozen=True)
class Extraction:
    """A brain (X, Y, Z) bool, the method that found it, and what there is to be said."""

    brain: np.ndarray
    method: str
    warnings: list[str] = field(default_factory=list)


def extracted_brain(magnitude: np.ndarray, affine: np.ndarray, *, method: str, weights: Path) -> Extraction:
    """The brain in a magnitude (X, Y, Z[, E]) with its affine (mm).

    method : where to start in BRAIN_EXTRACTIONS. weights : of the network. Raises ChiflowError when the magnitude is zero or the weights are refused.
    """
    strength = np.sqrt(np.mean(np.square(magnitude.reshape(*magnitude.shape[:3], -1)), axis=3))
    if not strength.any():
        raise ChiflowError("the magnitude is zero everywhere")
    orientation = io_orientation(affine)
    upright = np.ascontiguousarray(nibabel.apply_orientation(strength, orientation))
    voxel_size = np.linalg.norm(affine @ inv_ornt_aff(orientation, strength.shape), axis=0)[:3]
    found = first_brain(upright, voxel_size, method, weights)
    back = ornt_transform(axcodes2ornt("RAS"), orientation)
    return replace(found, brain=np.ascontiguousarray(nibabel.apply_orientation(found.brain, back)).astype(bool))


def first_brain(strength: np.ndarray, voxel_size: np.ndarray, method: str, weights: Path) -> Extraction:
    """What the first method from `method` on finds that can be a brain, else everything with signal."""
    names, doubts = list(BRAIN_EXTRACTIONS), []
    names = names[names.index(method) :]
    if dark_inside(bright_part(strength)) < LEAST_DARK:
        names, doubts = [], ["no skull is seen: a phantom, or a brain without its head"]
    for name in names:
        brain, doubt = judged(*BRAIN_EXTRACTIONS[name](strength, voxel_size, weights), voxel_size)
        if not doubt:
            return Extraction(brain, name, doubts)
        doubts.append(f"brain extraction by {name}: {doubt}")
    doubts.append("everything with signal is taken: give a mask if that is not what you want")
    return Extraction(with_signal(strength, bright_part(strength)), "signal", doubts)


def bright_part(strength: np.ndarray) -> np.ndarray:
    """Where there is signal: above 0.3 × the median of what is not air, (X, Y, Z) bool."""
    return strength > LEAST_SIGNAL * np.median(strength[strength >= 0.2 * np.percentile(strength, 98)])


def dark_inside(bright: np.ndarray) -> float:
    """Voxels that lie dark between bright ones (X, Y, Z) bool along two axes or more, per bright voxel: the skull."""
    between = np.zeros(bright.shape, np.uint8)
    for axis in range(3):
        before = np.logical_or.accumulate(bright, axis=axis)
        between += before & np.flip(np.logical_or.accumulate(np.flip(bright, axis), axis=axis), axis) & ~bright
    return float((between >= 2).sum() / bright.sum())


def by_network(strength: np.ndarray, voxel_size: np.ndarray, weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """Share of brain (X, Y, Z) 0 … 1, twice: as mask and as it is."""
    head = strength[:, :, neck(strength, voxel_size[2]) :]
    shape = tuple(int(np.ceil(n * v / SPACING_MM - 0.01)) for n, v in zip(head.shape, voxel_size))  # 0.01: affines are rounded
    coarse = resampled(head, voxel_size, shape, (SPACING_MM,) * 3)
    share = unpadded(network_share(padded(normalised(coarse)), weights), shape)
    fine = np.zeros(strength.shape, np.float32)
    fine[:, :, strength.shape[2] - head.shape[2] :] = resampled(share * round_the_core(share > LEAST_PROBABILITY), (SPACING_MM,) * 3, head.shape, voxel_size)
    return fine > LEAST_PROBABILITY, fine


def neck(strength: np.ndarray, slice_mm: float) -> int:
    """The lowest slice that a brain can reach: HEAD_MM below the top of the head, the first slice with 5 % of the signal of the fullest."""
    filled = bright_part(strength).sum(axis=(0, 1))
    top = np.nonzero(filled > 0.05 * filled.max())[0].max()
    return max(0, int(top + 1 - HEAD_MM / slice_mm))


def round_the_core(mask: np.ndarray) -> np.ndarray:
    """What is near the thickest piece of a mask at 2 mm: opening by a ball cuts off the muscles of the neck that hang on the cord."""
    depth = distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    core = largest_component(depth > CORE_MM)
    return distance_transform_edt(~core, sampling=SPACING_MM) <= CORE_MM + 2 * SPACING_MM if core.any() else np.ones_like(mask)


def network_share(image: np.ndarray, weights: Path) -> np.ndarray:
    """Mean of the network's probability for an image (X, Y, Z) at 2 mm and for its mirror image."""
    tensors, card = load_weights(weights)
    network = BrainNetwork(tuple(card["Architecture"]["Channels"])).eval()
    network.load_state_dict(tensors)
    with torch.inference_mode():
        x = torch.from_numpy(image)[None, None]
        return ((torch.sigmoid(network(x)) + torch.sigmoid(network(x.flip(2))).flip(2)) / 2)[0, 0].numpy()


def by_surface(strength: np.ndarray, voxel_size: np.ndarray, weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """What a deformable surface encloses and has signal, and how sure that is: entirely."""
    inside = surface_mask(strength, voxel_size)
    return (with_signal(strength, inside) if inside.any() else inside), np.ones_like(strength)


BRAIN_EXTRACTIONS = {"network": by_network, "surface": by_surface}


def with_signal(strength: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The voxels inside that are not dark: one piece, holes filled."""
    return binary_fill_holes(largest_component(inside & (strength > LEAST_SIGNAL * np.median(strength[inside]))))


def judged(mask: np.ndarray, share: np.ndarray, voxel_size: np.ndarray) -> tuple[np.ndarray, str]:
    """The largest piece of a mask with its holes filled, and why it cannot be a brain ('' when it can)."""
    piece = largest_component(mask)
    brain = binary_fill_holes(piece)
    volume_ml = brain.sum() * np.prod(voxel_size) / 1000
    if volume_ml < LEAST_ML or brain.mean() < LEAST_SHARE:
        return brain, f"{volume_ml:.0f} ml, {100 * brain.mean():.0f} % of the volume, is no brain"
    widest_mm = max((np.ptp(places) + 1) * v for places, v in zip(np.nonzero(brain), voxel_size))
    if widest_mm > LARGEST_MM:
        return brain, f"{widest_mm:.0f} mm across is no brain"
    if piece.sum() < LEAST_IN_ONE_PIECE * mask.sum():
        return brain, f"in pieces, the largest is {100 * piece.sum() / mask.sum():.0f} % of all"
    if share[piece].mean() < LEAST_CERTAINTY:
        return brain, f"unsure, mean probability {share[piece].mean():.2f}"
    return brain, ""
