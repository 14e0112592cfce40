"""Can these contacts carry the object's weight, whichever way is down? A quick test of statics, without a simulator."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from hoprior.common.arrays import as_array

CONE_EDGES = 6
"""Edges of the pyramid that stands for a friction cone."""
EFFORT = 0.5
"""Cost of a contact force of one weight, against a weight left hanging: a hand that does not squeeze gives little.

Of the values tried, with this friction, it orders grasps most like the simulator of
`hoprior.physics.simulation.bullet` does: Spearman 0.5, mean over four YCB scans of 32 grasps each.
"""
MIN_PUSH = 0.05
"""Contacts that push less than this, of 1, count for none."""
DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])


def unheld_weight(
    contacts: Float[Tensor, "b k 3"],
    normals: Float[Tensor, "b k 3"],
    push: Float[Tensor, "b k"],
    centre: Float[Tensor, " 3"],
    friction: float = 3.0,
    arm: float = 0.04,
) -> Float[Tensor, " b"]:
    """The share of an object's weight that contacts with friction cannot balance, mean over six directions of gravity.

    Forces in the friction cones that come closest to the weight, by non-negative least squares (as force closure is
    tested since Ferrari and Canny 1992, with a small cost of force instead of a bound).

    Args:
        contacts: points where the hand touches, in the object's frame (m).
        normals: of the object's surface there, outwards.
        push: 1 for a contact, 0 for none, or between.
        centre: the object's centre of mass.
        friction: coefficient.
        arm: lever at which a torque counts as much as a force (m).

    Returns:
        0 where the grasp holds, 1 where nothing does.

    Example:
        >>> points = torch.tensor([[[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]]])
        >>> held = unheld_weight(points, points / 0.03, torch.ones(1, 2), centre=torch.zeros(3))
        >>> dropped = unheld_weight(points, points / 0.03, torch.zeros(1, 2), centre=torch.zeros(3))
        >>> bool(held < 0.3), dropped
        (True, tensor([1.]))
    """
    points, outward, pushes = (as_array(t, np.float64) for t in (contacts, normals, push))
    origin = as_array(centre, np.float64)
    shares = [_unheld(*grasp, origin, friction, arm) for grasp in zip(points, outward, pushes, strict=True)]
    return torch.tensor(shares, dtype=contacts.dtype, device=contacts.device)


def _unheld(
    points: np.ndarray, normals: np.ndarray, push: np.ndarray, centre: np.ndarray, friction: float, arm: float
) -> float:
    touching = push > MIN_PUSH
    if not touching.any():
        return 1.0
    forces, levers = friction_cones(normals[touching], friction), points[touching] - centre
    torques = np.cross(levers[:, None], forces) / arm
    wrenches = push[touching][:, None, None] * np.concatenate([forces, torques], axis=2)
    columns = wrenches.reshape(-1, 6).T
    system = np.concatenate([columns, EFFORT * np.eye(columns.shape[1])])
    left = []
    for down in DIRECTIONS:
        target = np.concatenate([-down, np.zeros(3 + columns.shape[1])])
        solution, _ = nnls(system, target)
        left.append(np.linalg.norm(columns @ solution - target[:6]))
    return float(np.mean(left))


def friction_cones(normals: Float[np.ndarray, "n 3"], friction: float) -> Float[np.ndarray, "n e 3"]:
    """Edges, unit vectors, of the friction cones of forces on the object, which push into its surface.

    Example:
        >>> friction_cones(np.array([[0.0, 0.0, 1.0]]), friction=0.5).sum(axis=1).round(2) + 0.0
        array([[ 0.  ,  0.  , -5.37]])
    """
    inward = -normals
    helper = np.where(np.abs(inward[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(inward, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True).clip(1e-9)
    second = np.cross(inward, first)
    turns = np.arange(CONE_EDGES) * 2 * np.pi / CONE_EDGES
    around = np.cos(turns)[None, :, None] * first[:, None] + np.sin(turns)[None, :, None] * second[:, None]
    edges = inward[:, None] + friction * around
    return edges / np.linalg.norm(edges, axis=2, keepdims=True)
