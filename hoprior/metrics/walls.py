"""Fingers that go through a wall, which no depth of penetration sees: on both sides of it a vertex is outside."""

import numpy as np
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.hand.bones import FINGER_CHAINS
from hoprior.physics.bone_samples import LAST_BONE_SHARE


def fingers_through(
    joints_object: Float[Tensor | np.ndarray, "b 21 3"], mesh: trimesh.Trimesh
) -> Int[np.ndarray, " b"]:
    """How many fingers of each hand go into the object and come out of it again, along their bones.

    A finger that is pressed into the surface and ends inside has gone in only, and does not count.

    Args:
        joints_object: 21 joints (docs/conventions.md), in the object's frame and unit.
        mesh: the object's surface.

    Example:
        >>> import torch
        >>> from hoprior.hand import load_hand
        >>> joints = load_hand().joints_only(torch.zeros(1, 15, 3))
        >>> wall = trimesh.creation.box((0.005, 0.4, 0.4)).apply_translation([float(joints[0, 5, 0]), 0.0, 0.0])
        >>> fingers_through(joints, wall)  # a flat hand: its three long fingers
        array([3])
    """
    chains = as_array(joints_object, np.float64)[:, FINGER_CHAINS]  # (b, 5, 4, 3)
    start, end = chains[:, :, :-1].copy(), chains[:, :, 1:].copy()
    # The tip joint itself lies on the skin.
    end[:, :, -1] = start[:, :, -1] + LAST_BONE_SHARE * (end[:, :, -1] - start[:, :, -1])
    along = (end - start).reshape(-1, 3)
    lengths = np.linalg.norm(along, axis=1)
    origins = start.reshape(-1, 3)
    hits, bones, _ = mesh.ray.intersects_location(origins, along / lengths[:, None], multiple_hits=True)
    hits = hits.reshape(-1, 3)  # trimesh gives an array of no columns where nothing is hit
    on_bone = np.linalg.norm(hits - origins[bones], axis=1) < lengths[bones]
    crossings = np.bincount(bones[on_bone], minlength=len(origins)).reshape(len(chains), 5, 3).sum(axis=2)
    return (crossings >= 2).sum(axis=1)
