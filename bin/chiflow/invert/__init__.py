"""Field-to-source inversion: local field → χ.

Every method: (field, mask, geometry, weight, sigma_ppm, magnitude, **options) → Susceptibility; tensors (X, Y, Z), ppm; weight is the
reliability of each voxel (1 in the median, 0 outside the mask), sigma_ppm the noise of the field where the weight is 1, magnitude the
image whose edges may guide, in any unit, or None. What a method does not use it ignores.
"""

from chiflow.invert.fansi import fansi
from chiflow.invert.gtv import gtv
from chiflow.invert.hdqsm import hdqsm
from chiflow.invert.ictv import ictv
from chiflow.invert.l2 import l2
from chiflow.invert.medi import medi
from chiflow.invert.net import net
from chiflow.invert.net_total import net_total
from chiflow.invert.tfi import tfi
from chiflow.invert.tkd import tkd
from chiflow.invert.tv import tv

INVERSIONS = {"net": net, "ictv": ictv, "gtv": gtv, "fansi": fansi, "tv": tv, "medi": medi, "hdqsm": hdqsm, "l2": l2, "tkd": tkd}
TOTAL_FIELD_INVERSIONS = {"net-total": net_total, "tfi": tfi}  # of the total field: χ and the background in one step
