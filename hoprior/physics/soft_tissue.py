"""Energies of a hand's flesh at a surface: how much of its skin touches, and spheres in it that no wall may cut.

Vertices alone cannot tell a finger that lies on a plate from one that the plate goes through: both have skin on it, and
a thin wall is nowhere deep. The spheres can.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.state import SignedDistance
from hoprior.hand import HandModel
from hoprior.physics.contact import (
    ContactWeights,
    bone_penetration,
    finger_crossing,
    imbalance,
    penetration,
    posture,
)
from hoprior.physics.posed import SkinZones, pose_hands
from hoprior.physics.surroundings import Surroundings

OFF_NORMAL_WEIGHT = 8.0
"""How much farther across a vertex may be for being so much nearer to the normal on which one looks across."""


@dataclass(frozen=True)
class FleshWeights:
    """Weights of the energies; lengths are metres.

    contact_weight: of the share of the hand's skin that is nearer than `contact_gap`, a step of width
        `contact_softness`. Flesh gives way, so skin that near counts as touching (the metrics' 5 mm).
    contact_gap, contact_softness: the distance (m) at which half of the skin counts, and the width (m) of that step.
    penetration_weight: of the squared depth of vertices.
    sphere_weight: of the squared depth beyond `compliance` to which the surface is in the flesh's spheres.
    compliance: how deep (m) the surface may be in flesh at no cost.
    """

    contact_weight: float = 200.0
    contact_gap: float = 0.005
    contact_softness: float = 0.0025
    penetration_weight: float = 60_000.0
    sphere_weight: float = 120_000.0
    compliance: float = 0.0015


class FleshSpheres:
    """Spheres that fill a hand, one between each vertex of its palmar side and the skin across from it.

    They follow the skin: a centre is the middle of two vertices. Radii are those of the hand at rest.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> spheres = FleshSpheres(hand)
        >>> centres = spheres.centres(hand(torch.zeros(1, 15, 3)).verts)
        >>> centres.shape[1] == len(spheres.radius), bool(spheres.radius.max() < 0.03)
        (True, True)
    """

    def __init__(self, hand: HandModel) -> None:
        verts, normals = hand.v_template, hand.vertex_normals
        palmar = torch.cat([hand.pad_ids, hand.palm_ids])
        apart = verts - verts[palmar, None]
        inward = -(apart * normals[palmar, None]).sum(dim=-1)
        off_normal = (apart.square().sum(dim=-1) - inward.square()).clamp(min=0).sqrt()
        self.skin: Int[Tensor, " s"] = palmar
        self.opposite_skin: Int[Tensor, " s"] = torch.where(
            inward > off_normal, inward + OFF_NORMAL_WEIGHT * off_normal, torch.inf
        ).argmin(dim=1)
        self.radius: Float[Tensor, " s"] = torch.cdist(self.centres(verts[None])[0], verts).amin(dim=1)

    def centres(self, verts: Float[Tensor, "b V 3"]) -> Float[Tensor, "b s 3"]:
        """Where the spheres are in posed hands, in the vertices' frame."""
        return (verts[:, self.skin] + verts[:, self.opposite_skin]) / 2


class FleshEnergy:
    """What is wanted of finished hands: wide, shallow contact that holds; differentiable in angles and placement.

    Bones, balance, posture and crossing fingers are weighed as `ContactEnergy` weighs them, by `contact`; `bones_sdf`
    and `surroundings` are as there.
    """

    def __init__(
        self,
        hand: HandModel,
        sdf: SignedDistance,
        contact: ContactWeights | None = None,
        weights: FleshWeights | None = None,
        bones_sdf: SignedDistance | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.hand, self.sdf, self.bones_sdf, self.surroundings = hand, sdf, bones_sdf or sdf, surroundings
        self.contact, self.weights = contact or ContactWeights(), weights or FleshWeights()
        self.skin, self.spheres = SkinZones(hand), FleshSpheres(hand)

    def __call__(self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]) -> Float[Tensor, " b"]:
        """The weighted sum."""
        contact, weights = self.contact, self.weights
        posed = pose_hands(self.hand, self.sdf, angles, T_object_hand)
        energy = (
            weights.penetration_weight * penetration(posed.distance, 0.0)
            + weights.sphere_weight * self.sphere_penetration(posed.verts_object)
            - weights.contact_weight * self.contact_share(posed.distance)
            + contact.bone_weight * bone_penetration(self.bones_sdf, posed, contact.bone_radius)
            + contact.balance_weight * imbalance(self.sdf, posed, [*self.skin.fingers, self.skin.palm])
            + posture(self.hand, angles, contact)
            + contact.crossing_weight * finger_crossing(posed.joints_hand, contact.crossing_distance)
        )
        return energy if self.surroundings is None else energy + self.surroundings.energy(posed)

    def sphere_penetration(self, verts_object: Float[Tensor, "b V 3"]) -> Float[Tensor, " b"]:
        """Sum over spheres of the squared depth, beyond what flesh yields, to which the surface is in them, m²."""
        distance = self.sdf(self.spheres.centres(verts_object))
        return torch.relu(self.spheres.radius - self.weights.compliance - distance).square().sum(dim=1)

    def contact_share(self, distance: Float[Tensor, "b V"]) -> Float[Tensor, " b"]:
        """Share of the vertices that touch, softly."""
        return torch.sigmoid((self.weights.contact_gap - distance) / self.weights.contact_softness).mean(dim=1)
