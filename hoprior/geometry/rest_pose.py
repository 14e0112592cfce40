"""Which way up an object stands on a table, from its shape alone."""

import logging

import numpy as np
import torch
import trimesh

from hoprior.errors import ArgumentError
from hoprior.geometry.state import RestPoses

logger = logging.getLogger(__name__)

MOST_POSES = 24
UPRIGHT_COSINE = 0.95
"""A frame's axis counts as a way to stand when a stable pose lies within about 18 degrees of it."""
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def rest_poses(
    mesh: trimesh.Trimesh, up: str = "auto", upright_share: float = 0.5, usual: str = "z"
) -> RestPoses | None:
    """The stable poses of a mesh on a plane, with their probabilities.

    Args:
        mesh: the object.
        up: "auto" takes the stable poses of the convex hull (Goldberg et al. 1999, as trimesh computes them) and gives
            `upright_share` of the probability to the frame's +z (or another `usual` axis), if the object can stand so:
            meshes of upright things are mostly modelled upright. "x", "y", "z", "-x", "-y", "-z" name the one
            direction that is up. "any" leaves it open.
        upright_share: see above.
        usual: the axis that the mesh's format has up: "y" for glTF.

    Returns:
        Directions (k, 3) in the mesh's frame, and where the table is; None for "any".

    Raises:
        ArgumentError: `up` is none of these.

    Example:
        >>> rest = rest_poses(trimesh.creation.box((0.06, 0.1, 0.2)), up="z")
        >>> rest.up_object, rest.base
        (tensor([[0., 0., 1.]]), tensor([-0.1000]))
        >>> rest_poses(trimesh.creation.box((0.06, 0.1, 0.2)), up="any") is None
        True
    """
    if up == "any":
        return None
    if up != "auto":
        axis = up.removeprefix("-")
        if axis not in AXES:
            raise ArgumentError("up", up, "is not a direction: use auto, any, x, y, z, -x, -y or -z")
        return _poses(mesh, np.array([AXES[axis]]) * (-1 if up.startswith("-") else 1), np.ones(1))
    try:
        transforms, probability = mesh.convex_hull.compute_stable_poses(n_samples=1, seed=0)
    except Exception as error:  # qhull and networkx fail in many ways on flat or degenerate hulls
        reason = " ".join(str(error).split())[:160]
        logger.warning(
            "how the object stands cannot be told from its hull (%s: %s): which way is up is left open",
            type(error).__name__,
            reason,
        )
        return None
    if len(transforms) == 0:
        logger.warning("the object's hull has no stable pose: which way is up is left open")
        return None
    directions = transforms[:MOST_POSES, 2, :3]
    weight = probability[:MOST_POSES] / probability[:MOST_POSES].sum()
    # All of them are asked: a slim bottle has more ways to lie than are kept.
    if (transforms[:, 2, :3] @ np.array(AXES[usual]) > UPRIGHT_COSINE).any():
        directions = np.concatenate([directions, [AXES[usual]]])
        weight = np.concatenate([(1 - upright_share) * weight, [upright_share]])
    return _poses(mesh, directions, weight)


def _poses(mesh: trimesh.Trimesh, directions: np.ndarray, weight: np.ndarray) -> RestPoses:
    base = (mesh.vertices @ directions.T).min(axis=0)
    return RestPoses(*(torch.tensor(a, dtype=torch.float32) for a in (directions, np.log(weight), base)))
