"""Background field removal: total field → local field.

Every method: (field, mask, geometry, weight, sigma_ppm, magnitude, **options) → LocalField; tensors (X, Y, Z), ppm, bool; weight is the reliability
of each voxel (1 in the median, 0 outside the mask), sigma_ppm the noise of the field where the weight is 1, magnitude an image whose edges may
guide, in any unit, or None. What a method does not use it ignores: all but `informed` and `net` do without a magnitude, and without the noise.
"""

from chiflow.background.informed import informed
from chiflow.background.ismv import ismv
from chiflow.background.joint import joint
from chiflow.background.lbv import lbv
from chiflow.background.net import net
from chiflow.background.pdf import pdf
from chiflow.background.resharp import resharp
from chiflow.background.vsharp import vsharp

BACKGROUND_METHODS = {"informed": informed, "net": net, "joint": joint, "vsharp": vsharp, "pdf": pdf, "lbv": lbv, "resharp": resharp, "ismv": ismv}
