"""What frames show of an object whose shape is known, and what is unusual about its track: how well a track agrees."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.tasks.reconstruct.descent import SHIFT_RATE, descend_tracks
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.object_track import Body
from hoprior.tasks.reconstruct.outline_rays import OutlineRays
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.visual_hull import Carver

SKIN_EVERY = 4
"""Which of the hand's vertices are compared."""
DEPTH_SLACK, TOUCH_SLACK, REACH = 0.002, 0.005, 0.03
"""Metres: skin may be so deep inside the object, and so far away, for nothing; depths count up to this."""
PENETRATION_WEIGHT, TOUCH_WEIGHT = 1.0, 0.5
"""How much skin in the object (its mean depth) and a gap between hand and object count beside misses in the picture.
Little: fingers are estimates, and those of the right place are often inside."""
UNUSUAL = 0.0001
"""Metres of misses that a unit of what is unusual outweighs."""
HAND_ERRORS = (0.1, 0.1, 0.1, 0.006, 0.006, 0.03)
"""By how much a frame's hand is usually turned (rad) and off (m, the last along the view)."""
USUAL_TURN, USUAL_SHIFT = 0.15, 0.01
"""By how much an object usually turns (rad) and slips (m) in the hand, from its mean place there."""
TURN_STEP, SHIFT_STEP, HEAVY = 0.03, 0.0015, 9.0
"""The same from one frame to the next; where the squares sum to more than this, their cost grows slowly."""
HAND_RATE, SIZE_RATE = 0.2, 0.01
"""Rates of Adam for the hands' errors (in their usual sizes) and the logarithm of the size."""


class Track(NamedTuple):
    """b tracks of an object through k frames, and what is left of their misses (m), with what is unusual besides."""

    turn: Float[Tensor, "b k 3 3"]
    """From the object's frame to the camera's."""
    place: Float[Tensor, "b k 3"]
    """Of the object's middle before the camera."""
    off: Float[Tensor, "b k 6"]
    """How the hands are taken to be turned and off, in their usual errors."""
    size: Float[Tensor, " b"]
    miss: Float[Tensor, " b"]
    cost: Float[Tensor, " b"]

    @classmethod
    def beginning(
        cls,
        turn: Float[Tensor, "b k 3 3"],
        place: Float[Tensor, "b k 3"],
        size: Float[Tensor, " b"],
        off: Float[Tensor, "b k 6"] | None = None,
    ) -> "Track":
        """Tracks that nobody has looked at; with hands as they are, or `off`."""
        nothing = torch.full_like(size, torch.nan)
        off = place.new_zeros(*place.shape[:2], 6) if off is None else off
        return cls(turn, place, off, size, nothing, nothing)


@dataclass(frozen=True)
class KnownViews:
    """What k frames show, and the surface of a known object, in its own frame and size."""

    views: FrameViews
    outline: OutlineRays
    frames: Int[Tensor, " k"]
    body: Body
    distance: SdfGrid
    radius: float
    skin: Float[Tensor, "k v 3"]
    """In the hand's frame."""
    has_hand: Float[Tensor, " k"]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        scene: Scene,
        clip: Clip,
        carver: Carver,
        body: Body,
        distance: SdfGrid,
        index: Int[Tensor, " k"],
        counts: tuple[int, int],
        seed: int,
        exact: bool = False,
    ) -> "KnownViews":
        """Of the frames `index`: so many pixels of masks, and of their outlines (`OutlineRays.exact`)."""
        views = FrameViews.of(scene, clip, carver, index, seed, counts[0])
        outline = OutlineRays.of(clip, carver, views.intrinsics, index, counts[1], seed, exact)
        skin = scene.place(index).hand.verts[:, ::SKIN_EVERY]
        radius = float(body.points.norm(dim=1).max())
        return cls(views, outline, index, body, distance, radius, skin, clip.has_hand[index].to(skin))

    def __len__(self) -> int:
        return len(self.views)

    def hands(self, off: Float[Tensor, "b k 6"]) -> Float[Tensor, "b k 4 4"]:
        """T_camera_hand, where hands are turned about their middles and off by so much."""
        errors, T = off * off.new_tensor(HAND_ERRORS), self.views.T_camera_hand
        centre = T.new_tensor(HAND_CENTRE)
        turn = rotvec_to_rotmat(errors[..., :3]) @ T[:, :3, :3]
        middle = T[:, :3, :3] @ centre + T[:, :3, 3] + errors[..., 3:]
        return rigid(turn, middle - turn @ centre)

    def misses(self, track: Track, index: Int[Tensor, " j"]) -> Float[Tensor, " b"]:
        """By how much (m) b tracks disagree with the frames `index`, in the mean."""
        turn, place, size = track.turn[:, index], track.place[:, index], track.size
        camera = (size[:, None, None, None] * self.body.points) @ track.turn.mT + track.place[:, :, None]
        # Nothing is gained by being larger.
        beside = self.views.misses(camera, self.body.spacing * size.detach(), index).mean(dim=1)
        passed = self.outline.misses(self.distance, turn, place, size, self.body.middle, self.radius, index)
        return beside + passed + self._hand_misses(track, index)

    def _hand_misses(self, track: Track, index: Int[Tensor, " j"]) -> Float[Tensor, " b"]:
        """Skin inside the object, and hands that do not touch it."""
        hands, turn, place = self.hands(track.off)[:, index], track.turn[:, index], track.place[:, index]
        skin = self.skin[index] @ hands[..., :3, :3].mT + hands[..., None, :3, 3]
        size = track.size[:, None, None, None]
        own = (skin - place[:, :, None]) @ turn / size + self.body.middle
        away = self.distance(own.flatten(1, 2)).reshape(own.shape[:3]) * size[..., 0]
        deep = torch.relu(-away - DEPTH_SLACK).clamp(max=REACH).mean(dim=2)
        gap = torch.relu(away.amin(dim=2) - TOUCH_SLACK)
        seen = self.has_hand[index]
        each = (PENETRATION_WEIGHT * deep + TOUCH_WEIGHT * gap) * seen
        return each.sum(dim=1) / seen.sum().clamp(min=1)

    def unusual(self, track: Track) -> Float[Tensor, " b"]:
        """How unusual motions in the hand and errors of the hands are, about as negative logarithms.

        Objects hardly move in hands, now and then a lot (Cauchy's loss); estimates of hands err, and drift.
        """
        hands = self.hands(track.off)
        turn = hands[..., :3, :3].mT @ track.turn
        place = (hands[..., :3, :3].mT @ (track.place - hands[..., :3, 3])[..., None])[..., 0]
        # The squared difference of two rotation matrices is twice their angle's square, where that is small.
        turned = (turn - turn.mean(dim=1, keepdim=True)).square().sum(dim=(2, 3)) / 2
        shifted = (place - place.mean(dim=1, keepdim=True)).square().sum(dim=2)
        unusual = torch.log1p(turned / USUAL_TURN**2) + torch.log1p(shifted / USUAL_SHIFT**2)
        total = unusual.mean(dim=1) + track.off.square().sum(dim=2).mean(dim=1)
        if len(self.frames) < 2:
            return total
        gaps = self.frames.diff()
        steps = turn.diff(dim=1).square().sum(dim=(2, 3)) / 2 / TURN_STEP**2
        steps = steps + place.diff(dim=1).square().sum(dim=2) / SHIFT_STEP**2
        drift = track.off.diff(dim=1).square().sum(dim=2) / gaps
        return total + (HEAVY / 2 * torch.log1p(steps / gaps / HEAVY) + drift).mean(dim=1)

    def costs(self, track: Track, index: Int[Tensor, " j"]) -> Float[Tensor, " b"]:
        """Misses in the frames `index`, and what is unusual in all, m."""
        return self.misses(track, index) + UNUSUAL * self.unusual(track)

    def descend(self, start: Track, steps: int, rate: float, sized: bool) -> Track:
        """Moves tracks downhill, all at once; `sized` ones keep their size.

        Args:
            start: where they begin.
            steps: of Adam.
            rate: of turns, rad.
            sized: whether sizes stay.
        """
        b, k = start.place.shape[:2]
        shapes = ((b, k, 3), (b, 1, 3), (b, k, 3), (b,))
        turned, common, shifted, grown = (torch.zeros(shape, requires_grad=True) for shape in shapes)
        off = start.off.clone().requires_grad_()

        def now() -> Track:
            turn = rotvec_to_rotmat(turned) @ start.turn @ rotvec_to_rotmat(common)
            return start._replace(turn=turn, place=start.place + shifted, off=off, size=start.size * grown.exp())

        groups = [
            (rate, [turned, common]),
            (rate * SHIFT_RATE, [shifted]),
            (HAND_RATE, [off]),
            (0.0 if sized else SIZE_RATE, [grown]),
        ]
        descend_tracks(groups, lambda index: self.costs(now(), index), k, steps)
        with torch.no_grad():
            found = now()
            miss = self.misses(found, torch.arange(k))
            return found._replace(off=off.detach(), miss=miss, cost=miss + UNUSUAL * self.unusual(found))
