"""Energies of a hand on a surface: penetration, contact that closes what is near, natural posture.

One number a hand, in a unit that the weights make comparable. They know nothing of priors or tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.geometry.state import SignedDistance, transform_points
from hoprior.hand import HandModel

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
POINTS_PER_BONE = 10
LAST_BONE_SHARE = 0.75
"""Where a finger's last point is along its last bone, which ends on the fingertip's skin."""
BONE_SHARES = [[k / POINTS_PER_BONE for k in range(POINTS_PER_BONE)]] * 2 + [
    [LAST_BONE_SHARE * k / (POINTS_PER_BONE - 1) for k in range(POINTS_PER_BONE)]
]
"""Where along the three bones of a finger its points are; the next bone's first is at the joint between them."""
KNUCKLES = (1, 4, 7, 10)
PALM_SHARES = (0.35, 0.6, 0.85)
"""Where between the wrist and the knuckles the palm's points are."""
PATH_STEPS = 24
"""Poses between an open and a closed finger: a tip moves less than a bone's `bone_radius` and a wall from one to the
next, so it cannot step over a wall."""
PATH_CLEARANCE = 0.004
"""How far (m) a bone stays from the surface on its way; the rest of its flesh is pressed out later."""
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
    held; it draws to `near_gap` off the surface, since flesh that near counts as touching. `close` is the reach of the
    attraction that bends fingers only; they close until they press `press` deep, as flesh does. `balance` weighs the
    force and torque that remain when every finger and the palm, as far as they touch, push alike.
    """

    penetration: float = 2000.0
    penetration_tolerance: float = 0.002
    bone_weight: float = 1000.0
    bone_radius: float = 0.005
    near_weight: float = 2.0
    near: float = 0.006
    near_gap: float = 0.0
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
            + weights.near_weight * saturating(distance[:, self.touching] - weights.near_gap, weights.near)
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
        points = self.finger_points(joints_hand)
        return torch.relu(self.weights.bone_radius - self.sdf(transform_points(T_object_hand, points))).square().sum(1)

    def bone_points(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 162 3"]:
        """Points in all bones: the fingers' and the palm's."""
        return torch.cat([self.finger_points(joints_hand), self.palm_points(joints_hand)], dim=1)

    def finger_points(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 150 3"]:
        """Points in the bones of the fingers, 30 a finger from its base outwards, in `FINGER_CHAINS`' order."""
        return _between(joints_hand[:, BONE_STARTS], joints_hand[:, BONE_ENDS], BONE_SHARES * len(FINGER_CHAINS))

    def palm_points(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 12 3"]:
        """Points in the bones of the palm, from the wrist to the knuckles."""
        wrist, knuckles = joints_hand[:, :1].expand(-1, len(KNUCKLES), -1), joints_hand[:, KNUCKLES]
        return _between(wrist, knuckles, [PALM_SHARES] * len(KNUCKLES))

    @torch.no_grad()
    def closed_from_open(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> tuple[Float[Tensor, "b 15 3"], Int[Tensor, " b"]]:
        """Each finger as far on its way from open to `angles` as it gets before its bones meet the object.

        An optimiser moves a bone that is inside to the nearer side, so that a finger which starts through a cup's wall
        stays through it. A finger that has come from outside is on the side that it can be on.

        Returns:
            The angles, and how many of each hand's fingers (and its palm) meet the object when it is open; these are
            left as given.
        """
        opened = angles.clone()
        opened[:, :12, 1] = opened[:, :12, 1].clamp(max=0.0)
        opened[:, 12:] = self.hand.relaxed_angles[12:]
        shares = torch.linspace(0, 1, PATH_STEPS).tolist()
        clear = torch.stack([self.clear(opened + share * (angles - opened), T_object_hand) for share in shares])
        free = clear[..., :-1].int().cummin(dim=0).values.sum(dim=0)  # poses of each finger until it meets the object
        share = torch.where(free > 0, (free - 1) / (PATH_STEPS - 1), 1.0)
        share = share.repeat_interleave(3, dim=1)[..., None]
        return opened + share * (angles - opened), (~clear[0]).sum(dim=1)

    @torch.no_grad()
    def clear(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"], clearance: float = PATH_CLEARANCE
    ) -> Bool[Tensor, "b 6"]:
        """Whether the bones of each finger (in `FINGER_CHAINS`' order) and of the palm are clear of the object."""
        joints = self.hand.joints_only(self.hand.angles_to_pose(angles))
        distance = self.sdf(transform_points(T_object_hand, self.bone_points(joints)))
        fingers, palm = distance.split([len(BONE_STARTS) * POINTS_PER_BONE, len(KNUCKLES) * len(PALM_SHARES)], dim=1)
        nearest = [*fingers.unflatten(1, (len(FINGER_CHAINS), -1)).amin(dim=2).unbind(dim=1), palm.amin(dim=1)]
        return torch.stack(nearest, dim=1) > clearance

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

    def _closest(self, distance: Float[Tensor, "b p"]) -> Float[Tensor, "b 5"]:
        """Smooth least distance of each finger's pads, given one after the other."""
        sizes = [len(ids) for ids in self.finger_pads]
        closest = [
            -CLOSEST_SHARPNESS * (torch.logsumexp(-part / CLOSEST_SHARPNESS, dim=1) - torch.tensor(float(n)).log())
            for part, n in zip(distance.split(sizes, dim=1), sizes, strict=True)
        ]
        return torch.stack(closest, dim=1)


def _between(
    start: Float[Tensor, "b k 3"], end: Float[Tensor, "b k 3"], shares: Sequence[Sequence[float]]
) -> Float[Tensor, "b n 3"]:
    """Points at each start's own shares of the way to its end, one bone after the other."""
    share = torch.tensor(shares, device=start.device)[..., None]
    return (start[:, :, None] + share * (end - start)[:, :, None]).flatten(1, 2)


def penetration(distance: Float[Tensor, "b v"], tolerance: float) -> Float[Tensor, " b"]:
    """Sum over vertices of the squared depth beyond `tolerance`, m²."""
    return torch.relu(-distance - tolerance).square().sum(dim=1)


def saturating(distance: Float[Tensor, "b p"], reach: float) -> Float[Tensor, " b"]:
    """Mean of `d² / (d² + reach²)`: Geman and McClure's robust error, flat beyond a few `reach`."""
    ratio = (distance / reach).square()
    return (ratio / (1 + ratio)).mean(dim=1)
