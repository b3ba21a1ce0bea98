"""What the page shows of each map: its window, its colours, and what a reader sees in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """A map on the page. window : lowest and highest value in `units`; None goes from 0 to the 99th percentile inside the mask, and as far below 0 when signed.
    whole_head : drawn wherever it is not 0, else inside the mask.
    """

    key: str
    title: str
    units: str
    text: str
    window: tuple[float, float] | None = None
    colours: str = "gray"
    signed: bool = False
    whole_head: bool = False


PANELS = (
    Panel("chi.nii", "Susceptibility χ", "ppm", "Deep grey nuclei and veins are bright: iron and deoxygenated blood are paramagnetic. White matter and calcifications are dark.", (-0.1, 0.1)),
    Panel("start.nii", "Susceptibility χ without the network", "ppm", "The iterative inversion (structure and texture) that the network begins from, on the same scale.", (-0.1, 0.1)),
    Panel("difference.nii", "What the network changed", "ppm", "χ minus the map without the network. Anatomy that is here and in no other map deserves a second look.", (-0.05, 0.05), "RdBu_r", True),
    Panel("uncertainty.nii", "Uncertainty of χ", "ppm", "Standard deviation of the error that is expected of χ; χ ± 1.645 of it is a 90 % interval.", (0, 0.03), "magma"),
    Panel("residual.nii", "Residual", "ppm", "Field that χ predicts minus the local field. Structure, above all at the rim or along veins, is what χ does not explain.", (-0.01, 0.01), "RdBu_r", True),
    Panel("local.nii", "Local field", "ppm", "What the tissue itself adds to the field: dipole patterns around veins and nuclei. Smooth shading is background that was left.", (-0.05, 0.05), "RdBu_r", True),
    Panel("field.nii", "Total field", "Hz", "Offset from the centre frequency: smooth, strongest above the sinuses and ears. A sharp step is a wrap that was left.", None, "RdBu_r", True, whole_head=True),
    Panel("quality.nii", "Phase quality", "", "1 minus the relative residual of the echo fit: 1 is phase to rely on. Dark inside the brain: veins, bleeds, motion.", (0, 1)),
    Panel("combined_magnitude.nii", "Magnitude", "", "All echoes together. Yellow: where the field was relied on.", None, whole_head=True),
    Panel("swi.nii", "Susceptibility-weighted image", "", "Veins and iron are dark.", None, whole_head=True),
    Panel("r2star.nii", "R2*", "1/s", "Decay rate of the signal: high in iron-rich nuclei, veins, and next to air.", (0, 80)),
)
DIFFERENCE = "difference.nii"  # of chi.nii and start.nii; no file
OUTLINED = "combined_magnitude.nii"
