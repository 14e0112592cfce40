"""How near fingertips are to the object that they are to hold."""

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.sdf import signed_distance
from hoprior.hand.joint_order import JOINT_NAMES, TIP_FINGERS

TIPS = [JOINT_NAMES.index(f"{finger}_tip") for finger in TIP_FINGERS]
"""The thumb's first."""
MM_PER_M = 1000.0


def tip_errors_mm(
    joints: Float[Tensor | np.ndarray, "n 21 3"], item: trimesh.Trimesh | ObjectMesh
) -> Float[np.ndarray, " n"]:
    """Fingertip-contact error of each grasp as HUG-Bench has it (arXiv 2606.17054): 0 where two tips touch.

    `(|d_thumb| + min_f |d_f|) / 2`, with d a tip's distance to the object's surface and f the other fingers.

    Args:
        joints: metres, in the object's frame; tips lie on the skin.

    Example:
        >>> joints = np.zeros((1, 21, 3))
        >>> joints[0, 16:] = [[0.052, 0, 0], [0.1, 0, 0], [-0.054, 0, 0], [0.1, 0, 0], [0.1, 0, 0]]
        >>> tip_errors_mm(joints, trimesh.creation.box((0.1, 0.1, 0.1))).round(3)
        array([3.])
    """
    tips = as_array(joints, np.float64)[:, TIPS]
    away = np.abs(signed_distance(item, tips.reshape(-1, 3)).reshape(tips.shape[:2]))
    return MM_PER_M * (away[:, 0] + away[:, 1:].min(axis=1)) / 2
