"""A known object in a clip: which way round it is held, and where, when its mesh is given and need not be found.

The object lies nearly still in the hand, so all frames together show one pose of it in the hand's frame. Turns all over
are compared with the masks, the best are moved downhill together, and the best of these remains. What counts is what a
picture shows: of the object's surface nothing lies beside both masks or before a hand that is seen, all of the
object's mask is covered; and what holding means: the skin is not inside the object, and near it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.common.schedule import cosine_decay
from hoprior.datasets.clips.clip import CROP_SIZE, Clip
from hoprior.geometry.camera import project_pinhole
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.rotations import rotmat_geodesic_distance, rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, RestPoses, rigid, transform_points
from hoprior.geometry.transforms import invert
from hoprior.priors.guidance import score
from hoprior.rendering.soft import FAR, splat_mask
from hoprior.tasks.reconstruct.descent import ADAM_BETAS, SHIFT_RATE
from hoprior.tasks.reconstruct.observations import evenly
from hoprior.tasks.reconstruct.scene import NEAREST_SEEN, Scene
from hoprior.tasks.reconstruct.visual_hull import Carver

SURFACE_POINTS, MASK_PIXELS, SKIN_EVERY = 240, 80, 4
DENSE_POINTS, DENSE_PIXELS = 900, 240
"""How many points of the surface, pixels of each object mask, and which of the hand's vertices are compared; and how
many to place the best one well."""
TURNS, CHUNK = 1536, 48
"""Turns that are tried, and how many of them at once."""
COARSE_FRAMES, FINE_FRAMES = 4, 10
"""Frames that are looked at, evenly over the clip, for the first comparison and afterwards."""
FINALISTS, FINAL_STEPS, FINAL_RATE = 48, 90, 0.06
LAST_STEPS, LAST_RATE = 80, 0.03
"""How many of the best turns go on, in so many steps of Adam at this rate (rad; a fifth of it for shifts, m); and the
same of the one that is chosen, by all frames."""
HAND_ERRORS, HAND_ERROR_COST, HAND_ERROR_RATE = (0.1, 0.1, 0.1, 0.006, 0.006, 0.015), 0.0001, 0.2
"""By how much the hand of a frame may be turned (rad) and off (m, the last along the view) for a cost of so many metres
of misses each, and the rate of these errors in Adam. Without them the wrong turn of a thing can fit hands that are off
by five degrees better than the right one."""
DISTINCT = 0.35
"""Turns that differ by less (rad) than this from a better one do not go on beside it."""
DEPTH_SLACK, TOUCH_SLACK, REACH = 0.01, 0.005, 0.03
"""Metres: the object may lie so far before a seen hand, and skin so far away, for nothing; misses count up to this."""
PENETRATION_WEIGHT, TOUCH_WEIGHT = 2.0, 0.5
"""How much skin in the object and a gap between hand and object count beside misses in the picture."""
MISS_UNIT, LAST_FINALISTS = 0.0001, 6
"""Metres of misses that a judge's score of 1 outweighs; so many of the best placements are judged, no worse than the
best by three times that."""
UPRIGHT = 2.0
"""How sure it is that a thing is filmed as it stands: the concentration of its up about the pictures' up."""
DISTINCT_SIZE = 0.1
"""The same of sizes, as a share."""
SIZES = (0.8, 1.0, 1.25)
"""Where the size is not known: sizes that are tried, times that of what the masks leave of space."""
SIZE_RATE = 0.01
"""Rate of the logarithm of the size."""
RATE_LEFT = 0.1
"""Share of the rates that is left at the end of a descent."""
SDF_RESOLUTION = 48
"""Of the distances to the object."""


Judge: TypeAlias = Callable[[Float[Tensor, "b 4 4"], Float[Tensor, " b"]], Float[Tensor, " b"]]
"""How likely people hold an object so, for T_hand_object and sizes."""


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


class Placement(NamedTuple):
    """Where a known object is in the hand."""

    T_hand_object: Float[Tensor, "4 4"]
    """From the object's own frame, after it was made `size` times as large, to the hand's; metres."""
    size: float
    miss: float
    """What is left of the misses, metres: a few millimetres where mesh, masks and hands belong together."""


def place_known(
    scene: Scene,
    clip: Clip,
    known: KnownObject,
    seed: int,
    judges: Sequence[tuple[float, Any]] = (),
    cond: Float[Tensor, "1 tokens dim"] | None = None,
) -> Placement:
    """Looks for a known object in the hands of a scene, whose hands are fitted already.

    Args:
        scene: its hands are looked at and left as they are; if it has an object, the search begins in its middle.
        clip: what was seen.
        known: what is looked for.
        seed: of the turns that are tried.
        judges: weights and priors that say which of several places that fit the masks alike is one where people hold
            such a thing: a mug and its mirror image, upside down, have one outline.
        cond: text features for judges that listen, or None.
    """
    index = clip.has_object.nonzero()[:, 0]
    distance = SdfGrid.from_mesh(known.mesh, resolution=SDF_RESOLUTION)
    views = _Views.of(scene, clip, known, distance, evenly(index, FINE_FRAMES), seed, SURFACE_POINTS, MASK_PIXELS)
    judge = _judge(scene, known, evenly(index, COARSE_FRAMES), judges, cond)
    middle, extent = _middle_and_extent(scene)
    own_middle = views.surface.mean(dim=0)
    size = 1.0 if known.sized else extent / float((views.surface - own_middle).norm(dim=1).mean())
    turns = torch.from_numpy(
        Rotation.from_quat(np.random.default_rng(seed).normal(size=(TURNS, 4))).as_matrix()
    ).float()
    few = evenly(torch.arange(len(views)), COARSE_FRAMES)
    tried = []
    for factor in (1.0,) if known.sized else SIZES:
        sizes = torch.full((TURNS,), size * factor)
        places = middle - sizes[:, None] * (turns @ own_middle)
        with torch.no_grad():
            misses = [
                views.misses(turns[k : k + CHUNK], places[k : k + CHUNK], sizes[k : k + CHUNK], few)
                for k in range(0, TURNS, CHUNK)
            ]
        tried.append((torch.cat(misses), places, sizes))
    miss, places, sizes = (torch.cat(each) for each in zip(*tried, strict=True))
    turns = turns.repeat(len(tried), 1, 1)
    chosen = _distinct(turns, sizes, miss, FINALISTS)
    found = _descend(views, turns[chosen], places[chosen], sizes[chosen], known.sized, FINAL_STEPS, FINAL_RATE)
    best = _distinct(found.turn, found.size, found.miss, LAST_FINALISTS)
    dense = _Views.of(scene, clip, known, distance, index, seed, DENSE_POINTS, DENSE_PIXELS)
    last = _descend(
        dense, found.turn[best], found.place[best], found.size[best], known.sized, LAST_STEPS, LAST_RATE, loose=True
    )
    k = _best(last, judge)
    return Placement(rigid(last.turn, last.place)[k], float(last.size[k]), float(last.miss[k]))


@dataclass(frozen=True)
class _Views:
    """What k frames show, and the known object's points and distances in its own frame and size."""

    surface: Float[Tensor, "p 3"]
    distance: SdfGrid
    edges: Float[Tensor, "k 2 s s"]
    """Signed distance to the edge of both masks together, and of the hand's alone; pixels."""
    hand_depth: Float[Tensor, "k h h"]
    pixels: Float[Tensor, "k m 2"]
    """Of the object's mask."""
    T_camera_hand: Float[Tensor, "k 4 4"]
    intrinsics: Float[Tensor, "k 4"]
    skin: Float[Tensor, "k v 3"]
    """In the hand's frame."""
    size: int

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        scene: Scene,
        clip: Clip,
        known: KnownObject,
        distance: SdfGrid,
        index: Tensor,
        seed: int,
        points: int,
        pixels: int,
    ) -> "_Views":
        placed = scene.place(index)
        edges = Carver.of(clip).edges[index][:, [0, 2]]
        cells = CROP_SIZE // 4
        depth = splat_mask(placed.verts_camera, scene.model.faces, placed.intrinsics / 4, cells).depth
        rng = np.random.default_rng(seed)
        seen = []
        for i in index.tolist():
            inside = (clip.object_mask[i] > 0.5).nonzero()
            drawn = inside[torch.from_numpy(rng.integers(len(inside), size=pixels))]
            seen.append(drawn.flip(1).float() + 0.5)
        surface = trimesh.sample.sample_surface(known.mesh.solid, points, seed=seed)[0]
        return cls(
            torch.from_numpy(np.asarray(surface)).float(),
            distance,
            edges,
            depth,
            torch.stack(seen),
            placed.T_camera_hand,
            placed.intrinsics,
            placed.hand.verts[:, ::SKIN_EVERY],
            clip.object_mask.shape[-1],
        )

    def misses(
        self,
        turn: Float[Tensor, "b 3 3"],
        place: Float[Tensor, "b 3"],
        size: Float[Tensor, " b"],
        index: Tensor,
        slack: Float[Tensor, "b k 6"] | None = None,
    ) -> Float[Tensor, " b"]:
        """How badly b placements agree with the frames `index`, metres.

        Hands of a film are estimates: with `slack` the object may be turned (rad) and moved (m) against its hand in
        each of all k frames, in the camera's axes, about its middle.
        """
        in_hand = size[:, None, None] * self.surface @ turn.mT + place[:, None]
        each = [self._missed_in(in_hand, int(i), None if slack is None else slack[:, int(i)]) for i in index]
        skin = self.skin[index].flatten(0, 1)
        inside = (skin - place[:, None]) @ turn / size[:, None, None]
        away = self.distance(inside).unflatten(1, (len(index), -1)) * size[:, None, None]
        deep = torch.relu(-away - 0.002).clamp(max=REACH).mean(dim=(1, 2)) * 10
        gap = torch.relu(away.amin(dim=2) - TOUCH_SLACK).mean(dim=1)
        return torch.stack(each).mean(dim=0) + PENETRATION_WEIGHT * deep + TOUCH_WEIGHT * gap

    def _missed_in(
        self, in_hand: Float[Tensor, "b p 3"], i: int, slack: Float[Tensor, "b 6"] | None
    ) -> Float[Tensor, " b"]:
        """Of one frame: surface beside the masks or before the hand, and object mask that no surface covers."""
        camera = transform_points(self.T_camera_hand[i].expand(len(in_hand), 4, 4), in_hand)
        if slack is not None:
            middle = camera.mean(dim=1, keepdim=True)
            camera = (camera - middle) @ rotvec_to_rotmat(slack[:, :3]).mT + middle + slack[:, None, 3:]
        pixel = project_pinhole(camera, self.intrinsics[i].expand(len(camera), 4), NEAREST_SEEN)
        metres = camera[..., 2].clamp(min=NEAREST_SEEN) / self.intrinsics[i, 0]
        unit = (pixel / self.size * 2 - 1).reshape(1, 1, -1, 2)
        either, hand = F.grid_sample(self.edges[i][None], unit, padding_mode="border", align_corners=False)[0, :, 0]
        beside = torch.relu(either.view_as(metres)) * metres
        behind = F.grid_sample(
            self.hand_depth[i][None, None], unit, mode="nearest", padding_mode="border", align_corners=False
        ).view_as(metres)
        before = torch.where((behind > 0) & (behind < FAR / 2), behind - camera[..., 2] - DEPTH_SLACK, -behind)
        before = torch.minimum(torch.relu(before), torch.relu(-hand.view_as(metres)) * metres)
        uncovered = torch.cdist(self.pixels[i].expand(len(pixel), -1, -1), pixel).amin(dim=2) * metres.mean(
            dim=1, keepdim=True
        )
        return (
            beside.clamp(max=REACH).mean(dim=1)
            + before.clamp(max=REACH).mean(dim=1)
            + uncovered.clamp(max=REACH).mean(dim=1)
        )


def _judge(
    scene: Scene,
    known: KnownObject,
    index: Tensor,
    judges: Sequence[tuple[float, Any]],
    cond: Float[Tensor, "1 tokens dim"] | None,
) -> Judge:
    """How likely people hold the object so, by all judges, in the mean of a few frames; and film it so."""
    placed, rest = scene.place(index, mesh=False), rest_poses(known.mesh.solid, known.mesh.up or "auto")
    joints, up = placed.hand.joints.detach(), -placed.T_camera_hand[:, 1, :3].detach()

    @cache
    def of_size(size: float) -> SdfGrid:
        return SdfGrid.from_mesh(known.scaled(size), resolution=SDF_RESOLUTION)

    @torch.no_grad()
    def judge(T_hand_object: Float[Tensor, "b 4 4"], size: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        total = torch.zeros(len(size)) if rest is None else _filmed_so(T_hand_object[:, :3, :3], rest, up)
        for k in range(len(size)) if judges else ():
            T_object_hand = invert(T_hand_object[k : k + 1]).expand(len(joints), 4, 4)
            state = HandObjectState(of_size(float(size[k])), T_object_hand, joints, rest)
            for weight, prior in judges:
                asked = None if cond is None else cond.expand(len(joints), -1, -1)
                total[k] += weight * score(prior, state, asked, generator=torch.Generator().manual_seed(0)).mean()
        return total

    return judge


def _filmed_so(turn: Float[Tensor, "b 3 3"], rest: RestPoses, up: Float[Tensor, "k 3"]) -> Float[Tensor, " b"]:
    """How likely an object is filmed so turned, from how it can stand; `up` is the pictures', in the hand's frame.

    Masks of a box with a lens, or of a bowl from above, are nearly the same upside down.
    """
    cosine = F.normalize(up.mean(dim=0), dim=0) @ turn @ rest.up_object.T
    return torch.logsumexp(UPRIGHT * (cosine - 1) + rest.log_prob, dim=1)


class _Candidates(NamedTuple):
    """Placements and what is left of their misses, metres."""

    turn: Float[Tensor, "b 3 3"]
    place: Float[Tensor, "b 3"]
    size: Float[Tensor, " b"]
    miss: Float[Tensor, " b"]


def _descend(
    views: _Views,
    turns: Float[Tensor, "b 3 3"],
    places: Float[Tensor, "b 3"],
    sizes: Float[Tensor, " b"],
    sized: bool,
    steps: int,
    rate: float,
    loose: bool = False,
) -> _Candidates:
    """Moves placements downhill, all at once; `loose` in the hands, whose errors are then those of each frame."""
    shapes = ((3,), (3,), (), (len(views), 6))
    turned, shifted, grown, off = (torch.zeros(len(turns), *shape, requires_grad=True) for shape in shapes)
    spread = torch.tensor(HAND_ERRORS)
    own = views.surface.mean(dim=0)
    middle = places + sizes[:, None] * (turns @ own)
    groups = [{"params": [turned]}, {"params": [shifted]}, {"params": [grown]}, {"params": [off]}]
    optimizer = Adam(groups, betas=ADAM_BETAS)
    index = torch.arange(len(views))

    def now() -> tuple[Tensor, Tensor, Tensor]:
        turn, size = rotvec_to_rotmat(turned) @ turns, sizes * grown.exp()
        return turn, middle + shifted - size[:, None] * (turn @ own), size

    def misses(index: Tensor) -> Float[Tensor, " b"]:
        if not loose:
            return views.misses(*now(), index)
        return views.misses(*now(), index, off * spread) + HAND_ERROR_COST * off.square().sum(dim=2).mean(dim=1)

    for step in range(steps):
        share, grows = cosine_decay(step, steps, RATE_LEFT), 0.0 if sized else SIZE_RATE
        rates = (rate, rate * SHIFT_RATE, grows, HAND_ERROR_RATE)
        for group, each in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = each * share
        miss = misses(index[step % 2 :: 2] if len(index) > 3 else index)
        optimizer.zero_grad()
        miss.sum().backward()
        optimizer.step()
    with torch.no_grad():
        return _Candidates(*now(), misses(index))


def _best(found: _Candidates, judge: Judge) -> int:
    """Which placement is the best, as masks and `judge` see it."""
    near = (found.miss < found.miss.min() + 3 * MISS_UNIT).nonzero()[:, 0]
    liked = judge(rigid(found.turn[near], found.place[near]), found.size[near])
    return int(near[(found.miss[near] / MISS_UNIT - liked).argmin()])


def _distinct(
    turns: Float[Tensor, "b 3 3"], sizes: Float[Tensor, " b"], miss: Float[Tensor, " b"], count: int
) -> Int[Tensor, " c"]:
    """The best placements, no two of which have nearly the same turn and size."""
    chosen: list[int] = []
    for k in miss.argsort().tolist():
        if chosen:
            near = rotmat_geodesic_distance(turns[chosen], turns[k].expand(len(chosen), 3, 3)) < DISTINCT
            alike = (sizes[chosen] / sizes[k]).log().abs() < DISTINCT_SIZE
            if bool((near & alike).any()):
                continue
        chosen.append(k)
        if len(chosen) == count:
            break
    return torch.tensor(chosen)


def _middle_and_extent(scene: Scene) -> tuple[Float[Tensor, " 3"], float]:
    """Where the object of a scene is, and how far its inside reaches from there, in the mean; metres."""
    inside = (scene.base < 0).nonzero().flip(1).float()
    points = scene.lower + inside * scene.cell
    middle = points.mean(dim=0)
    # A body's points are nearer to its middle than its surface's: for a ball by a quarter.
    return middle, 4 / 3 * float((points - middle).norm(dim=1).mean())
