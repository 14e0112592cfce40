"""Closing a placed hand: the fingers take hold where the palm has been put; the placement itself is kept.

Attraction of the whole hand to the surface is inhuman: it drags a palm from where a person would hold a thing to
where geometry is kindest. So the palm's pose is held by a spring, only what is meant to touch is drawn to the surface
that is near, and everything else is merely kept out of the object and out of the other fingers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.datasets.procedural.placements import Placement
from hoprior.datasets.samples.skin import SkinPoints
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel
from hoprior.hand.landmarks import PALM_CENTRE

FINGERS = 5
THUMB_FINGER = 4
"""Fingers in the joints' order: index, middle, pinky, ring, thumb."""
TIP_OF_FINGER = (17, 18, 20, 19, 16)
NEIGHBOURS = ((0, 1), (1, 3), (3, 2))
BONE_RADIUS = 0.0075
SIDE_NORMAL = 0.75
"""How squarely (cosine) a finger's side looks aside on the flat hand."""
REACH = 0.035
"""Pads further than this (m) from the surface are not drawn to it any harder."""
CONTACT_SHARE = 0.4
"""How much of a zone is to lie on the surface."""


@dataclass(frozen=True)
class Closed:
    """Closed hands, and what tells good ones: the greatest depth (m), each finger's distance to the surface (m), how
    far the palm has moved (m) and turned (radians) from its placement, how deep fingers are in each other (m), and the
    distances (m) of the three sides of fingers and of the palm (see `zones`)."""

    angles: Float[Tensor, "b 15 3"]
    T_object_hand: Float[Tensor, "b 4 4"]
    depth: Float[Tensor, " b"]
    finger_gap: Float[Tensor, "b 5"]
    moved: Float[Tensor, " b"]
    turned: Float[Tensor, " b"]
    crossed: Float[Tensor, " b"]
    other_gap: Float[Tensor, "b 4"]

    def __getitem__(self, index: Int[Tensor, " k"]) -> "Closed":
        """The chosen hands."""
        return Closed(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> "Closed":
        """The same on a device."""
        return Closed(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

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
class Style:
    """The grips of a batch as tensors: what seeks contact, 0 to 1, and how the rest behaves.

    `fingers` and `inner` weigh the pads at the tips and the phalanges behind them (index, middle, pinky, ring, thumb),
    `sides` the radial side of the index finger, that of the middle finger, and the ulnar side of the index finger.
    `keep` is how stiffly each finger keeps its flexion in `target`, `thumb_keep` the same of the thumb's opposition.
    Contact is sought `press` (m) beneath the surface, as flesh gives way there.
    """

    fingers: Float[Tensor, "b 5"]
    inner: Float[Tensor, "b 5"]
    palm: Float[Tensor, " b"]
    sides: Float[Tensor, "b 3"]
    hold: Float[Tensor, " b"]
    keep: Float[Tensor, "b 5"]
    thumb_keep: Float[Tensor, " b"]
    target: Float[Tensor, "b 15 3"]
    press: float = 0.0

    def to(self, device: torch.device | str) -> "Style":
        """The same on a device."""
        moved: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "press"}
        return replace(self, **{name: value.to(device) for name, value in moved.items()})

    @classmethod
    def of_grips(cls, placements: Sequence[Placement], start: Float[Tensor, "b 15 3"]) -> "Style":
        """What the placements' grips ask for; idle fingers keep the flexion that they start with."""
        fingers = torch.tensor([p.grip.fingers for p in placements])
        palm = torch.tensor([p.grip.palm for p in placements])
        return cls(
            fingers=fingers,
            inner=fingers * (0.15 + palm)[:, None],
            palm=palm,
            sides=torch.zeros(len(placements), 3),
            hold=torch.tensor([p.grip.hold for p in placements]),
            keep=1 - fingers,
            thumb_keep=torch.zeros(len(placements)),
            target=start.clone(),
        )


def zones(hand: HandModel) -> tuple[list[Int[Tensor, "_"]], Int[Tensor, "_"]]:
    """Some vertices of each zone that may seek contact, and of the palm.

    The zones are five pads at the fingertips, five inner sides of the phalanges behind, and three sides: radial of the
    index finger, radial of the middle finger, ulnar of the index finger.
    """
    part, normal = hand.vertex_part, hand.vertex_normals
    pads = torch.zeros_like(part, dtype=torch.bool)
    pads[hand.pad_ids] = True
    towards_thumb = normal[:, 1] < -SIDE_NORMAL
    groups = [(pads & (part == 3 * f + 3), 16) for f in range(FINGERS)]
    groups += [(pads & ((part == 3 * f + 1) | (part == 3 * f + 2)), 14) for f in range(FINGERS)]
    groups += [(_of_bones(part, bones) & towards_thumb, 12) for bones in ((2, 3), (5, 6))]
    groups += [(_of_bones(part, (1, 2, 3)) & (normal[:, 1] > SIDE_NORMAL), 12)]
    found = [(mask.nonzero()[:, 0], most) for mask, most in groups]
    thinned = [ids[:: max(1, len(ids) // most)].contiguous() for ids, most in found]
    return thinned, hand.palm_ids[:: max(1, len(hand.palm_ids) // 30)].contiguous()


def _of_bones(part: Int[Tensor, " v"], bones: tuple[int, ...]) -> Bool[Tensor, " v"]:
    return torch.isin(part, torch.tensor(bones, device=part.device))


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

    def __init__(self, hand: HandModel, steps: int = 100, betas: Float[Tensor, "b 10"] | None = None) -> None:
        self.hand, self.steps = hand, steps
        part = hand.vertex_part
        groups, palm = zones(hand)
        every = torch.arange(0, len(hand.v_template), 6, device=part.device)
        ids = torch.cat([*groups, palm, every]).unique()
        self.skin = SkinPoints(hand, ids, betas)
        self.whole = SkinPoints(hand, torch.arange(len(part), device=part.device), betas)
        found = [torch.searchsorted(ids, group) for group in groups]
        self.distal, self.inner, self.sides = found[:FINGERS], found[FINGERS : 2 * FINGERS], found[2 * FINGERS :]
        self.palm = torch.searchsorted(ids, palm)
        self.share = len(part) / len(ids)

    def __call__(self, sdf: SdfGrid, placements: Sequence[Placement], generator: torch.Generator) -> Closed:
        """The placements' hands, closed on an object."""
        T0 = torch.stack([torch.tensor(p.T_object_hand(), dtype=torch.float32) for p in placements])
        start = start_angles(self.hand, placements, generator)
        return self.close(sdf, T0, start, Style.of_grips(placements, start))

    def close(self, sdf: SdfGrid, T0: Float[Tensor, "b 4 4"], start: Float[Tensor, "b 15 3"], style: Style) -> Closed:
        """Hands at `T0` (object's frame) with joint angles `start`, closed on an object as `style` says.

        All arguments are on the hand model's device, and so is the result.
        """
        angles = start.clone().requires_grad_()
        turn = torch.zeros(len(T0), 3, device=T0.device, requires_grad=True)
        move = torch.zeros(len(T0), 3, device=T0.device, requires_grad=True)
        adam = Adam(
            [{"params": [angles], "lr": 0.03}, {"params": [turn], "lr": 0.006}, {"params": [move], "lr": 0.0012}]
        )
        pivot = torch.tensor(PALM_CENTRE, device=T0.device)
        for step in range(self.steps):
            R, t = self._pose(T0, turn, move, pivot)
            points, joints = self.skin(angles, R, t)
            distance = sdf(points)
            # The fingers open first, out of what the placement put them into, and close after that.
            ramp = min(1.0, 0.2 + 1.2 * step / self.steps)
            loss = (
                7e3 * (0.4 + ramp) * self.share * torch.relu(-distance - 0.0005 - style.press).square().sum(1)
                + ramp * self._contact(distance + style.press, style)
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
            gaps = [torch.relu(distance[:, ids]).amin(1) for ids in (*self.distal, *self.sides, self.palm)]
            return Closed(
                angles.detach(),
                rigid(R, t),
                torch.relu(-sdf(whole)).amax(1),
                torch.stack(gaps[:FINGERS], dim=1),
                move.norm(dim=1),
                turn.norm(dim=1),
                self._crossing(joints, points).amax(1),
                torch.stack(gaps[FINGERS:], dim=1),
            )

    @staticmethod
    def _pose(T0: Tensor, turn: Tensor, move: Tensor, pivot: Tensor) -> tuple[Tensor, Tensor]:
        """Rotation and translation of hands turned about the palm's centre and moved, in the hand's axes."""
        R_turn = rotvec_to_rotmat(turn)
        R = T0[:, :3, :3] @ R_turn
        shift = pivot - (R_turn @ pivot) + move
        return R, T0[:, :3, 3] + (T0[:, :3, :3] @ shift[:, :, None])[..., 0]

    def _contact(self, distance: Float[Tensor, "b n"], style: Style) -> Float[Tensor, " b"]:
        """How far what should touch is from the surface, by the nearer part of each zone.

        All of a pad cannot lie on a thin bar; drawing all of it there would press its middle through.
        """

        def gap(ids: Int[Tensor, " k"]) -> Float[Tensor, " b"]:
            return near[:, ids].topk(max(1, round(CONTACT_SHARE * len(ids))), dim=1, largest=False).values.mean(1)

        near = distance.abs().clamp(max=REACH)
        total = 20 * style.palm * gap(self.palm)
        for finger in range(FINGERS):
            total = total + 45 * style.fingers[:, finger] * gap(self.distal[finger])
            total = total + 12 * style.inner[:, finger] * gap(self.inner[finger])
        for side, ids in enumerate(self.sides):
            total = total + 30 * style.sides[:, side] * gap(ids)
        return total

    def _posture(self, angles: Float[Tensor, "b 15 3"], style: Style) -> Float[Tensor, " b"]:
        """Limits, phalanges that bend together, neighbours that bend alike, little twist and spread."""
        flexion = angles[:, :, 1].unflatten(1, (FINGERS, 3))
        together = (flexion[:, :4, 2] - 0.6 * flexion[:, :4, 1]).square().sum(1)
        kept = style.keep.repeat_interleave(3, dim=1) * (angles[:, :, 1] - style.target[:, :, 1]).square()
        alike = sum(
            (
                (flexion[:, a, :2] - flexion[:, b, :2]).square().sum(1)
                * torch.minimum(1 - style.keep[:, a], 1 - style.keep[:, b]).clamp(min=0)
                for a, b in NEIGHBOURS
            ),
            start=torch.zeros_like(kept[:, 0]),
        )
        opposed = style.thumb_keep * (angles[:, 12, 2] - style.target[:, 12, 2]).square()
        aside = angles[:, :12, [0, 2]].square().sum((1, 2)) + angles[:, 13:, [0, 2]].square().sum((1, 2))
        limits = 40 * self.hand.limit_energy(angles)
        return (
            limits
            + 0.35 * together
            + 0.12 * alike
            + 1.0 * kept.sum(1)
            + opposed
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
