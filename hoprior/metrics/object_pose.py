"""How far a known object is from where it truly is: turns and shifts, up to the object's own symmetries."""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

POINTS, DENSE, SEED = 600, 40_000, 0
TURN_STEP = 10
"""Degrees between the turns that are tried about an axis."""
SAME_SHAPE = 0.006
"""A turned surface is the same if its points lie within so much of the object's size from it, in the mean."""


class ObjectPoseErrors(NamedTuple):
    """Means over frames."""

    object_turn_deg: float
    object_shift_cm: float


def symmetries(mesh: trimesh.Trimesh) -> Float[np.ndarray, "s 3 3"]:
    """The turns about a mesh's middle that leave its surface nearly as it is; the first one turns nothing.

    Tried are the principal axes, every `TURN_STEP` degrees about each, with and without half a turn about the next.

    Example:
        >>> import trimesh
        >>> len(symmetries(trimesh.creation.box((0.1, 0.06, 0.03))))  # half a turn about each axis
        4
    """
    dense = trimesh.sample.sample_surface(mesh, DENSE, seed=SEED)[0]
    dense = dense - dense.mean(axis=0)
    axes, tree = np.linalg.eigh(dense.T @ dense)[1].T, cKDTree(dense)
    points = trimesh.sample.sample_surface(mesh, POINTS, seed=SEED + 1)[0] - mesh_middle(mesh)
    size = float(np.linalg.norm(points, axis=1).mean())
    spread = float(tree.query(points)[0].mean())
    found = [np.eye(3)]
    for k in range(3):
        for flip in (np.zeros(3), np.pi * axes[(k + 1) % 3]):
            for degrees in range(0, 360, TURN_STEP):
                turn = Rotation.from_rotvec(np.radians(degrees) * axes[k]) * Rotation.from_rotvec(flip)
                matrix = turn.as_matrix()
                away = tree.query(points @ matrix.T)[0].mean()
                known = min(Rotation.from_matrix(one.T @ matrix).magnitude() for one in found)
                if away - spread < SAME_SHAPE * size and known > np.radians(TURN_STEP / 2):
                    found.append(matrix)
    return np.stack(found)


def mesh_middle(mesh: trimesh.Trimesh) -> Float[np.ndarray, " 3"]:
    """The mean of a mesh's surface, about which `symmetries` turn.

    Example:
        >>> away = trimesh.creation.box((0.1, 0.1, 0.1)).apply_translation((1.0, 0.0, 0.0))
        >>> bool(np.abs(mesh_middle(away) - [1.0, 0.0, 0.0]).max() < 0.002)
        True
    """
    return trimesh.sample.sample_surface(mesh, DENSE, seed=SEED)[0].mean(axis=0)


def object_pose_errors(
    mesh: trimesh.Trimesh, T_predicted: Float[np.ndarray, "t 4 4"], T_truth: Float[np.ndarray, "t 4 4"]
) -> ObjectPoseErrors:
    """Errors of a known mesh's poses in t frames (in the hand's frame, or the camera's; metres).

    The turn is the least over the mesh's symmetries, one for all frames; the shift is that of the surface's middle.

    Example:
        >>> import numpy as np, trimesh
        >>> mesh, moved = trimesh.creation.box((0.1, 0.06, 0.03)), np.eye(4)[None].copy()
        >>> moved[0, :3, 3] = 0.01, 0, 0
        >>> [round(error, 2) for error in object_pose_errors(mesh, moved, np.eye(4)[None])]
        [0.0, 1.0]
    """
    middle = mesh_middle(mesh)
    shift = (T_predicted - T_truth)[:, :3, :3] @ middle + (T_predicted - T_truth)[:, :3, 3]
    between = T_truth[:, :3, :3].transpose(0, 2, 1) @ T_predicted[:, :3, :3]
    turns = [np.degrees(Rotation.from_matrix(between @ one.T).magnitude()).mean() for one in symmetries(mesh)]
    return ObjectPoseErrors(float(min(turns)), 100 * float(np.linalg.norm(shift, axis=1).mean()))
