"""Closing a placed hand: the fingers take hold where the palm has been put; the placement itself is kept.

Attraction of the whole hand to the surface is inhuman: it drags a palm from where a person would hold a thing to
where geometry is kindest. So the palm's pose is held by a spring, only what is meant to touch is drawn to the surface
that is near, and everything else is merely kept out of the object and out of the other fingers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.procedural.placements import Placement
from hoprior.datasets.skin import SkinPoints
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel
from hoprior.state import rigid

FINGERS = 5
THUMB_FINGER = 4
"""Fingers in the joints' order: index, middle, pinky, ring, thumb."""
TIP_OF_FINGER = (17, 18, 20, 19, 16)
NEIGHBOURS = ((0, 1), (1, 3), (3, 2))
BONE_RADIUS = 0.0075
REACH = 0.035
"""Pads further than this (m) from the surface are not drawn to it any harder."""


@dataclass(frozen=True)
class Closed:
    """Closed hands, and what tells good ones: the greatest depth (m), each finger's distance to the surface (m), how
    far the palm has moved (m) and turned (radians) from its placement."""

    angles: Float[Tensor, "b 15 3"]
    T_object_hand: Float[Tensor, "b 4 4"]
    depth: Float[Tensor, " b"]
    finger_gap: Float[Tensor, "b 5"]
    moved: Float[Tensor, " b"]
    turned: Float[Tensor, " b"]
    crossed: Float[Tensor, " b"]

    def __getitem__(self, index: Int[Tensor, " k"]) -> "Closed":
        """The chosen hands."""
        return Closed(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def joined(self, others: Sequence["Closed"]) -> "Closed":
        """These hands and those of others behind them."""
        return Closed(**{f.name: torch.cat([getattr(c, f.name) for c in (self, *others)]) for f in fields(self)})

    def good(self, fingers: Float[Tensor, "b 5"], depth: float = 0.006, gap: float = 0.008) -> Bool[Tensor, " b"]:
        """The thumb and half of the fingers touch as they should, nothing is inside, the palm is where it was put."""
        wanted = fingers > 0.5
        touching = (self.finger_gap < gap) & wanted
        others = wanted[:, :THUMB_FINGER].sum(1)
        enough = touching[:, :THUMB_FINGER].sum(1) >= torch.clamp((others + 1) // 2, min=1)
        placed = (self.moved < 0.03) & (self.turned < 0.5)
        return touching[:, THUMB_FINGER] & enough & (self.depth < depth) & placed & (self.crossed < 0.006)


@dataclass(frozen=True)
class _Style:
    """The grips of a batch as tensors."""

    fingers: Float[Tensor, "b 5"]
    palm: Float[Tensor, " b"]
    hold: Float[Tensor, " b"]
    target: Float[Tensor, "b 15"]


def start_angles(
    hand: HandModel, placements: Sequence[Placement], generator: torch.Generator
) -> Float[Tensor, "b 15 3"]:
    """Joint angles before closing: each grip's own opening, with a little noise."""
    angles = torch.zeros(len(placements), 15, 3)
    for i, placement in enumerate(placements):
        grip = placement.grip
        for finger in range(4):
            mcp, pip = grip.start if grip.fingers[finger] > 0 else grip.idle
            angles[i, 3 * finger : 3 * finger + 3, 1] = torch.tensor([mcp, pip, 0.6 * pip])
        angles[i, 12, 2] = grip.oppose
        angles[i, 13:15, 1] = torch.tensor([0.1, 0.25])
    angles = angles + 0.05 * torch.randn(angles.shape, generator=generator) * torch.tensor([0.3, 1.0, 0.5])
    return torch.minimum(torch.maximum(angles, hand.angle_low), hand.angle_high)


class HandCloser:
    """Closes batches of placed hands on one object after another."""

    def __init__(self, hand: HandModel, steps: int = 100) -> None:
        self.hand, self.steps = hand, steps
        part, pads = hand.vertex_part, torch.zeros(len(hand.v_template), dtype=torch.bool)
        pads[hand.pad_ids] = True
        distal = [(pads & (part == 3 * f + 3)).nonzero()[:, 0] for f in range(FINGERS)]
        inner = [(pads & ((part == 3 * f + 1) | (part == 3 * f + 2))).nonzero()[:, 0] for f in range(FINGERS)]
        groups = [ids[:: max(1, len(ids) // 16)].contiguous() for ids in distal] + [
            ids[:: max(1, len(ids) // 14)].contiguous() for ids in inner
        ]
        palm = hand.palm_ids[:: max(1, len(hand.palm_ids) // 30)].contiguous()
        every = torch.arange(0, len(hand.v_template), 6)
        ids = torch.cat([*groups, palm, every]).unique()
        self.skin = SkinPoints(hand, ids)
        self.whole = SkinPoints(hand, torch.arange(len(hand.v_template)))
        self.distal = [torch.searchsorted(ids, g) for g in groups[:FINGERS]]
        self.inner = [torch.searchsorted(ids, g) for g in groups[FINGERS:]]
        self.palm = torch.searchsorted(ids, palm)
        self.share = len(hand.v_template) / len(ids)

    def __call__(self, sdf: SdfGrid, placements: Sequence[Placement], generator: torch.Generator) -> Closed:
        """The placements' hands, closed on an object."""
        T0 = torch.stack([torch.tensor(p.T_object_hand(), dtype=torch.float32) for p in placements])
        start = start_angles(self.hand, placements, generator)
        style = _Style(
            fingers=torch.tensor([p.grip.fingers for p in placements]),
            palm=torch.tensor([p.grip.palm for p in placements]),
            hold=torch.tensor([p.grip.hold for p in placements]),
            target=start[:, :, 1].clone(),
        )
        angles = start.clone().requires_grad_()
        turn = torch.zeros(len(T0), 3, requires_grad=True)
        move = torch.zeros(len(T0), 3, requires_grad=True)
        adam = torch.optim.Adam(
            [{"params": [angles], "lr": 0.03}, {"params": [turn], "lr": 0.006}, {"params": [move], "lr": 0.0012}]
        )
        pivot = torch.tensor([0.09, 0.0, 0.03])
        for step in range(self.steps):
            R, t = self._pose(T0, turn, move, pivot)
            points, joints = self.skin(angles, R, t)
            distance = sdf(points)
            # The fingers open first, out of what the placement put them into, and close after that.
            ramp = min(1.0, 0.2 + 1.2 * step / self.steps)
            loss = (
                3.5e3 * (0.4 + ramp) * self.share * torch.relu(-distance - 0.0005).square().sum(1)
                + ramp * self._contact(distance, style)
                + self._posture(angles, style)
                + 4e3 * self._crossing(joints, points).square().sum(1)
                + style.hold * ((move / 0.008).square().sum(1) + (turn / 0.1).square().sum(1)) * 0.12
            )
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
        with torch.no_grad():
            angles.copy_(torch.minimum(torch.maximum(angles, self.hand.angle_low), self.hand.angle_high))
            R, t = self._pose(T0, turn, move, pivot)
            points, joints = self.skin(angles, R, t)
            distance = sdf(points)
            whole = self.whole(angles, R, t)[0]
            gaps = [torch.relu(distance[:, ids]).amin(1) for ids in self.distal]
            return Closed(
                angles.detach(),
                rigid(R, t),
                torch.relu(-sdf(whole)).amax(1),
                torch.stack(gaps, dim=1),
                move.norm(dim=1),
                turn.norm(dim=1),
                self._crossing(joints, points).amax(1),
            )

    @staticmethod
    def _pose(T0: Tensor, turn: Tensor, move: Tensor, pivot: Tensor) -> tuple[Tensor, Tensor]:
        """Rotation and translation of hands turned about the palm's centre and moved, in the hand's axes."""
        R_turn = roma.rotvec_to_rotmat(turn)
        R = T0[:, :3, :3] @ R_turn
        shift = pivot - (R_turn @ pivot) + move
        return R, T0[:, :3, 3] + (T0[:, :3, :3] @ shift[:, :, None])[..., 0]

    def _contact(self, distance: Float[Tensor, "b n"], style: _Style) -> Float[Tensor, " b"]:
        """How far what should touch is from the surface."""
        near = distance.abs().clamp(max=REACH)
        total = 20 * style.palm * near[:, self.palm].mean(1)
        for finger in range(FINGERS):
            weight = style.fingers[:, finger]
            total = total + 45 * weight * near[:, self.distal[finger]].mean(1)
            total = total + 12 * weight * (0.15 + style.palm) * near[:, self.inner[finger]].mean(1)
        return total

    def _posture(self, angles: Float[Tensor, "b 15 3"], style: _Style) -> Float[Tensor, " b"]:
        """Limits, phalanges that bend together, neighbours that bend alike, little twist and spread."""
        flexion = angles[:, :, 1].unflatten(1, (FINGERS, 3))
        together = (flexion[:, :4, 2] - 0.6 * flexion[:, :4, 1]).square().sum(1)
        alike = sum(
            (
                (flexion[:, a, :2] - flexion[:, b, :2]).square().sum(1)
                * torch.minimum(style.fingers[:, a], style.fingers[:, b])
                for a, b in NEIGHBOURS
            ),
            start=torch.zeros(len(angles)),
        )
        idle = (1 - style.fingers).repeat_interleave(3, dim=1) * (angles[:, :, 1] - style.target).square()
        aside = angles[:, :12, [0, 2]].square().sum((1, 2)) + angles[:, 13:, [0, 2]].square().sum((1, 2))
        limits = 40 * self.hand.limit_energy(angles)
        return (
            limits
            + 0.35 * together
            + 0.12 * alike
            + 1.0 * idle.sum(1)
            + 0.6 * aside
            + 0.02 * flexion.square().sum((1, 2))
        )

    def _crossing(self, joints: Float[Tensor, "b 16 3"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b k"]:
        """How deep fingers are in each other: bones as chains of spheres, neighbours touching is free."""
        chains = []
        for finger in range(FINGERS):
            tip = points[:, self.distal[finger]].mean(1, keepdim=True)
            bones = torch.cat([joints[:, 3 * finger + 1 : 3 * finger + 4], tip], dim=1)
            middle = (bones[:, 1:] + bones[:, :-1]) / 2
            chains.append(torch.cat([middle, bones[:, 2:]], dim=1))
        thumb = chains[THUMB_FINGER]
        pairs = [(thumb, torch.cat([chains[f] for f in range(4)], dim=1), 2 * BONE_RADIUS)]
        pairs += [(chains[a][:, 1:], chains[b][:, 1:], 1.6 * BONE_RADIUS) for a, b in NEIGHBOURS]
        return torch.cat([torch.relu(least - torch.cdist(a, b)).flatten(1) for a, b, least in pairs], dim=1)
