"""Background field removal: total field → local field.

Every method: (field, mask, geometry, weight, **options) → (local field, mask where it holds); tensors (X, Y, Z), ppm, bool; weight is
the reliability of each voxel (1 / noise, at most 1 in the median), 0 outside the mask.
"""

from chiflow.background.pdf import pdf
from chiflow.background.vsharp import vsharp

BACKGROUND_METHODS = {"vsharp": vsharp, "pdf": pdf}
