"""A batch of hands, posed once at an object, as energies and judges look at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.state import SignedDistance, transform_points
from hoprior.hand import HandModel

FINGER_PARTS: tuple[tuple[int, ...], ...] = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15))
"""Skinning parts of index, middle, pinky, ring and thumb (MANO's order of joints)."""
NORMAL_STEP = 0.002
"""Half the length (m) over which a surface's normal is measured."""


@dataclass(frozen=True)
class PosedHands:
    """b hands at an object, metres.

    Attributes:
        angles: of the joints, on the hand's axes, radians.
        T_object_hand: where the hands are.
        joints_hand: the 21 joints in the hand's frame.
        verts_hand, verts_object: the skin in the hand's and in the object's frame.
        distance: signed distance of each vertex to the object, negative inside.
    """

    angles: Float[Tensor, "b 15 3"]
    T_object_hand: Float[Tensor, "b 4 4"]
    joints_hand: Float[Tensor, "b 21 3"]
    verts_hand: Float[Tensor, "b V 3"]
    verts_object: Float[Tensor, "b V 3"]
    distance: Float[Tensor, "b V"]


def pose_hands(
    hand: HandModel, sdf: SignedDistance, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
) -> PosedHands:
    """Hands bent by `angles` and placed at the object whose signed distance is `sdf`; differentiable in both.

    Example:
        >>> from hoprior.hand import load_hand
        >>> def floor(points):
        ...     return points[..., 2]
        >>> T_object_hand = torch.eye(4)[None]
        >>> T_object_hand[:, 2, 3] = 0.1
        >>> posed = pose_hands(load_hand(), floor, torch.zeros(1, 15, 3), T_object_hand)
        >>> torch.equal(posed.distance, posed.verts_object[..., 2]), posed.joints_hand.shape
        (True, torch.Size([1, 21, 3]))
    """
    output = hand(hand.angles_to_pose(angles))
    verts_object = transform_points(T_object_hand, output.verts)
    return PosedHands(angles, T_object_hand, output.joints, output.verts, verts_object, sdf(verts_object))


class SkinZones:
    """Vertices of a hand that touch what it holds, in groups.

    Attributes:
        palmar: all pads and the palm.
        fingers: the pads of each finger's outer two bones.
        bones: the pads of every bone of the fingers that has any, and the palm.
        palm: the palm.

    Example:
        >>> from hoprior.hand import load_hand
        >>> skin = SkinZones(load_hand())
        >>> len(skin.fingers), bool(len(skin.palm) < len(skin.palmar) < 778)
        (5, True)
    """

    def __init__(self, hand: HandModel) -> None:
        # How many there are of each only the CPU can know without being told by the device each time.
        pads, part = hand.pad_ids.cpu(), hand.vertex_part[hand.pad_ids].cpu()
        fingers = [pads[torch.isin(part, torch.tensor(parts[1:]))] for parts in FINGER_PARTS]
        bones = [pads[part == bone] for bone in range(1, 16) if (part == bone).any()]
        self.palm: Int[Tensor, " p"] = hand.palm_ids
        self.palmar: Int[Tensor, " q"] = torch.cat([hand.pad_ids, hand.palm_ids])
        groups = torch.cat([*fingers, *bones]).to(hand.pad_ids.device).split([len(ids) for ids in [*fingers, *bones]])
        self.fingers: list[Tensor] = list(groups[: len(fingers)])
        self.bones: list[Tensor] = [*groups[len(fingers) :], hand.palm_ids]


def closest_contacts(
    groups: Sequence[Int[Tensor, "_"]], verts_object: Float[Tensor, "b v 3"], distance: Float[Tensor, "b v"]
) -> tuple[Float[Tensor, "b k 3"], Float[Tensor, "b k"]]:
    """The vertex of each of k groups that is closest to the object, and its distance (m).

    Example:
        >>> points = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
        >>> closest_contacts([torch.tensor([0, 1])], points, torch.tensor([[0.3, 0.2]]))
        (tensor([[[1., 0., 0.]]]), tensor([[0.2000]]))
    """
    points, gaps = [], []
    for ids in groups:
        nearest = distance[:, ids].detach().argmin(dim=1, keepdim=True)
        points.append(verts_object[:, ids].gather(1, nearest[..., None].expand(-1, -1, 3)))
        gaps.append(distance[:, ids].gather(1, nearest))
    return torch.cat(points, dim=1), torch.cat(gaps, dim=1)


def surface_normals(
    sdf: SignedDistance, points: Float[Tensor, "b n 3"], step: float = NORMAL_STEP
) -> Float[Tensor, "b n 3"]:
    """Outward directions of the distance field, by central differences.

    Example:
        >>> def ball(points):
        ...     return points.norm(dim=-1) - 0.04
        >>> surface_normals(ball, torch.tensor([[[0.0, 0.04, 0.0]]])).round(decimals=3) + 0.0
        tensor([[[0., 1., 0.]]])
    """
    offsets = step * torch.eye(3, device=points.device, dtype=points.dtype)
    moved = torch.cat([points + offset for offset in (*offsets, *-offsets)], dim=1)
    ahead, behind = sdf(moved).unflatten(1, (6, -1)).chunk(2, dim=1)
    return torch.nn.functional.normalize((ahead - behind).transpose(1, 2), dim=-1, eps=1e-6)
