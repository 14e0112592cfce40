"""Energies of a hand on a surface: penetration, contact that closes what is near, posture.

All take signed distances of hand vertices to the object (metres, negative inside) and give one number a hand, in the
unit that the weights of `ContactWeights` make comparable. None of them knows about priors or tasks.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.hand import HandModel

FINGER_PARTS: tuple[tuple[int, ...], ...] = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15))
"""Skinning parts of index, middle, pinky, ring and thumb (MANO's order of joints)."""


@dataclass(frozen=True)
class ContactWeights:
    """Weights of the contact energies; distances inside them are metres.

    near: reach of the attraction that moves the whole hand; surfaces further off are left alone, so that refinement
        holds the placement a prior chose.
    close: reach of the attraction that bends fingers only.
    """

    penetration: float = 2000.0
    penetration_tolerance: float = 0.001
    near: float = 0.008
    near_weight: float = 12.0
    close: float = 0.05
    close_weight: float = 30.0
    limits: float = 20.0
    posture: float = 0.3
    self_penetration: float = 300.0


def penetration_energy(sdf_verts: Float[Tensor, "b v"], tolerance: float) -> Float[Tensor, " b"]:
    """Sum over vertices of the squared depth beyond `tolerance`, m²."""
    return torch.relu(-sdf_verts - tolerance).square().sum(dim=1)


def near_energy(sdf_pads: Float[Tensor, "b p"], reach: float) -> Float[Tensor, " b"]:
    """Mean saturating distance of palm-side vertices, in [0, 1]: only what is within a few `reach` is drawn closer."""
    ratio = (sdf_pads / reach).square()
    return (ratio / (1 + ratio)).mean(dim=1)


class FingerPads:
    """The palm-side vertices of each finger's two outer bones: what a grasp closes with."""

    def __init__(self, hand: HandModel, outer_only: bool = True) -> None:
        part = hand.vertex_part[hand.pad_ids]
        self.ids: list[Int[Tensor, " p"]] = []
        for parts in FINGER_PARTS:
            wanted = torch.tensor(parts[1:] if outer_only else parts, device=part.device)
            self.ids.append(hand.pad_ids[torch.isin(part, wanted)])

    def closest(self, sdf_verts: Float[Tensor, "b v"], sharpness: float = 0.004) -> Float[Tensor, "b 5"]:
        """Smooth minimum over each finger's pads of their distance to the surface, metres (may be negative)."""
        return torch.stack(
            [-sharpness * torch.logsumexp(-sdf_verts[:, ids] / sharpness, dim=1) for ids in self.ids], dim=1
        ) + sharpness * torch.log(torch.tensor([float(len(ids)) for ids in self.ids], device=sdf_verts.device))
