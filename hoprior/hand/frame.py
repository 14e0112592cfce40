"""The hand frame and the anatomical axes of a hand, from where its joints are at rest."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from hoprior.hand.joint_order import JOINT_NAMES

INDEX_MCP, MIDDLE_MCP, PINKY_MCP = (JOINT_NAMES.index(name) for name in ("index1", "middle1", "pinky1"))
TIP_OF_CHAIN = (17, 18, 20, 19, 16)
"""The fingertip among the 21 joints, for each of the five chains of joints."""

STRAIGHT = 0.02
"""Sine of the bend below which a thumb shows no plane that it bends in."""


def hand_axes(joints: Float[Tensor, "j 3"], side: str) -> Float[Tensor, "3 3"]:
    """Rotation from the frame of a resting hand's joints into the hand frame.

    Its rows are +x from the wrist to the middle MCP, y, and +z out of the palm, which is the side where the cross
    product of (pinky to index) and x points for a right hand.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand_axes(load_hand("open", "left").joints_template, "left").round(decimals=3) + 0.0
        tensor([[ 1.0000,  0.0000, -0.0020],
                [ 0.0000,  1.0000, -0.0010],
                [ 0.0020,  0.0010,  1.0000]])
    """
    x = normalize(joints[MIDDLE_MCP] - joints[0], dim=0)
    z = normalize(torch.linalg.cross(joints[INDEX_MCP] - joints[PINKY_MCP], x), dim=0)
    if side == "left":
        z = -z
    return torch.stack([x, torch.linalg.cross(z, x), z])


def anatomical_axes(joints: Float[Tensor, "21 3"]) -> Float[Tensor, "15 3 3"]:
    """Rows twist, flexion and abduction of the 15 finger joints of a right hand at rest in the hand frame.

    Twist runs along the bone to the next joint. Fingers flex out of the palm's plane, towards the palm; the thumb in
    the plane that its own bones span at rest.

    Example:
        >>> from hoprior.hand import load_hand
        >>> axes = anatomical_axes(load_hand().joints_only(torch.zeros(1, 15, 3))[0])
        >>> torch.allclose(axes @ axes.mT, torch.eye(3).expand(15, 3, 3), atol=1e-5)
        True
    """
    axes = []
    for chain in range(5):
        points = joints[[3 * chain + 1, 3 * chain + 2, 3 * chain + 3, TIP_OF_CHAIN[chain]]]
        bones = points[1:] - points[:-1]
        for twist in normalize(bones, dim=1):
            bend = _thumb_bend(bones) if chain == 4 else torch.linalg.cross(twist, joints.new_tensor([0.0, 0.0, 1.0]))
            flexion = normalize(bend - twist * (bend @ twist), dim=0)
            axes.append(torch.stack([twist, flexion, torch.linalg.cross(twist, flexion)]))
    return torch.stack(axes)


def _thumb_bend(bones: Float[Tensor, "3 3"]) -> Float[Tensor, "3"]:
    """Axis of the bends between the thumb's bones at rest; of a bend in the palm's plane for a straight thumb."""
    bend = torch.linalg.cross(bones[:-1], bones[1:]).sum(dim=0)
    if bend.norm() < STRAIGHT * bones.norm(dim=1).square().mean():
        return bones.new_tensor([0.0, 0.0, 1.0])
    return bend
