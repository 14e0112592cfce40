"""Energies of a hand on a surface: penetration, contact that closes what is near, natural posture.

Every term is a function of a few tensors of one posed batch (`PosedHands`) and gives one number a hand; `ContactEnergy`
weighs and adds them. They know nothing of priors or tasks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.constants import places
from hoprior.geometry.state import SignedDistance, transform_points
from hoprior.hand import HandModel
from hoprior.hand.bones import FINGER_CHAINS
from hoprior.physics.bone_samples import finger_samples
from hoprior.physics.posed import PosedHands, SkinZones, closest_contacts, pose_hands, surface_normals
from hoprior.physics.surroundings import Surroundings

PIP, MCP = (1, 4, 7, 10), (0, 3, 6, 9)
"""The middle and the base joint of each finger but the thumb, among the 15 that bend."""
CONTACT_REACH = 0.01
"""Gap (m) at which a finger's push has fallen to 1/e."""
TORQUE_ARM = 0.04
"""Lever (m) at which a torque counts as much as a force."""
MIN_PUSH = 0.5
"""Pushes that sum to less than this, of six that are possible, are weighed as if they did."""
CLOSEST_SHARPNESS = 0.004
"""Width (m) over which a finger's smooth closest distance averages its pads."""


@dataclass(frozen=True)
class ContactWeights:
    """Weights of the energies; lengths are metres.

    penetration_weight, penetration_tolerance: of the squared depth of vertices beyond the tolerance, 1/m².
    bone_weight, bone_radius: of the squared shortfall of the fingers' bones from staying `bone_radius` away, 1/m².
    hand_weight, hand_reach, hand_gap: of the attraction that moves the whole hand, 1/m and m. What is farther off
        than about `hand_reach` is left alone, so that a placement which a prior chose is held; it draws to `hand_gap`
        off the surface, since flesh that near counts as touching.
    finger_weight, finger_reach, press_depth: of the attraction that bends fingers only, 1/m: each finger whose pads are
        nearer than `finger_reach` closes until they press `press_depth` deep, as flesh does.
    balance_weight: of the force and torque that remain when the fingers and the palm push alike, as far as they touch.
    limit_weight: of the squared excess of joint limits, 1/rad².
    spread_weight: of squared twist and sideways spread, which hands at rest have little of, 1/rad².
    coupling_weight: of the squared difference between a finger's bends at its base and in its middle, which people
        bend alike, 1/rad².
    crossing_weight, crossing_distance: of the squared shortfall of the distance between different fingers' outer
        bones, 1/m².
    """

    penetration_weight: float = 2000.0
    penetration_tolerance: float = 0.002
    bone_weight: float = 1000.0
    bone_radius: float = 0.005
    hand_weight: float = 2.0
    hand_reach: float = 0.006
    hand_gap: float = 0.0
    finger_weight: float = 5.0
    finger_reach: float = 0.05
    press_depth: float = 0.003
    balance_weight: float = 2.0
    limit_weight: float = 20.0
    spread_weight: float = 0.03
    coupling_weight: float = 0.01
    crossing_weight: float = 400.0
    crossing_distance: float = 0.013


class ContactEnergy:
    """What physics and anatomy say of hands at an object, weighed; differentiable in angles and placement, but for
    the pull of pads to the surface, whose gradient closes the fingers alone: a hand is not moved by it.

    Bones may be kept out of more than the object (`bones_sdf`), such as out of a cup's mouth; hand and forearm may be
    kept off what is around it (`surroundings`).

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> energy = ContactEnergy(hand, lambda points: points[..., 2] - 0.1)  # all that is below z = 10 cm
        >>> T_object_hand = torch.eye(4).repeat(2, 1, 1)
        >>> T_object_hand[:, 2, 3] = torch.tensor([0.15, 0.05])  # above, and inside
        >>> above, inside = energy(hand.relaxed_angles.repeat(2, 1, 1), T_object_hand)
        >>> bool(above < inside)
        True
    """

    def __init__(
        self,
        hand: HandModel,
        sdf: SignedDistance,
        weights: ContactWeights | None = None,
        bones_sdf: SignedDistance | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.hand, self.sdf, self.weights, self.bones_sdf = hand, sdf, weights or ContactWeights(), bones_sdf or sdf
        self.skin, self.surroundings = SkinZones(hand), surroundings

    def __call__(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"], hardness: float | Tensor = 1.0
    ) -> Float[Tensor, " b"]:
        """The weighted sum; `hardness` scales penetration, so that an optimiser may start through the surface."""
        weights, skin = self.weights, self.skin
        posed = pose_hands(self.hand, self.sdf, angles, T_object_hand)
        energy = (
            weights.penetration_weight * hardness * penetration(posed.distance, weights.penetration_tolerance)
            + weights.bone_weight * hardness * bone_penetration(self.bones_sdf, posed, weights.bone_radius)
            + weights.hand_weight * saturating(posed.distance[:, skin.palmar] - weights.hand_gap, weights.hand_reach)
            + weights.finger_weight * finger_gaps(self.sdf, posed, skin, weights)
            + weights.balance_weight * imbalance(self.sdf, posed, [*skin.fingers, skin.palm])
            + posture(self.hand, angles, weights)
            + weights.crossing_weight * finger_crossing(posed.joints_hand, weights.crossing_distance)
        )
        return energy if self.surroundings is None else energy + self.surroundings.energy(posed)


def penetration(distance: Float[Tensor, "b v"], tolerance: float) -> Float[Tensor, " b"]:
    """Sum over vertices of the squared depth beyond `tolerance`, m².

    Example:
        >>> penetration(torch.tensor([[0.01, -0.003, -0.001]]), tolerance=0.001)  # one vertex is 2 mm too deep
        tensor([4.0000e-06])
    """
    return torch.relu(-distance - tolerance).square().sum(dim=1)


def bone_penetration(sdf: SignedDistance, posed: PosedHands, radius: float) -> Float[Tensor, " b"]:
    """Sum over points in the fingers' bones of the squared shortfall of `radius` from the surface, m².

    A thin wall hides no vertex: a finger through the side of a mug is out on both sides. Its bones are not.

    Example:
        >>> from hoprior.hand import load_hand
        >>> def wall(points):  # so thin that it hides hardly a vertex
        ...     return points[..., 0].sub(0.13).abs() - 0.0005
        >>> posed = pose_hands(load_hand(), wall, torch.zeros(1, 15, 3), torch.eye(4)[None])
        >>> bool(bone_penetration(wall, posed, radius=0.005) > 100 * penetration(posed.distance, 0.0))
        False
    """
    points = transform_points(posed.T_object_hand, finger_samples(posed.joints_hand))
    return torch.relu(radius - sdf(points)).square().sum(1)


def saturating(distance: Float[Tensor, "b p"], reach: float) -> Float[Tensor, " b"]:
    """Mean of `d² / (d² + reach²)`: Geman and McClure's robust error, flat beyond a few `reach`.

    Example:
        >>> saturating(torch.tensor([[0.0], [0.01], [1.0]]), reach=0.01).round(decimals=3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    ratio = (distance / reach).square()
    return (ratio / (1 + ratio)).mean(dim=1)


def finger_gaps(
    sdf: SignedDistance, posed: PosedHands, skin: SkinZones, weights: ContactWeights
) -> Float[Tensor, " b"]:
    """Sum over fingers of how far their pads are from pressing, m; its gradient bends fingers and moves no hand.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> def table(points):  # 2 cm before a flat hand's palm
        ...     return 0.03 - points[..., 2]
        >>> angles = torch.stack([0 * hand.relaxed_angles, hand.relaxed_angles])
        >>> posed = pose_hands(hand, table, angles, torch.eye(4).repeat(2, 1, 1))
        >>> gaps = finger_gaps(table, posed, SkinZones(hand), ContactWeights())
        >>> bool(gaps[1] < gaps[0])  # bent fingers are nearer
        True
    """
    pads = posed.verts_hand[:, torch.cat(skin.fingers)]
    distance = sdf(transform_points(posed.T_object_hand.detach(), pads))
    closest = soft_closest(distance, [len(ids) for ids in skin.fingers])
    return closest.clamp(min=-weights.press_depth, max=weights.finger_reach).sum(dim=1)


def soft_closest(distance: Float[Tensor, "b p"], sizes: Sequence[int]) -> Float[Tensor, "b k"]:
    """Smooth least distance of each of k groups of points, given one after the other.

    Example:
        >>> soft_closest(torch.tensor([[0.05, 0.05, 0.01, 0.01]]), sizes=(2, 2)).round(decimals=3)
        tensor([[0.0500, 0.0100]])
    """
    closest = [
        -CLOSEST_SHARPNESS * (torch.logsumexp(-part / CLOSEST_SHARPNESS, dim=1) - math.log(n))
        for part, n in zip(distance.split(list(sizes), dim=1), sizes, strict=True)
    ]
    return torch.stack(closest, dim=1)


def imbalance(sdf: SignedDistance, posed: PosedHands, groups: Sequence[Int[Tensor, "_"]]) -> Float[Tensor, " b"]:
    """Net force and torque of the contacts, as shares of their sum; 0 where they hold each other, 1 where not.

    Each group of vertices pushes at its closest point along the surface's normal, by how near it is (Liu et al. 2021,
    "Synthesizing diverse and physically stable grasps", Eq. 4, with soft contacts).

    Example:
        >>> def ball(points):
        ...     return points.norm(dim=-1) - 0.04
        >>> east, west = [0.04, 0.0, 0.0], [-0.04, 0.0, 0.0]
        >>> sides = torch.tensor([[east, west], [east, east]])  # two hands of two vertices
        >>> still = torch.eye(4).repeat(2, 1, 1)
        >>> hands = PosedHands(still.new_zeros(2, 15, 3), still, still.new_zeros(2, 21, 3), sides, sides, ball(sides))
        >>> imbalance(ball, hands, [torch.tensor([0]), torch.tensor([1])]).round(decimals=3)
        tensor([0., 1.])
    """
    contacts, gap = closest_contacts(groups, posed.verts_object, posed.distance)
    push = torch.exp(-(gap.clamp(min=0) / CONTACT_REACH).square())[..., None]
    normals = surface_normals(sdf, contacts)
    total = push.sum(dim=1).clamp(min=MIN_PUSH)
    centre = (push * contacts).sum(dim=1, keepdim=True) / total[:, None]
    force = (push * normals).sum(dim=1) / total
    torque = (push * torch.cross(contacts - centre, normals, dim=-1)).sum(dim=1) / total / TORQUE_ARM
    return force.square().sum(dim=1) + torque.square().sum(dim=1)


def posture(hand: HandModel, angles: Float[Tensor, "b 15 3"], weights: ContactWeights) -> Float[Tensor, " b"]:
    """Joint limits, twist and spread, and fingers whose middle joint bends unlike their base, weighed.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> bent = torch.stack([hand.relaxed_angles, hand.angle_high + 0.2])
        >>> relaxed, beyond = posture(hand, bent, ContactWeights())
        >>> bool(relaxed < beyond)
        True
    """
    spread = angles[:, :, places((0, 2), angles)].square().sum(dim=(1, 2))
    coupling = (angles[:, places(PIP, angles), 1] - angles[:, places(MCP, angles), 1]).square().sum(dim=1)
    return (
        weights.limit_weight * hand.limit_energy(angles)
        + weights.spread_weight * spread
        + weights.coupling_weight * coupling
    )


def finger_crossing(joints: Float[Tensor, "b 21 3"], distance: float) -> Float[Tensor, " b"]:
    """Fingers in each other: squared shortfall of `distance` (m) between their outer bones' midpoints, m².

    Example:
        >>> from hoprior.hand import load_hand
        >>> joints = load_hand().joints_only(torch.zeros(1, 15, 3))
        >>> finger_crossing(joints, distance=0.01), bool(finger_crossing(0 * joints, distance=0.01) > 0)
        (tensor([0.]), True)
    """
    middles = [
        (joints[:, places(chain[1:-1], joints)] + joints[:, places(chain[2:], joints)]) / 2 for chain in FINGER_CHAINS
    ]
    total = joints.new_zeros(len(joints))
    for i in range(len(middles)):
        for j in range(i):
            gap = torch.cdist(middles[i], middles[j])
            total = total + torch.relu(distance - gap).square().sum(dim=(1, 2))
    return total
