"""Energies of a hand on a surface: penetration, contact that closes what is near, natural posture.

One number a hand, in a unit that the weights make comparable. They know nothing of priors or tasks.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.hand import HandModel
from hoprior.state import SignedDistance, transform_points

FINGER_PARTS: tuple[tuple[int, ...], ...] = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15))
"""Skinning parts of index, middle, pinky, ring and thumb (MANO's order of joints)."""
FINGER_CHAINS: tuple[tuple[int, ...], ...] = (
    (1, 2, 3, 17),
    (4, 5, 6, 18),
    (7, 8, 9, 20),
    (10, 11, 12, 19),
    (13, 14, 15, 16),
)
"""Joints of each finger from its base to its tip."""
PIP, MCP = (1, 4, 7, 10), (0, 3, 6, 9)
CLOSEST_SHARPNESS = 0.004
"""Width (m) over which a finger's smooth closest distance averages its pads."""


@dataclass(frozen=True)
class ContactWeights:
    """Weights of the energies; lengths are metres.

    Penetration counts beyond `penetration_tolerance`. `near` is the reach of the attraction that moves the whole hand:
    what is further off is left alone, so that a placement which a prior chose is held. `close` is the reach of the
    attraction that bends fingers only.
    """

    penetration: float = 2000.0
    penetration_tolerance: float = 0.001
    near_weight: float = 1.0
    near: float = 0.004
    close_weight: float = 5.0
    close: float = 0.05
    limits: float = 20.0
    aside: float = 0.03
    alike: float = 0.01
    crossing: float = 400.0
    crossing_distance: float = 0.013


class ContactEnergy:
    """What physics and anatomy say of hands at an object; all terms are differentiable."""

    def __init__(self, hand: HandModel, sdf: SignedDistance, weights: ContactWeights | None = None) -> None:
        self.hand, self.sdf, self.weights = hand, sdf, weights or ContactWeights()
        self.touching = torch.cat([hand.pad_ids, hand.palm_ids])
        part = hand.vertex_part[hand.pad_ids]
        outer = [torch.tensor(parts[1:], device=part.device) for parts in FINGER_PARTS]
        self.finger_pads = [hand.pad_ids[torch.isin(part, parts)] for parts in outer]

    def __call__(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"], hardness: float = 1.0
    ) -> Float[Tensor, " b"]:
        """The weighted sum; `hardness` scales penetration, so that an optimiser may start through the surface."""
        weights = self.weights
        output = self.hand(self.hand.angles_to_pose(angles))
        distance = self.sdf(transform_points(T_object_hand, output.verts))
        held = self.sdf(transform_points(T_object_hand.detach(), output.verts[:, self._pads]))
        return (
            weights.penetration * hardness * penetration(distance, weights.penetration_tolerance)
            + weights.near_weight * saturating(distance[:, self.touching], weights.near)
            + weights.close_weight * self._closest(held).clamp(min=0, max=weights.close).sum(dim=1)
            + self.posture(angles)
            + weights.crossing * self.crossing(output.joints)
        )

    def posture(self, angles: Float[Tensor, "b 15 3"]) -> Float[Tensor, " b"]:
        """Joint limits, twist and spread, and fingers whose middle joint bends unlike their base."""
        weights = self.weights
        aside = angles[:, :, [0, 2]].square().sum(dim=(1, 2))
        alike = (angles[:, PIP, 1] - angles[:, MCP, 1]).square().sum(dim=1)
        return weights.limits * self.hand.limit_energy(angles) + weights.aside * aside + weights.alike * alike

    def crossing(self, joints: Float[Tensor, "b 21 3"]) -> Float[Tensor, " b"]:
        """Fingers in each other: squared shortfall of the distance between their outer bones' midpoints, m²."""
        middles = [(joints[:, chain[1:-1]] + joints[:, chain[2:]]) / 2 for chain in FINGER_CHAINS]
        total = joints.new_zeros(len(joints))
        for i in range(5):
            for j in range(i):
                gap = torch.cdist(middles[i], middles[j])
                total = total + torch.relu(self.weights.crossing_distance - gap).square().sum(dim=(1, 2))
        return total

    @torch.no_grad()
    def finger_gaps(self, verts_object: Float[Tensor, "b v 3"]) -> Float[Tensor, "b 5"]:
        """Least signed distance (m) of each finger's pads to the surface: index, middle, pinky, ring, thumb."""
        distance = self.sdf(verts_object)
        return torch.stack([distance[:, ids].amin(dim=1) for ids in self.finger_pads], dim=1)

    @property
    def _pads(self) -> Int[Tensor, " p"]:
        return torch.cat(self.finger_pads)

    def _closest(self, distance: Float[Tensor, "b p"]) -> Float[Tensor, "b 5"]:
        """Smooth least distance of each finger's pads, given one after the other."""
        sizes = [len(ids) for ids in self.finger_pads]
        closest = [
            -CLOSEST_SHARPNESS * (torch.logsumexp(-part / CLOSEST_SHARPNESS, dim=1) - torch.tensor(float(n)).log())
            for part, n in zip(distance.split(sizes, dim=1), sizes, strict=True)
        ]
        return torch.stack(closest, dim=1)


def penetration(distance: Float[Tensor, "b v"], tolerance: float) -> Float[Tensor, " b"]:
    """Sum over vertices of the squared depth beyond `tolerance`, m²."""
    return torch.relu(-distance - tolerance).square().sum(dim=1)


def saturating(distance: Float[Tensor, "b p"], reach: float) -> Float[Tensor, " b"]:
    """Mean of `d² / (d² + reach²)`: Geman and McClure's robust error, flat beyond a few `reach`."""
    ratio = (distance / reach).square()
    return (ratio / (1 + ratio)).mean(dim=1)
