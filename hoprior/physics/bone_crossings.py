"""Bones that go through an object's surface: exact, so that no wall is too thin to be noticed."""

import numpy as np
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.hand.bones import BONE_ENDS, BONE_STARTS, KNUCKLES
from hoprior.physics.bone_samples import LAST_BONE_SHARE

PALM_SHARE = 0.3
"""Where between the wrist and the knuckles the palm's bones begin."""
BONES_PER_FINGER = 3
PARALLEL = 1e-24
"""Of a determinant (m³), below which a segment runs along a triangle's plane."""


def bones_through(mesh: trimesh.Trimesh, joints: Float[Tensor, "b 21 3"]) -> Int[np.ndarray, " b"]:
    """How many bones of each of b hands cross a surface (both m, in one frame); of 19, the wrist's four in the palm.

    Skin presses into an object by millimetres and a bone is as deep in the flesh: one that crosses has a finger, or the
    palm, in the object or through it.

    Example:
        >>> import torch
        >>> from hoprior.hand import load_hand
        >>> joints = load_hand().joints_only(torch.zeros(1, 15, 3))
        >>> sheet = trimesh.creation.box((0.001, 0.3, 0.3))  # across four fingers and the thumb
        >>> bones_through(sheet.apply_translation((0.09, 0, 0)), joints), bones_through(sheet, joints + 1)
        (array([5]), array([0]))
    """
    starts, ends = bone_segments(joints)
    corners = np.asarray(mesh.triangles)
    if not len(corners):
        return np.zeros(len(joints), np.int64)
    return np.array([_crossed(*hand, corners).sum() for hand in zip(starts, ends, strict=True)])


def bone_segments(joints: Float[Tensor, "b 21 3"]) -> tuple[Float[np.ndarray, "b 19 3"], Float[np.ndarray, "b 19 3"]]:
    """Where bones begin and end; a finger's last one ends beneath the skin of its tip."""
    points = joints.detach().double().cpu().numpy()
    starts, ends = points[:, list(BONE_STARTS)], points[:, list(BONE_ENDS)].copy()
    last = slice(BONES_PER_FINGER - 1, None, BONES_PER_FINGER)
    ends[:, last] = starts[:, last] + LAST_BONE_SHARE * (ends[:, last] - starts[:, last])
    wrist, knuckles = points[:, :1], points[:, list(KNUCKLES)]
    palm = wrist + PALM_SHARE * (knuckles - wrist)
    return np.concatenate([starts, palm], axis=1), np.concatenate([ends, knuckles], axis=1)


def _crossed(
    starts: Float[np.ndarray, "k 3"], ends: Float[np.ndarray, "k 3"], corners: Float[np.ndarray, "f 3 3"]
) -> np.ndarray:
    """Which of k segments cross any of f triangles (k,), after Möller and Trumbore 1997."""
    low, high = np.minimum(starts, ends).min(axis=0), np.maximum(starts, ends).max(axis=0)
    near = ((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high)).all(axis=1)
    a, u, v = corners[near, 0], corners[near, 1] - corners[near, 0], corners[near, 2] - corners[near, 0]
    along = (ends - starts)[:, None]
    p = np.cross(along, v)
    det = (p * u).sum(axis=-1)
    flat = np.abs(det) < PARALLEL
    det = np.where(flat, 1.0, det)
    to = starts[:, None] - a
    s = (to * p).sum(axis=-1) / det
    q = np.cross(to, u)
    t = (along * q).sum(axis=-1) / det
    where = (q * v).sum(axis=-1) / det
    return (~flat & (s >= 0) & (t >= 0) & (s + t <= 1) & (where >= 0) & (where <= 1)).any(axis=1)
