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


def bone_matrices(
    rotations: Float[Tensor, "b 16 3 3"], joints_rest: Float[Tensor, "#b 16 3"]
) -> tuple[Float[Tensor, "b 16 3 4"], Float[Tensor, "b 16 3"]]:
    """What takes points of the rest pose along with each bone, [R | t], and the posed joints, metres.

    Example:
        >>> bones, placed = bone_matrices(torch.eye(3).repeat(2, 16, 1, 1), torch.rand(1, 16, 3))
        >>> bones.shape, bool(bones[..., 3].abs().max() < 1e-6)
        (torch.Size([2, 16, 3, 4]), True)
    """
    turned, placed = forward_kinematics(rotations, joints_rest)
    moved = placed - (turned @ joints_rest[..., None])[..., 0]
    return torch.cat([turned, moved[..., None]], dim=-1), placed


def skinned(
    weights: Float[Tensor, "v 16"], bones: Float[Tensor, "b 16 3 4"], verts: Float[Tensor, "#b v 3"]
) -> Float[Tensor, "b v 3"]:
    """Linear blend skinning: each vertex of the rest pose moved by its bones' mean matrix (Loper et al. 2015, Eq. 2).

    The matrices' columns are scaled by the coordinates one by one: half the time of a small matrix product a vertex.

    Example:
        >>> still = torch.eye(4)[:3].repeat(1, 16, 1, 1)
        >>> skinned(torch.full((1, 16), 1 / 16), still, torch.tensor([[[0.1, 0.2, 0.3]]]))
        tensor([[[0.1000, 0.2000, 0.3000]]])
    """
    columns = (weights @ bones.mT.flatten(2)).unflatten(2, (4, 3))
    moved = columns[:, :, 3]
    for k in range(3):
        moved = torch.addcmul(moved, columns[:, :, k], verts[..., k, None])
    return moved


def bone_vectors(joints_rest: Float[Tensor, "b 16 3"]) -> Float[Tensor, "b 5 3 3"]:
    """Vectors to the joints of the five chains from their parents, (chain, joint of the chain, xyz), metres.

    Example:
        >>> bone_vectors(torch.arange(16.0).repeat(3, 1).T[None] / 100).shape
        torch.Size([1, 5, 3, 3])
    """
    chains = joints_rest[:, 1:].reshape(len(joints_rest), CHAINS, CHAIN_LENGTH, 3)
    first = chains[:, :, :1] - joints_rest[:, None, :1]
    return torch.cat([first, chains[:, :, 1:] - chains[:, :, :-1]], dim=2)
