"""Where the track of an object before the cameras begins: hands' motion, turns all over, and what fits a few frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.rotations import rotmat_geodesic_distance, rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.transforms import invert
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.tasks.reconstruct.descent import descend_tracks
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.observations import middle_rays
from hoprior.tasks.reconstruct.scene import Scene

CHUNK = 64
"""Turns that are tried at once."""
DISTINCT = 0.35
"""Turns that differ by less (rad) from a better one do not go on beside it."""
START_RATE, START_BETAS, DEEPER = 0.008, (0.8, 0.95), 3.0
"""Of Adam, which shifts turns before they are compared, across the view (m) and so many times as far along it."""
SPACING = 0.5
"""Of a surface's points, in square roots of the area that each stands for: pixels so near to one are covered."""


class Path(NamedTuple):
    """Turns and places before the camera, one of each of n frames."""

    turn: Float[Tensor, "n 3 3"]
    place: Float[Tensor, "n 3"]


class Start(NamedTuple):
    """Where a descent begins: a body, a path, a turn from it to the hand's frame, a size, a shift from the path."""

    body: int
    path: int
    turn: Float[Tensor, "3 3"]
    size: float
    shift: Float[Tensor, " 3"]


@dataclass(frozen=True)
class Body:
    """Points of a surface about the middle of its box (m), how far these are from each other, and sizes to try."""

    points: Float[Tensor, "p 3"]
    middle: Float[Tensor, " 3"]
    spacing: float
    sizes: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, mesh: trimesh.Trimesh, count: int, seed: int, sizes: tuple[float, ...] = (1.0,)) -> "Body":
        """Of a mesh, by so many points."""
        points = trimesh.sample.sample_surface(mesh, count, seed=seed)[0]
        middle = mesh.bounds.mean(axis=0)
        points, middle = (torch.from_numpy(each).float() for each in (points - middle, middle))
        return cls(points, middle, SPACING * math.sqrt(mesh.area / count), sizes)


@torch.no_grad()
def hand_path(scene: Scene, clip: Clip, share: float) -> Path:
    """Of what takes part in `share` of the hands' turns, in the masks' middles, as deep as the hands."""
    placed = scene.place(mesh=False)
    T, middle = placed.T_camera_hand, len(clip) // 2
    turn = rotmat_to_rotvec(T[:, :3, :3] @ T[middle, :3, :3].T)
    ray = F.pad(middle_rays(clip.object_mask, placed.intrinsics), (0, 1), value=1.0)
    depth = (T[:, :3, :3] @ T.new_tensor(HAND_CENTRE) + T[:, :3, 3])[:, 2:]
    return Path(rotvec_to_rotmat(share * turn) @ T[middle, :3, :3], ray * depth)


def find_starts(
    views: FrameViews,
    few: Int[Tensor, " k"],
    bodies: Sequence[Body],
    paths: Sequence[Path],
    turns: int,
    count: int,
    seed: int,
    steps: int = 0,
) -> list[Start]:
    """The best of `turns` turns of each body on each path, as the frames `few` see them; about `count` distinct ones.

    A path is where the masks' middle is, not the thing's: a mug rightly turned looks worse there than one whose handle
    is hidden. So each may first be shifted downhill.

    Args:
        views: what these frames show.
        few: their numbers among all.
        bodies: what is turned.
        paths: how it may move.
        turns: how many are drawn, evenly over all.
        count: of starts.
        seed: of the turns.
        steps: of Adam, with which each turn's place is moved before turns are compared.
    """
    drawn = np.random.default_rng(seed).normal(size=(turns, 4))
    tried = torch.from_numpy(Rotation.from_quat(drawn).as_matrix()).float()
    each = max(1, count // (len(bodies) * len(paths)))
    starts: list[Start] = []
    for b, body in enumerate(bodies):
        for p, path in enumerate(paths):
            tries = [
                _shifted_downhill(views, size * body.points @ turned, path.place[few], size * body.spacing, steps)
                for size in body.sizes
                for turned in ((path.turn[few] @ some[:, None]).mT for some in tried.split(CHUNK))
            ]
            shift, found = map(torch.cat, zip(*tries, strict=True))
            # The same turn in two sizes is the same turn.
            for k in distinct(tried.repeat(len(body.sizes), 1, 1), found, each):
                starts.append(Start(b, p, tried[k % turns], body.sizes[k // turns], shift[k]))
    return starts


def _shifted_downhill(
    views: FrameViews, points: Float[Tensor, "b k p 3"], place: Float[Tensor, "k 3"], spacing: float, steps: int
) -> tuple[Float[Tensor, "b 3"], Float[Tensor, " b"]]:
    """By how much each of b turned surfaces is shifted, alike in all frames, in so many steps; what it misses there."""
    spacings = torch.full((len(points),), spacing)
    shift = torch.zeros(len(points), 3, requires_grad=True)

    def missed(index: Int[Tensor, " j"]) -> Float[Tensor, " b"]:
        return views.misses(points + _shifted(place, shift)[:, :, None], spacings, index).mean(dim=1)

    descend_tracks([(START_RATE, [shift])], missed, len(place), steps, START_BETAS, rate_left=1.0)
    with torch.no_grad():
        return shift.detach(), missed(torch.arange(len(place)))


def _shifted(place: Float[Tensor, "k 3"], shift: Float[Tensor, "b 3"]) -> Float[Tensor, "b k 3"]:
    """Places of a path, shifted across the view and, `DEEPER` times as far, along it."""
    across, along = F.pad(shift[:, None, :2], (0, 1)), DEEPER * shift[:, None, 2:]
    return place + across + along * place / place[:, 2:]


def begun(starts: Sequence[Start], paths: Sequence[Path], index: Int[Tensor, " k"]) -> tuple[Tensor, Tensor, Tensor]:
    """Turns (b, k, 3, 3) and places (b, k, 3) before the camera of b starts in the frames `index`, and their sizes."""
    turns = torch.stack([paths[start.path].turn[index] @ start.turn for start in starts])
    places = torch.cat([_shifted(paths[start.path].place[index], start.shift[None]) for start in starts])
    return turns, places, torch.tensor([start.size for start in starts])


def distinct(turn: Float[Tensor, "b 3 3"], cost: Float[Tensor, " b"], count: int) -> list[int]:
    """The cheapest, at most `count`, no two of which have nearly the same turn.

    Example:
        >>> distinct(torch.eye(3).expand(3, 3, 3), torch.tensor([2.0, 1.0, 3.0]), 2)
        [1]
    """
    kept: list[int] = []
    for k in cost.argsort().tolist():
        if not kept or bool((rotmat_geodesic_distance(turn[kept], turn[k].expand(len(kept), 3, 3)) >= DISTINCT).all()):
            kept.append(k)
        if len(kept) == count:
            break
    return kept


def in_between(found: Path, along: Path, some: Int[Tensor, " k"], index: Int[Tensor, " n"]) -> Path:
    """What was found in the frames `some`, in the frames `index`: what differs from the path changes evenly."""
    own = Rotation.from_matrix((along.turn[some].mT @ found.turn).numpy())
    turn = own if len(some) == 1 else Slerp(some.numpy(), own)(index.numpy())
    turned = torch.from_numpy(turn.as_matrix()).float()
    return Path(along.turn[index] @ turned, along.place[index] + evened(found.place - along.place[some], some, index))


def evened(values: Float[Tensor, "k d"], some: Int[Tensor, " k"], index: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Values of the frames `some`, in the frames `index`.

    Example:
        >>> evened(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 4]), torch.arange(5))[:, 0].tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    columns = [np.interp(index.numpy(), some.numpy(), column) for column in values.T.numpy()]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


@torch.no_grad()
def in_all_frames(
    T_camera_hand: Float[Tensor, "n 4 4"], T_camera_object: Float[Tensor, "k 4 4"], index: Int[Tensor, " k"]
) -> Float[Tensor, "n 4 4"]:
    """T_hand_object of all frames, where the frames `index` tell of it: in others as in the nearest one of these."""
    T_hand_object = invert(T_camera_hand[index]) @ T_camera_object
    return T_hand_object[(torch.arange(len(T_camera_hand))[:, None] - index).abs().argmin(dim=1)]
