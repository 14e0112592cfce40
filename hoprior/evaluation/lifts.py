"""Which of some hands lift their object: the open hand is fitted to their joints, people's and others' alike."""

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float

from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import GraspSet
from hoprior.geometry.mesh import mirrored
from hoprior.hand import fit_joints, load_hand
from hoprior.hand.base import Side
from hoprior.hand.pose import mirror_points
from hoprior.metrics.likeness import COMPARED_JOINTS
from hoprior.physics.articulated.hand import articulated
from hoprior.physics.articulated.hinges import hinges_of
from hoprior.physics.articulated.table_lift import LiftSettings, LiftTest

ORACLE_GRASPS = 8
"""So many of people's grasps of an object are lifted beside others', evenly chosen."""
CALIBRATED_ON = "ten DexYCB objects"
PEOPLE = {"grasps": 181.0, "lift": 0.917}
"""What people's recorded grasps of these reach, shown where none are given: 77 of the 80 that the test was calibrated
on (`benchmarks/lift.py people --num 8`), and 89 of 101 others."""


def which_lift(
    joints: Float[np.ndarray, "n 21 3"],
    solid: trimesh.Trimesh,
    mass: float | None = None,
    side: Side = "right",
    settings: LiftSettings | None = None,
) -> Bool[np.ndarray, " n"]:
    """Which of n hands lift an object, about two seconds each.

    Left hands are lifted as right hands of the mirrored object, so that a mirrored grasp has the answer of the grasp:
    object's parts, points of its surface and the simulator's contacts would else come in another order.

    Args:
        joints: metres, in the object's frame.
        solid: the object as a closed surface, metres.
        mass: kg; by its volume without it.
        side: of the hands.

    Raises:
        HopriorError: mujoco or coacd is not installed.
    """
    wanted = torch.as_tensor(joints).float()
    if side == "left":
        wanted, solid = mirror_points(wanted), mirrored(solid)
    test, hand = LiftTest(solid, mass, settings), load_hand("open")
    weights = torch.zeros(21)
    weights[COMPARED_JOINTS] = 1.0
    pose = fit_joints(hand, wanted, weights=weights, fit_betas=True).pose
    places = pose.T_target_hand.double().numpy()
    hinges = hinges_of(pose.hand_pose, hand.axes).double().numpy()
    bodies = (articulated(hand, betas) for betas in pose.betas.numpy())
    return np.array([test(*one).held for one in zip(bodies, hinges, places, strict=True)], dtype=bool)


def check_joints(item: GraspSet) -> Float[np.ndarray, "n 21 3"]:
    """The joints (m) of a set's hands.

    Raises:
        HopriorError: there are none.
    """
    if item.joints is None:
        raise HopriorError(
            f"{item.folder}: --lift needs the hands' joints, which .glb files alone do not have: give a folder with "
            "grasps.json, as `hoprior run grasp` writes it."
        )
    return item.joints


def lifted_share(item: GraspSet, solid: trimesh.Trimesh) -> float:
    """The share of a set's grasps that lift the object (a closed surface, metres).

    Raises:
        HopriorError: the set has no joints.
    """
    return float(which_lift(check_joints(item), solid, side=item.side).mean())


def some_of(joints: Float[np.ndarray, "n 21 3"], count: int = ORACLE_GRASPS) -> Float[np.ndarray, "m 21 3"]:
    """At most so many of the grasps, evenly chosen.

    Example:
        >>> some_of(np.broadcast_to(np.arange(10.0)[:, None, None], (10, 21, 3)), 4)[:, 0, 0]
        array([0., 3., 6., 9.])
    """
    return joints[np.linspace(0, len(joints) - 1, min(count, len(joints))).round().astype(int)]
