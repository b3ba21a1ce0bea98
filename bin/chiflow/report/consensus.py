"""The 2024 consensus on QSM (10.1002/mrm.30006) beside a run: what it asks for, whether that is so, and why; and the methods text that it asks to be published."""

from dataclasses import dataclass

from chiflow.core.contracts import Acquisition, Record

SHARP_OR_PDF = ("vsharp", "resharp", "ismv", "pdf")
SPARSE = ("ictv", "fansi", "gtv", "tv", "medi", "hdqsm", "tfi")
LARGEST_VOXEL_MM = 1.05  # 1 mm, and what scanners round
BESIDE = ", which is outside the recommendation; guided total variation, which it begins from, is beside it (desc-iterative_Chimap)"
NAMES = {  # of methods, with their papers
    "mcpc-3d-s": "MCPC-3D-S (10.1002/mrm.26963)",
    "tree": "an exact spanning tree with ROMEO weights (10.1002/mrm.28563)",
    "individual": "an exact spanning tree for each echo (10.1002/mrm.28563)",
    "net of unwrap": "an exact spanning tree with ROMEO weights (10.1002/mrm.28563) and a network that settles what is doubtful",
    "laplacian": "the Laplacian method (10.1364/OL.28.001194)",
    "nonlinear": "a complex nonlinear fit (10.1002/mrm.24272)",
    "linear": "a weighted linear fit",
    "network": "a network (trained on label maps as in 10.1016/j.media.2023.102789)",
    "surface": "a deformable surface (10.1002/hbm.10062)",
    "given": "the mask that was given",
    "informed": "a fit of sources inside and outside the mask that is told what guided total variation finds inside",
    "net of background": "a fit of sources inside and outside the mask that is told what guided total variation finds inside, and a network",
    "joint": "sources inside and outside the mask together",
    "vsharp": "V-SHARP (10.1002/mrm.23000)",
    "resharp": "RESHARP (10.1002/mrm.24765)",
    "ismv": "iSMV (10.1002/mrm.24998)",
    "pdf": "PDF (10.1002/nbm.1670)",
    "lbv": "LBV (10.1002/nbm.3064)",
    "fansi": "FANSI (10.1002/mrm.27073) with edges of the magnitude",
    "gtv": "total variation guided by the magnitude",
    "ictv": "total variation and texture, whitened by the model's error (10.1007/s002110050258)",
    "net": "a network that corrects that of total variation and texture (10.1002/nbm.4292)",
    "tv": "total variation (10.1002/mrm.25029)",
    "medi": "MEDI (10.1016/j.neuroimage.2011.08.082)",
    "hdqsm": "HD-QSM (10.1002/mrm.29218)",
    "l2": "closed-form L2 (10.1002/mrm.25029)",
    "tkd": "TKD (10.1002/mrm.22135)",
    "net-total": "a fit of sources inside and outside the mask to the total field, and a network",
    "tfi": "total field inversion (10.1002/mrm.26331)",
    "loglinear": "a weighted log-linear fit",
    "arlo": "ARLO (10.1002/mrm.25137)",
}


@dataclass(frozen=True)
class Item:
    """What is asked, whether it is met, not met or unknown, and the reason."""

    asked: str
    state: str
    reason: str


def checklist(acquisition: Acquisition, stages: dict[str, Record]) -> list[Item]:
    """Every recommendation that can be looked up in the records of a run, by stage."""
    facts, times, inversion = acquisition.model_extra or {}, acquisition.echo_times_s, stages["invert"]
    kind, voxel = facts.get("MRAcquisitionType"), facts.get("VoxelSize")
    readout, least = stages["combine"].figures.get("Readout"), stages["mask"].parameters.get("LeastQuality", 0)
    background = stages["background"].method if "background" in stages else None
    spread, began = inversion.figures.get("WholeMaskSdPpm"), "BeginsFrom" in inversion.parameters
    return [
        Item("3D acquisition", _state(kind, kind == "3D"), f"{kind or 'MRAcquisitionType is not in the sidecars'}"),
        Item("monopolar readout, or bipolar and corrected", _state(readout, readout in ("monopolar", "bipolar")), f"{readout or 'cannot be told from fewer than three echoes'}"),
        Item("three echoes or more", _state(1, len(times) >= 3), f"{len(times)}"),
        Item("first echo as early as possible, last near the T2* of the tissue of interest", "unknown", f"{_milliseconds(times)}; the tissue is yours to name"),
        Item("voxels of 1 mm or less", _state(voxel, voxel and max(voxel) <= LARGEST_VOXEL_MM), " × ".join(f"{size:.3g}" for size in voxel or []) + " mm"),
        Item("exact unwrapping", _state(1, stages["unwrap"].figures.get("Exact")), _named(stages["unwrap"].method, "unwrap")),
        Item("echoes combined before background removal", _state(1, len(times) > 1), _named(stages["fieldmap"].method) if len(times) > 1 else "a single echo"),
        Item("brain mask with phase quality", _state(1, least > 0), f"{_named(stages['mask'].method)}, quality of {least:g} or more"),
        Item("background removal of the SHARP or PDF kind", _state(1, background in SHARP_OR_PDF), _named(background, "background") if background else "none: the total field was inverted"),
        Item("inversion with a sparsity-based regularisation", _state(1, began or inversion.method in SPARSE), f"{_named(inversion.method)}{BESIDE if began else ''}"),
        Item("susceptibility relative to a stated reference", _state(inversion.parameters.get("Reference"), True), f"{inversion.parameters.get('Reference')}"),
        Item("mean ± SD of the whole brain", _state(spread, True), "unknown" if spread is None else f"0 ± {spread:.4f} ppm when referenced to it"),
    ]


def _named(method: str, stage: str = "") -> str:
    return NAMES.get(f"{method} of {stage}", NAMES.get(method, method))


def _state(known: object, met: object) -> str:
    return "unknown" if known is None else "met" if met else "not met"


def _milliseconds(times: list[float]) -> str:
    return ", ".join(f"{1000 * time:.3g}" for time in times) + " ms"


def methods_text(acquisition: Acquisition, stages: dict[str, Record], version: str) -> str:
    """A paragraph for the methods section, with what the consensus asks to be reported."""
    facts, inversion = acquisition.model_extra or {}, stages["invert"]
    scanner = " ".join(str(facts[key]) for key in ("Manufacturer", "ManufacturersModelName") if facts.get(key)) or "a scanner that the sidecars do not name"
    field = f"{acquisition.magnetic_field_strength_t:g} T, " if acquisition.magnetic_field_strength_t else ""
    extra = [f"{label} {facts[key] * factor:g}{unit}" for key, label, factor, unit in
             (("RepetitionTime", "TR", 1000, " ms"), ("FlipAngle", "flip angle", 1, "°")) if isinstance(facts.get(key), int | float)]
    voxel = " × ".join(f"{size:.3g}" for size in facts.get("VoxelSize", []))
    sentences = [
        f"Multi-echo gradient-echo images were acquired on {scanner} ({field}centre frequency {acquisition.frequency_mhz:.4g} MHz) with echo times of "
        f"{_milliseconds(acquisition.echo_times_s)}{''.join(f', {text}' for text in extra)}, and voxels of {voxel} mm.",
        f"Susceptibility was mapped with chiflow {version}: the phase offset was removed by {_named(stages['combine'].method)} and the phase unwrapped by {_named(stages['unwrap'].method, 'unwrap')}; "
        f"the field was fitted by {_named(stages['fieldmap'].method)}; the mask is the brain by {_named(stages['mask'].method)} where the phase quality was at least "
        f"{stages['mask'].parameters.get('LeastQuality', 0):g}.",
        (f"The background field was removed by {_named(stages['background'].method, 'background')} and the local field" if "background" in stages else "The total field was")
        + f"{'' if 'background' not in stages else ' was'} inverted by {_named(inversion.method)}.",
        f"Susceptibility (ppm, paramagnetic positive) is relative to the {inversion.parameters.get('Reference')}; over the whole mask it is 0 ± {inversion.figures.get('WholeMaskSdPpm', float('nan')):.4f} ppm "
        "when referenced to its mean.",
    ]
    return " ".join(sentences)
