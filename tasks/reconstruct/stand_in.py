"""A thing of the same kind that takes the object's place where masks and hands leave no shape: a stand-in.

Where masks contradict the hands' motion, or leave something torn, carving has no shape to give. Things of the kind
that words name, or plain solids, are then brought to the masks instead: in every frame they may be placed freely,
though they move smoothly and rather as the hand does, and are stretched along their own axes. What counts is what
counts for a known object (`known_object.py`): nothing of it lies beside both masks or before a hand that is seen, and
it covers its mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.tasks.reconstruct.descent import SHIFT_RATE, descend_tracks
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.object_track import Body, Path, begun, find_starts, hand_path, in_all_frames, in_between
from hoprior.tasks.reconstruct.observations import evenly
from hoprior.tasks.reconstruct.of_kind import Example, stretched
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.visual_hull import Carver

POINTS, PIXELS = 240, 80
DENSE_POINTS, DENSE_PIXELS = 2400, 160
"""Points of a surface and pixels of each mask that are compared, first and at the end."""
TURNS = 512
"""Turns that are tried."""
SHARES = (1.0, 0.3)
"""Shares of the hands' turns that the object may take part in."""
SIZES = (0.6, 1.0, 1.6)
"""Where an example has no size: those that are tried."""
COARSE_FRAMES, FINE_FRAMES = 4, 10
FINALISTS, STEPS, RATE = 40, 60, 0.05
LAST_STEPS, LAST_RATE = 100, 0.03
"""How many of the best go on, in so many steps of Adam at this rate (rad); and the same of the one that is chosen."""
MISS_UNIT = 0.0005
"""Metres of misses that a unit of what follows outweighs."""
SIZE_SPREAD, UNSIZED_SPREAD, STRETCH_SPREAD = 0.15, 0.5, 0.15
"""Usual deviations of the logarithms of size, of examples with a size and without, and of the lengths beside it."""
TURN_SPREAD, SHIFT_SPREAD, SPREAD_WEIGHT = 0.5, 0.03, 0.5
"""Turns (rad) from the hand's path and shifts (m) in the hand that are nothing unusual (Cauchy's loss)."""
TURN_STEP, DEPTH_STEP = 0.1, 0.01
"""Changes from one frame to the next that are nothing unusual (rad, m)."""


@dataclass(frozen=True)
class StandIn:
    """What takes an object's place.

    Attributes:
        kind: what it is.
        of_kind: whether that is the kind that words name.
        mesh: its surface, metres, in its own frame.
        T_camera_object: its place in every frame.
        miss: what is left of its misses, m.
    """

    kind: str
    of_kind: bool
    mesh: trimesh.Trimesh
    T_camera_object: Float[Tensor, "n 4 4"]
    miss: float


class _Posed(NamedTuple):
    """b surfaces before the cameras of k frames."""

    turn: Float[Tensor, "b k 3 3"]
    place: Float[Tensor, "b k 3"]
    scale: Float[Tensor, "b 3"]


def find_stand_in(scene: Scene, clip: Clip, examples: Sequence[Example], seed: int = 0) -> StandIn:
    """Brings the example that fits best to the masks of a scene, whose hands are fitted already.

    Args:
        scene: its hands are looked at and left as they are.
        clip: what was seen; some of its frames have an object mask.
        examples: what is tried.
        seed: of turns, points and pixels.
    """
    index, carver = clip.has_object.nonzero()[:, 0], Carver.of(clip)
    some, few = evenly(index, FINE_FRAMES), evenly(index, COARSE_FRAMES)
    bodies = [Body.of(each.mesh, POINTS, seed, (1.0,) if each.sized else SIZES) for each in examples]
    spreads = torch.tensor([SIZE_SPREAD if each.sized else UNSIZED_SPREAD for each in examples])
    paths = [hand_path(scene, clip, share) for share in SHARES]
    first = FrameViews.of(scene, clip, carver, few, seed, PIXELS)
    starts = find_starts(first, few, bodies, paths, TURNS, FINALISTS, seed)
    views = FrameViews.of(scene, clip, carver, some, seed, PIXELS)
    turns, places, sizes = begun(starts, paths, some)
    posed = _Posed(turns, places, sizes[:, None].repeat(1, 3))
    surface = torch.stack([bodies[start.body].points for start in starts])
    spacing = torch.tensor([bodies[start.body].spacing for start in starts])
    spread = spreads[[start.body for start in starts]]
    found, _, cost = _descend(views, surface, spacing, spread, posed, some, STEPS, RATE)
    best = int(cost.argmin())
    start = starts[best]
    path = in_between(Path(found.turn[best], found.place[best]), paths[start.path], some, index)
    every = _Posed(path.turn[None], path.place[None], found.scale[best : best + 1])
    dense = FrameViews.of(scene, clip, carver, index, seed, DENSE_PIXELS)
    example = examples[start.body]
    body = Body.of(example.mesh, DENSE_POINTS, seed)
    of_body = body.points[None], torch.tensor([body.spacing]), spread[best : best + 1]
    last, miss, _ = _descend(dense, *of_body, every, index, LAST_STEPS, LAST_RATE)
    T = rigid(last.turn[0], last.place[0] - last.turn[0] @ (last.scale[0] * body.middle))
    mesh = stretched(example.mesh, last.scale[0].numpy())
    T_camera_hand = scene.place(mesh=False).T_camera_hand.detach()
    T_camera_object = T_camera_hand @ in_all_frames(T_camera_hand, T, index)
    return StandIn(example.kind, example.sized, mesh, T_camera_object, float(miss[0]))


def _descend(
    views: FrameViews,
    surface: Float[Tensor, "b p 3"],
    spacing: Float[Tensor, " b"],
    spread: Float[Tensor, " b"],
    start: _Posed,
    frames: Int[Tensor, " k"],
    steps: int,
    rate: float,
) -> tuple[_Posed, Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Moves b surfaces downhill, all at once; where they end, their misses (m), and those with what is unusual."""
    b, k = start.place.shape[:2]
    turned, common, shifted, grown = (
        torch.zeros(*shape, requires_grad=True) for shape in ((b, k, 3), (b, 1, 3), (b, k, 3), (b, 3))
    )
    gaps, every = frames.diff().float(), torch.arange(k)

    def now() -> _Posed:
        turn = rotvec_to_rotmat(turned) @ start.turn @ rotvec_to_rotmat(common)
        return _Posed(turn, start.place + shifted, start.scale * grown.exp())

    def missed(posed: _Posed, index: Tensor) -> Float[Tensor, " b"]:
        camera = (surface * posed.scale[:, None])[:, None] @ posed.turn.mT + posed.place[:, :, None]
        # Nothing is gained by being larger.
        return views.misses(camera, spacing * posed.scale.detach().mean(dim=1), index).mean(dim=1)

    def costs(posed: _Posed, index: Tensor) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        miss = missed(posed, index)
        return miss, miss + MISS_UNIT * _unusual(posed, turned, spread, views.T_camera_hand, gaps)

    groups = [(rate, [turned, common]), (SHIFT_RATE * rate, [shifted, grown])]
    descend_tracks(groups, lambda index: costs(now(), index)[1], k, steps)
    with torch.no_grad():
        posed = now()
        return posed, *costs(posed, every)


def _unusual(
    posed: _Posed,
    turned: Float[Tensor, "b k 3"],
    spread: Float[Tensor, " b"],
    T_camera_hand: Float[Tensor, "k 4 4"],
    gaps: Float[Tensor, " j"],
) -> Float[Tensor, " b"]:
    """How unusual sizes, lengths and motions are, about as negative logarithms."""
    log = posed.scale.log()
    size = log.mean(dim=1)
    stretch = ((log - size[:, None]) / STRETCH_SPREAD).square().sum(dim=1)
    in_hand = (T_camera_hand[:, :3, :3].mT @ (posed.place - T_camera_hand[:, :3, 3])[..., None])[..., 0]
    away = in_hand - in_hand.mean(dim=1, keepdim=True)
    moved = torch.log1p((turned / TURN_SPREAD).square().sum(dim=2)) + torch.log1p(
        (away / SHIFT_SPREAD).square().sum(dim=2)
    )
    unusual = ((size / spread).square() + stretch) / 2 + SPREAD_WEIGHT * moved.mean(dim=1)
    if len(gaps):
        steps = gaps.sqrt()
        jolt = (turned.diff(dim=1) / TURN_STEP).square().sum(dim=2) + (
            posed.place[..., 2].diff(dim=1) / DEPTH_STEP
        ).square()
        unusual = unusual + 0.5 * (jolt / steps.square()).mean(dim=1)
    return unusual
