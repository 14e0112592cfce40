"""Forward kinematics of a hand: a wrist and five chains of three joints, all five handled at once."""

import torch
from jaxtyping import Float
from torch import Tensor

CHAINS, CHAIN_LENGTH = 5, 3


def forward_kinematics(
    rotations: Float[Tensor, "b 16 3 3"], joints_rest: Float[Tensor, "#b 16 3"]
) -> tuple[Float[Tensor, "b 16 3 3"], Float[Tensor, "b 16 3"]]:
    """Orientation and position of the 16 joints in the frame of the rest pose.

    Args:
        rotations: each joint's rotation from its rest pose, in the rest pose's axes; the first turns the whole hand
            about its wrist.
        joints_rest: the joints at rest, metres.

    Returns:
        Rotations of the bones from the rest pose, and the posed joints in metres.

    Example:
        >>> turned, placed = forward_kinematics(torch.eye(3).repeat(2, 16, 1, 1), torch.rand(1, 16, 3))
        >>> turned.shape, placed.shape
        (torch.Size([2, 16, 3, 3]), torch.Size([2, 16, 3]))
    """
    b = len(rotations)
    wrist = joints_rest[:, :1]
    offsets = bone_vectors(joints_rest)
    local = rotations[:, 1:].reshape(b, CHAINS, CHAIN_LENGTH, 3, 3)
    parent, position = rotations[:, None, 0], wrist.expand(b, CHAINS, 3)
    turned, placed = [], []
    for k in range(CHAIN_LENGTH):
        position = position + (parent @ offsets[:, :, k, :, None])[..., 0]
        parent = parent @ local[:, :, k]
        turned.append(parent)
        placed.append(position)
    turned_fingers = torch.stack(turned, dim=2).reshape(b, 15, 3, 3)
    placed_fingers = torch.stack(placed, dim=2).reshape(b, 15, 3)
    return (
        torch.cat([rotations[:, :1], turned_fingers], dim=1),
        torch.cat([wrist.expand(b, 1, 3), placed_fingers], dim=1),
    )


def bone_vectors(joints_rest: Float[Tensor, "b 16 3"]) -> Float[Tensor, "b 5 3 3"]:
    """Vectors to the joints of the five chains from their parents, (chain, joint of the chain, xyz), metres.

    Example:
        >>> bone_vectors(torch.arange(16.0).repeat(3, 1).T[None] / 100).shape
        torch.Size([1, 5, 3, 3])
    """
    chains = joints_rest[:, 1:].reshape(len(joints_rest), CHAINS, CHAIN_LENGTH, 3)
    first = chains[:, :, :1] - joints_rest[:, None, :1]
    return torch.cat([first, chains[:, :, 1:] - chains[:, :, :-1]], dim=2)
