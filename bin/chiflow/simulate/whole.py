"""Whole heads with typical tissue, for judging what was trained on other heads: no model error and no noise unless the recipe is changed.

    magnitude = M0 exp(−R2* TE)

of each kind at TE = 18 ms and 3 T. A head lies straight in its box; B0 turns round it.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from chiflow.core.errors import ChiflowError
from chiflow.simulate.anatomy import INDEX, KINDS, LabelHead
from chiflow.simulate.paint import centre_of
from chiflow.simulate.recipe import Recipe
from chiflow.simulate.sample import Sample, made

ECHO_TIME_S = 0.018
SIGNAL = {  # M0 and R2* in 1/s at 3 T; what is not named is like white_matter
    "white_matter": (0.71, 20), "cerebral_cortex": (0.82, 16), "cerebellar_cortex": (0.82, 16), "hippocampus": (0.82, 15), "accumbens": (0.80, 20),
    "thalamus": (0.78, 20), "caudate": (0.80, 22), "putamen": (0.79, 28), "pallidum": (0.72, 40), "ventricle": (0.98, 2), "csf": (0.98, 2),
    "vessel": (0.78, 45), "red_nucleus": (0.74, 33), "substantia_nigra": (0.73, 40), "dentate": (0.76, 30),
}
BRIGHTNESS = tuple(float(m0 * np.exp(-r2star * ECHO_TIME_S)) for m0, r2star in (SIGNAL.get(name, SIGNAL["white_matter"]) for name in KINDS))
BIAS_MM, GUIDE_NOISE = 120.0, 0.05
TEXTURE_PPM = (0.005, 0.010)
LESION_PPM, LESION_MM = ((0.2, 1.5), (-1.0, -0.2)), (2.0, 4.0)
LESION_DEPTH_MM, LESION_GAP_MM = 7.0, 12.0
DRAWS = 2  # stream of random numbers, apart from those of `made`


def whole_head(head: LabelHead, voxel_size: tuple[float, ...], b0: tuple[float, ...], seed: int, **options) -> Sample:
    """The sample of `whole_recipe`, with its options; a lesion's voxels are those of its kind, LESION and up."""
    return made(whole_recipe(head, voxel_size, b0, seed, **options), [head])


def whole_recipe(head: LabelHead, voxel_size: tuple[float, ...], b0: tuple[float, ...], seed: int, *, extent_mm: float | None = None,
                 lesions: int = 0, veins: int = 40, number: int = 0, **changes) -> Recipe:
    """Recipe of a whole brain with one voxel of air around it, or of a cube of `extent_mm` round its deep grey matter.

    head : the label map, `number` its index among those that `made` gets. voxel_size in mm, b0 in voxel axes. lesions : number, −1 to 1.5 ppm with
    radii of 2 to 4 mm, in tissue and apart. changes : other values for fields of the recipe, such as sigma_ppm, residue, outliers, blurred.
    """
    rng = np.random.default_rng([seed, DRAWS])
    extent = np.array(head.kinds.shape if extent_mm is None else (extent_mm,) * 3, float)
    around = 2 if extent_mm is None else 0
    shape = tuple(int(np.ceil(e / v - 1e-6)) + around for e, v in zip(extent, voxel_size))
    b0 = tuple(float(b) for b in np.array(b0) / np.linalg.norm(b0))
    texture = tuple(rng.uniform(*TEXTURE_PPM, len(KINDS)).tolist())
    centre = "whole" if extent_mm is None else "nuclei"
    recipe = Recipe(seed, number, shape, tuple(float(v) for v in voxel_size), b0, centre=centre, texture_ppm=texture, brightness=BRIGHTNESS,
                    vein_brightness=BRIGHTNESS[INDEX["vessel"]], bias_mm=BIAS_MM, veins=veins, sigma_ppm=0.0, guide_noise=GUIDE_NOISE)
    return replace(with_lesions(recipe, head, lesions, rng), **changes)


def with_lesions(recipe: Recipe, head: LabelHead, number: int, rng: np.random.Generator) -> Recipe:
    """The recipe with lesions in tissue of the brain that the box holds. Raises ChiflowError when it has no room for them."""
    lesions = []
    for index in range(number):
        low, high = LESION_PPM[index % 2]
        lesions.append((float(rng.uniform(low, high)), float(rng.uniform(*LESION_MM))))
    return replace(recipe, lesions=tuple(lesions), lesion_places=lesion_places(recipe, head, number, rng))


def lesion_places(recipe: Recipe, head: LabelHead, number: int, rng: np.random.Generator) -> tuple[tuple[float, ...], ...]:
    """Middles of lesions as fractions of the box: in solid tissue, away from the brain's rim, the box's faces and each other."""
    if not number:
        return ()
    extent = np.array(recipe.shape) * recipe.voxel_size
    solid = (head.kinds > 0) & ~np.isin(head.kinds, [INDEX[name] for name in ("csf", "ventricle", "vessel")])
    deep = np.argwhere(solid & (distance_transform_edt(np.pad(head.kinds > 0, 1))[1:-1, 1:-1, 1:-1] > LESION_DEPTH_MM))
    points = deep - centre_of(recipe, head, rng)
    points = rng.permutation(points[(np.abs(points) < extent / 2 - LESION_DEPTH_MM).all(1)])
    taken = []
    while len(taken) < number and len(points):
        taken.append(tuple((0.5 + points[0] / extent).tolist()))
        points = points[np.linalg.norm(points - points[0], axis=1) >= LESION_GAP_MM]
    if len(taken) < number:
        raise ChiflowError(f"{head.name}: no room for {number} lesions: found {len(taken)} places that are {LESION_GAP_MM} mm apart")
    return tuple(taken)
