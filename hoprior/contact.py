"""Energies of a hand on a surface: penetration, contact that closes what is near, natural posture.

One number a hand, in a unit that the weights make comparable. They know nothing of priors or tasks.
"""

from collections.abc import Sequence
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
BONE_STARTS = [joint for chain in FINGER_CHAINS for joint in chain[:-1]]
BONE_ENDS = [joint for chain in FINGER_CHAINS for joint in chain[1:]]
BONE_SHARES = (0.0, 0.2, 0.4, 0.6, 0.75)
"""Where along a bone its points are; the last stays clear of the fingertip, which is on the skin."""
PIP, MCP = (1, 4, 7, 10), (0, 3, 6, 9)
CONTACT_REACH = 0.01
"""Gap (m) at which a finger's push has fallen to 1/e."""
TORQUE_ARM = 0.04
"""Lever (m) at which a torque counts as much as a force."""
CLOSEST_SHARPNESS = 0.004
"""Width (m) over which a finger's smooth closest distance averages its pads."""


@dataclass(frozen=True)
class ContactWeights:
    """Weights of the energies; lengths are metres.

    Penetration counts beyond `penetration_tolerance`; bones keep `bone_radius` away. `near` is the reach of the
    attraction that moves the whole hand: what is further off is left alone, so that a placement which a prior chose is
    held. `close` is the reach of the attraction that bends fingers only; they close until they press `press` deep, as
    flesh does. `balance` weighs the force and torque that remain when every finger and the palm, as far as they touch,
    push alike.
    """

    penetration: float = 2000.0
    penetration_tolerance: float = 0.002
    bone_weight: float = 2000.0
    bone_radius: float = 0.005
    near_weight: float = 2.0
    near: float = 0.006
    close_weight: float = 5.0
    close: float = 0.05
    press: float = 0.003
    balance_weight: float = 2.0
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
        self.bone_pads = [hand.pad_ids[part == bone] for bone in range(1, 16) if (part == bone).any()] + [hand.palm_ids]
        self.finger_pads: list[Tensor] = [hand.pad_ids[torch.isin(part, parts)] for parts in outer]
        self._closing = torch.cat(self.finger_pads)

    def __call__(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"], hardness: float = 1.0
    ) -> Float[Tensor, " b"]:
        """The weighted sum; `hardness` scales penetration, so that an optimiser may start through the surface."""
        weights = self.weights
        output = self.hand(self.hand.angles_to_pose(angles))
        verts_object = transform_points(T_object_hand, output.verts)
        distance = self.sdf(verts_object)
        held = self.sdf(transform_points(T_object_hand.detach(), output.verts[:, self._closing]))
        return (
            weights.penetration * hardness * penetration(distance, weights.penetration_tolerance)
            + weights.bone_weight * hardness * self.pierced(output.joints, T_object_hand)
            + weights.near_weight * saturating(distance[:, self.touching], weights.near)
            + weights.close_weight * self._closest(held).clamp(min=-weights.press, max=weights.close).sum(dim=1)
            + weights.balance_weight * self.imbalance(verts_object, distance)
            + self.posture(angles)
            + weights.crossing * self.crossing(output.joints)
        )

    def pierced(
        self, joints_hand: Float[Tensor, "b 21 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> Float[Tensor, " b"]:
        """Sum over points in the bones of the squared shortfall of `bone_radius` from the surface, m².

        A thin wall hides no vertex: a finger through the side of a mug is out on both sides. Its bones are not.
        """
        points = self.bone_points(joints_hand)
        return torch.relu(self.weights.bone_radius - self.sdf(transform_points(T_object_hand, points))).square().sum(1)

    def bone_points(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b n 3"]:
        """Points along the bones of the fingers, joints and half-way points included, but not the skin's tips."""
        start, end = joints_hand[:, BONE_STARTS], joints_hand[:, BONE_ENDS]
        shares = torch.tensor(BONE_SHARES, device=joints_hand.device)[:, None, None]
        return (start[:, None] + shares * (end - start)[:, None]).flatten(1, 2)

    def crossed(self, joints_hand: Float[Tensor, "b 21 3"], T_object_hand: Float[Tensor, "b 4 4"]) -> Int[Tensor, " b"]:
        """How many fingers go into the object and, farther out along their bones, come out of it again."""
        points = transform_points(T_object_hand, self.bone_points(joints_hand))
        inside = (self.sdf(points) < 0).unflatten(1, (len(BONE_SHARES), len(FINGER_CHAINS), -1))
        inside = inside.permute(0, 2, 3, 1).flatten(2)  # each finger's points, from its base to its tip
        entered = inside.int().cummax(dim=2).values.bool()
        return (entered & ~inside).any(dim=2).sum(dim=1)

    def imbalance(self, verts_object: Float[Tensor, "b v 3"], distance: Float[Tensor, "b v"]) -> Float[Tensor, " b"]:
        """Net force and torque of the contacts, as shares of their sum; 0 where they hold each other, 1 where not.

        Each finger, and the palm, pushes at its closest point along the surface's normal, by how near it is (Liu et al.
        2021, "Synthesizing diverse and physically stable grasps", Eq. 4, with soft contacts).
        """
        contacts, gap = self.contacts([*self.finger_pads, self.hand.palm_ids], verts_object, distance)
        push = torch.exp(-(gap.clamp(min=0) / CONTACT_REACH).square())[..., None]
        normals = self.normals(contacts)
        total = push.sum(dim=1).clamp(min=0.5)
        centre = (push * contacts).sum(dim=1, keepdim=True) / total[:, None]
        force = (push * normals).sum(dim=1) / total
        torque = (push * torch.cross(contacts - centre, normals, dim=-1)).sum(dim=1) / total / TORQUE_ARM
        return force.square().sum(dim=1) + torque.square().sum(dim=1)

    def contacts(
        self, groups: Sequence[Int[Tensor, " p"]], verts_object: Float[Tensor, "b v 3"], distance: Float[Tensor, "b v"]
    ) -> tuple[Float[Tensor, "b k 3"], Float[Tensor, "b k"]]:
        """The vertex of each of k groups that is closest to the object, and its distance (m)."""
        points, gaps = [], []
        for ids in groups:
            nearest = distance[:, ids].detach().argmin(dim=1, keepdim=True)
            points.append(verts_object[:, ids].gather(1, nearest[..., None].expand(-1, -1, 3)))
            gaps.append(distance[:, ids].gather(1, nearest))
        return torch.cat(points, dim=1), torch.cat(gaps, dim=1)

    def normals(self, points: Float[Tensor, "b n 3"], step: float = 0.002) -> Float[Tensor, "b n 3"]:
        """Outward directions of the distance field, by central differences."""
        offsets = step * torch.eye(3, device=points.device, dtype=points.dtype)
        moved = torch.cat([points + offset for offset in (*offsets, *-offsets)], dim=1)
        ahead, behind = self.sdf(moved).unflatten(1, (6, -1)).chunk(2, dim=1)
        return torch.nn.functional.normalize((ahead - behind).transpose(1, 2), dim=-1, eps=1e-6)

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
