"""A known object in a clip: which way round it is held, and where, when its mesh is given and need not be found.

What counts is what a picture shows: of the object's surface nothing lies beside both masks or before a hand that is
seen, all of the object's mask is covered, and rays through its outline touch it; and what holding means: it hardly
moves in the hand, whose estimate errs. Turns all over are compared with the masks, the best are moved downhill
together, and so are those that look like them: a mask shows a thing and its mirror image in depth alike. The best of
these are followed through all frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, RestPoses, rigid
from hoprior.geometry.transforms import invert
from hoprior.priors.guidance import score
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.known_views import KnownViews, Track
from hoprior.tasks.reconstruct.object_track import (
    Body,
    Path,
    begun,
    distinct,
    evened,
    find_starts,
    hand_path,
    in_all_frames,
    in_between,
)
from hoprior.tasks.reconstruct.observations import evenly
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.visual_hull import Carver

POINTS, PIXELS, OUTLINE = 160, 40, 30
DENSE_POINTS, DENSE_PIXELS, DENSE_OUTLINE = 300, 40, 60
"""How many points of the surface, and pixels of each mask and of its outline, are compared, first and at the end."""
TURNS, SHIFT_STEPS = 1536, 8
"""Turns that are tried, each where so many steps have shifted it."""
SHARES = (1.0, 0.3)
"""Shares of the hands' turns that the object may take part in; in all of them it is held."""
COARSE_FRAMES, FINE_FRAMES = 4, 10
"""Frames that are looked at, evenly over the clip, for the first comparison and afterwards."""
STARTS, FIRST_STEPS = 64, 20
FOLLOWED, MIRRORED, NEXT_STEPS, RATE = 24, 4, 60, 0.05
FINALISTS, KEPT, LAST_STEPS, LAST_RATE = 8, 3, 80, 0.03
"""How many of the best turns go on, in so many steps of Adam at this rate (rad); of how many also what looks like them;
and the same of those that are followed through all frames."""
COST_UNIT = 0.0001
"""Metres of misses that a judge's score of 1 outweighs; judged is what is worse than the best by up to three of it."""
UPRIGHT = 2.0
"""How sure it is that a thing is filmed as it stands: the concentration of its up about the pictures' up."""
SIZES = (0.8, 1.0, 1.25)
"""Where the size is not known: sizes that are tried, times that of what the masks leave of space."""
SDF_RESOLUTION = 96
"""Of the distances to the object: with half as many a knife's blade lies between the lattice's points."""


Judge: TypeAlias = Callable[[Float[Tensor, "b f 4 4"], Float[Tensor, "b f 4 4"], Float[Tensor, " b"]], Tensor]
"""How likely people hold and film an object so, for T_camera_object and T_hand_object of a few frames, and sizes."""


@dataclass(frozen=True)
class KnownObject:
    """An object's shape as it is given.

    Attributes:
        mesh: in metres, in its own frame; of a right hand's clip (a left hand's clip and its object are mirrored).
        sized: whether its size is to be believed; meshes out of pictures have any size.
        rigid: whether its shape is to be believed; otherwise it is where a fit of the shape begins.
    """

    mesh: ObjectMesh
    sized: bool = True
    rigid: bool = True

    def scaled(self, size: float) -> trimesh.Trimesh:
        """The surface, so many times as large."""
        surface = self.mesh.solid.copy()
        surface.apply_scale(size)
        return surface

    def distance(self, size: float) -> SdfGrid:
        """To the surface, made so many times as large."""
        return SdfGrid.from_mesh(self.scaled(size), resolution=SDF_RESOLUTION)


class Placement(NamedTuple):
    """Where a known object is in the hands, and these before the camera, in all frames."""

    T_camera_hand: Float[Tensor, "n 4 4"]
    T_hand_object: Float[Tensor, "n 4 4"]
    """From the object's own frame, after it was made `size` times as large, to the hand's; metres."""
    size: float
    miss: float
    """What is left of the misses, metres: a millimetre or two where mesh, masks and hands belong together."""


def place_known(
    scene: Scene,
    carver: Carver,
    known: KnownObject,
    seed: int,
    judges: Sequence[tuple[float, Any]] = (),
    cond: Float[Tensor, "1 tokens dim"] | None = None,
) -> Placement:
    """Looks for a known object in the hands of a scene, whose hands are fitted already and whose object is carved.

    Args:
        scene: it is looked at and left as it is; the search begins in the middle of its object.
        carver: of the clip that was seen; some of its frames have an object mask.
        known: what is looked for.
        seed: of turns, points and pixels.
        judges: weights and priors that say which of several tracks that fit the masks alike is one where people hold
            such a thing: a mug and its mirror image, upside down, have one outline.
        cond: text features for judges that listen, or None.
    """
    clip, index = carver.clip, carver.clip.has_object.nonzero()[:, 0]
    few, some = evenly(index, COARSE_FRAMES), evenly(index, FINE_FRAMES)
    solid, distance_of = known.mesh.solid, cache(known.distance)
    distance = distance_of(1.0)
    body = Body.of(solid, POINTS, seed)
    middle, extent = _middle_and_extent(scene)
    if not known.sized:
        size = extent / float(body.points.norm(dim=1).mean())
        body = replace(body, sizes=tuple(size * factor for factor in SIZES))
    paths = _paths(scene, clip, middle)
    first = FrameViews.of(scene, clip, carver, few, seed, PIXELS)
    starts = find_starts(first, few, [body], paths, TURNS, STARTS, seed, SHIFT_STEPS)
    views = KnownViews.of(scene, clip, carver, body, distance, some, (PIXELS, OUTLINE), seed)
    found = views.descend(Track.beginning(*begun(starts, paths, some)), FIRST_STEPS, RATE, known.sized)
    found = _chosen(found, _best_of(views, found, FOLLOWED))
    found = views.descend(_with_look_alikes(views, found, MIRRORED), NEXT_STEPS, RATE, known.sized)
    best = [_followed(found, k, paths[0], some, index) for k in _best_of(views, found, FINALISTS)]
    dense, dense_counts = Body.of(solid, DENSE_POINTS, seed), (DENSE_PIXELS, DENSE_OUTLINE)
    every = KnownViews.of(scene, clip, carver, dense, distance, index, dense_counts, seed, exact=True)
    last = every.descend(Track(*map(torch.stack, zip(*best, strict=True))), LAST_STEPS, LAST_RATE, known.sized)
    # Few frames do not tell a thing from what looks like it; all of them may.
    last = _chosen(last, _best_of(every, last, KEPT))
    last = every.descend(_with_look_alikes(every, last, 1), LAST_STEPS, LAST_RATE, known.sized)
    return _placement(scene, every, last, few, _judge(scene, known, distance_of, few, judges, cond))


def _placement(scene: Scene, views: KnownViews, found: Track, few: Int[Tensor, " f"], judge: Judge) -> Placement:
    """The best of the tracks, as masks and `judge`, in the frames `few`, see it, in all frames."""
    origin = found.size[:, None] * views.body.middle
    T_camera_object = rigid(found.turn, found.place - (found.turn @ origin[:, None, :, None])[..., 0])
    T_camera_hand = scene.place(mesh=False).T_camera_hand.detach().repeat(len(found.size), 1, 1, 1)
    T_camera_hand[:, views.frames] = views.hands(found.off)
    both = zip(T_camera_hand, T_camera_object, strict=True)
    T_hand_object = torch.stack([in_all_frames(hands, things, views.frames) for hands, things in both])
    k = _best(found, judge((T_camera_hand @ T_hand_object)[:, few], T_hand_object[:, few], found.size))
    return Placement(T_camera_hand[k], T_hand_object[k], float(found.size[k]), float(found.miss[k]))


def _paths(scene: Scene, clip: Clip, middle: Float[Tensor, " 3"]) -> list[Path]:
    """How the object may move: with the hands, its middle where the masks leave space; or turning less than these."""
    T = scene.place(mesh=False).T_camera_hand.detach()
    carved = T[:, :3, :3] @ middle + T[:, :3, 3]
    paths = [hand_path(scene, clip, share) for share in SHARES]
    return [Path(paths[0].turn, carved)] + [
        Path(path.turn, path.place * (carved[:, 2] / path.place[:, 2])[:, None]) for path in paths[1:]
    ]


def _best_of(views: KnownViews, found: Track, count: int) -> list[int]:
    """The cheapest tracks of distinct turns in the hand."""
    k = len(views) // 2
    return distinct(views.views.T_camera_hand[k, :3, :3].T @ found.turn[:, k], found.cost, count)


def _chosen(found: Track, index: list[int]) -> Track:
    """Some of the tracks."""
    return Track(*(each[index] for each in found))


def _with_look_alikes(views: KnownViews, found: Track, count: int) -> Track:
    """The tracks, and what looks nearly like the first `count` of them in the middle frame, held in the hand.

    Things are nearly the same after half a turn about a principal axis; and a mask hardly changes if a thing is
    mirrored in depth, which for one that is nearly its own mirror image is a turn, too.
    """
    axes, k = torch.linalg.eigh(views.body.points.T @ views.body.points)[1], len(views) // 2
    hands = views.views.T_camera_hand[:, :3, :3]
    turns, of = [], []
    for best in range(min(count, len(found.size))):
        ray = F.normalize(found.place[best, k], dim=0)
        depth_mirror = torch.eye(3) - 2 * ray[:, None] * ray
        for signs in torch.cartesian_prod(*[torch.tensor([1.0, -1.0])] * 3)[1:]:
            turn = found.turn[best, k] @ axes @ torch.diag(signs) @ axes.T
            turn = turn if signs.prod() > 0 else depth_mirror @ turn
            turns.append(hands @ (hands[k].T @ turn))
            of.append(best)
    alike = _chosen(found, of)._replace(turn=torch.stack(turns))
    return Track(*(torch.cat(both) for both in zip(found, alike, strict=True)))


def _followed(found: Track, k: int, along: Path, some: Int[Tensor, " m"], index: Int[Tensor, " n"]) -> Track:
    """One of the tracks in the frames `some`, as it may go on in the frames `index`."""
    path = in_between(Path(found.turn[k], found.place[k]), along, some, index)
    off = evened(found.off[k], some, index)
    return Track(path.turn, path.place, off, found.size[k], found.miss[k], found.cost[k])


def _judge(
    scene: Scene,
    known: KnownObject,
    distance_of: Callable[[float], SdfGrid],
    index: Tensor,
    judges: Sequence[tuple[float, Any]],
    cond: Float[Tensor, "1 tokens dim"] | None,
) -> Judge:
    """How likely people hold the object so, by all judges, in the mean of the frames `index`; and film it so."""
    placed, rest = scene.place(index, mesh=False), rest_poses(known.mesh.solid, known.mesh.up or "auto")
    joints = placed.hand.joints.detach()

    @torch.no_grad()
    def judge(
        T_camera_object: Float[Tensor, "b f 4 4"], T_hand_object: Float[Tensor, "b f 4 4"], size: Float[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        total = torch.zeros(len(size)) if rest is None else _filmed_so(T_camera_object[..., :3, :3], rest)
        for k in range(len(size)) if judges else ():
            state = HandObjectState(distance_of(float(size[k])), invert(T_hand_object[k]), joints, rest)
            for weight, prior in judges:
                asked = None if cond is None else cond.expand(len(joints), -1, -1)
                total[k] += weight * score(prior, state, asked, generator=torch.Generator().manual_seed(0)).mean()
        return total

    return judge


def _filmed_so(turn: Float[Tensor, "b f 3 3"], rest: RestPoses) -> Float[Tensor, " b"]:
    """How likely an object is filmed so turned before the camera, from how it can stand.

    Masks of a box with a lens, or of a bowl from above, are nearly the same upside down.
    """
    up = F.normalize(-turn[..., 1, :].mean(dim=1), dim=1)
    return torch.logsumexp(UPRIGHT * (up @ rest.up_object.T - 1) + rest.log_prob, dim=1)


def _best(found: Track, liked: Float[Tensor, " b"]) -> int:
    """Which track is the best, where they cost about the same, as judges like them."""
    near = (found.cost < found.cost.min() + 3 * COST_UNIT).nonzero()[:, 0]
    return int(near[(found.cost[near] / COST_UNIT - liked[near]).argmin()])


def _middle_and_extent(scene: Scene) -> tuple[Float[Tensor, " 3"], float]:
    """Where the object of a scene is, and how far its inside reaches from there, in the mean; metres."""
    inside = (scene.base < 0).nonzero().flip(1).float()
    points = scene.lower + inside * scene.cell
    middle = points.mean(dim=0)
    # A body's points are nearer to its middle than its surface's: for a ball by a quarter.
    return middle, 4 / 3 * float((points - middle).norm(dim=1).mean())
