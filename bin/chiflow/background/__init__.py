"""Background field removal: total field → local field.

Every method: (field, mask, geometry, weight, sigma_ppm, **options) → LocalField; tensors (X, Y, Z), ppm, bool; weight is the reliability
of each voxel (1 in the median, 0 outside the mask), sigma_ppm the noise of the field where the weight is 1.
"""

from chiflow.background.ismv import ismv
from chiflow.background.joint import joint
from chiflow.background.lbv import lbv
from chiflow.background.pdf import pdf
from chiflow.background.resharp import resharp
from chiflow.background.vsharp import vsharp

BACKGROUND_METHODS = {"joint": joint, "vsharp": vsharp, "pdf": pdf, "lbv": lbv, "resharp": resharp, "ismv": ismv}
