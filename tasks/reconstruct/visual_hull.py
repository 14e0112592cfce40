"""The object's first guess: what the masks leave of space, where the object's place in each frame is mended by it."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hoprior.datasets.clips.clip import CROP_SIZE, Clip
from hoprior.errors import HopriorError
from hoprior.geometry.camera import project_pinhole
from hoprior.geometry.regions import Regions
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import invert
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.rendering.soft import FAR, splat_mask
from hoprior.tasks.reconstruct.inflation import Inflation, views_are_flat
from hoprior.tasks.reconstruct.scene import NEAREST_SEEN, PosedScene, Scene

SEARCH_EXTENT = 0.30
"""Half the side of the cube around the hand in which the object is looked for, metres."""
SEARCH_RESOLUTION = 56
BOX_MARGIN = 0.03
"""Free space around the first guess of the object, metres."""
HAND_MARGIN = 0.004
"""The hand's inside is taken out of the first guess, but for a skin so thick (m): estimated fingers cut through it."""
HAND_CELL = 4
"""Pixels of a crop in one of the hand's depth as carving uses it: its triangles are about as large."""
FRONT_MARGIN = 0.008
"""Depth (m) by which a point has to be before the seen hand to be known to be air."""
OUTSIDE_QUANTILE, SEEN_QUANTILE = 0.95, 0.06
"""A point is outside if a twentieth of the frames put it beside the masks; as many must have it in the object's."""
FLAT_SEEN_QUANTILE = 0.4
"""The same share where views hardly turn: what the hand hides in most of them is a wedge behind it, and no object."""
LEAST_FRAMES = 5
"""Fewer frames than these are not chosen among."""
FLAT_CARVED = 40.0
"""Degrees between views up to which, where masks agree, they leave no more than a wedge of an object."""
MAX_HULL_GAP = 0.04
"""Masks that miss each other by less (m) are taken wider: hands in plain video are centimetres off in depth."""
JUST_OUTSIDE = 0.002
"""Distance (m) that cells of the hull's smaller parts are given."""
HULL_CORE = 0.01
"""Half the thickness (m) of what they then leave, from which the poses are mended."""


@dataclass(frozen=True)
class Carver:
    """Carves by the masks of a clip, in which `edges` are the distances to their edges in the picture, pixels.

    Distances in a picture, times depth over focal length, bound distances in space. A point lies outside by the
    distance that one frame in twenty puts it beside the union of both masks; and as far from the object as it is from
    its mask in the frames that show it best. Masks and poses that err a little blur this, and do not empty it.
    """

    clip: Clip
    edges: Float[Tensor, "n 3 s s"]
    """Of both masks together, of the object's, and of the hand's alone."""

    @classmethod
    def of(cls, clip: Clip) -> "Carver":
        """Finds the edges of all frames' masks."""
        each = []
        for held, hand, known in zip(clip.object_mask, clip.hand_mask, clip.known, strict=True):
            masks = (torch.maximum(held, hand), held, hand * (1 - held))
            each.append(torch.stack([picture_distance(mask, known) for mask in masks]))
        return cls(clip, torch.stack(each))

    @torch.no_grad()
    def carve(
        self, scene: Scene, resolution: int, frames: Bool[Tensor, " n"] | None = None, flat: float = FLAT_CARVED
    ) -> float:
        """Puts what the masks leave into the scene, as distances, with the hand taken out of it.

        Args:
            scene: its object is replaced.
            resolution: the object's box has about so many cells cubed.
            frames: whose masks are asked, if they show the object; all, if they are too few, or if None.
            flat: degrees between views up to which they count as flat, and the object's depth is a guess.

        Returns:
            By how much (m) the masks miss each other: 0 if they meet. They were then taken wider by `HULL_CORE` more.

        Raises:
            HopriorError: nothing is left: the masks do not overlap where the hands are.
        """
        placed = scene.place()
        asked = self.clip.has_object if frames is None else self.clip.has_object & frames
        if int(asked.sum()) < LEAST_FRAMES:
            asked = self.clip.has_object
        index, depth = asked.nonzero()[:, 0], self._hand_depth(scene, placed)
        axes = [torch.linspace(-SEARCH_EXTENT, SEARCH_EXTENT, SEARCH_RESOLUTION) + c for c in HAND_CENTRE]
        points = lattice(axes)
        left = self.hull(placed, depth, index, points)
        # A thin thing may lie between these points, which are a centimetre apart.
        hull_gap = 0.0 if left.min() < 0 else max(0.0, self._least(placed, depth, index, points[left.argmin()]))
        if hull_gap > MAX_HULL_GAP:
            raise HopriorError(
                f"{self.clip.name}: no place is inside the object's masks in enough frames: do masks, cameras and hand"
                " estimates belong together?"
            )
        wider = hull_gap + HULL_CORE if hull_gap > 0 else 0.0
        inside = left <= max(wider, float(left.min()))
        low, counts, cell = _box_of(points[inside], resolution)
        points = _points_of(low, counts, cell)
        left = self.hull(placed, depth, index, points) - wider
        cameras = placed.T_object_camera[index]
        if views_are_flat(cameras, points[left < 0], flat):
            # What such views leave is a wedge; how deep the object reaches in it is a guess, and where the hand is.
            left = self.hull(placed, depth, index, points, FLAT_SEEN_QUANTILE) - wider
            held = transform_points(
                invert(placed.T_hand_object[index]), cameras.new_tensor(HAND_CENTRE).expand(len(index), 1, 3)
            )
            hull = SdfGrid(left.view(*counts.flip(0).tolist()), low, low + cell * (counts - 1))
            inflation = Inflation.of(hull, cameras, held[:, 0].median(dim=0).values)
            deep = left if inflation is None else torch.maximum(left, inflation(points))
            if inflation is not None and (deep < 0).any():
                low, counts, cell = _box_of(points[deep < 0], resolution)
                points = _points_of(low, counts, cell)
                left = self.hull(placed, depth, index, points, FLAT_SEEN_QUANTILE) - wider
                left = torch.maximum(left, inflation(points))
        else:
            left = torch.maximum(left, -HAND_MARGIN - self._to_hand(scene, placed, points))
        high, values = low + cell * (counts - 1), left.clamp(-0.05, 0.05)
        scene.set_object(_largest(_smoothed(values.reshape(*counts.flip(0).tolist()))), low, high)
        return hull_gap

    def _least(
        self,
        placed: PosedScene,
        hand_depth: Float[Tensor, "n s s"],
        index: Int[Tensor, " k"],
        about: Float[Tensor, " 3"],
    ) -> float:
        """The hull's least distance near one of the search's points."""
        cell = 2 * SEARCH_EXTENT / (SEARCH_RESOLUTION - 1)
        near = lattice([torch.linspace(-cell, cell, 9) + float(c) for c in about])
        return float(self.hull(placed, hand_depth, index, near).min())

    def hull(
        self,
        placed: PosedScene,
        hand_depth: Float[Tensor, "n s s"],
        index: Int[Tensor, " k"],
        points: Float[Tensor, "p 3"],
        seen_quantile: float = SEEN_QUANTILE,
    ) -> Float[Tensor, " p"]:
        """Signed distances (m) to the robust visual hull; of the frames `index`; `hand_depth` is the hands', `FAR`
        beside them."""
        clip = self.clip
        outside: list[Tensor] = []
        unseen: list[Tensor] = []
        for i in index.tolist():
            camera = transform_points(invert(placed.T_object_camera[i : i + 1])[0], points)
            seen = where_seen(self.edges[i], clip.known[i], camera[None], placed.intrinsics[i])
            either, own, by_hand = (seen.edges + seen.beyond)[:, 0] * seen.metres[0]
            told = seen.known[0] > 0.5
            if clip.has_hand[i]:
                behind = F.grid_sample(hand_depth[i][None, None], seen.unit, mode="nearest", align_corners=False)[
                    0, 0, 0
                ]
                # Where the hand is seen, what is before it is air.
                before = torch.where((behind > 0) & (behind < FAR / 2), behind - camera[:, 2] - FRONT_MARGIN, -FAR)
                either = torch.maximum(either, torch.minimum(-by_hand, before))
            # Beyond an edge that cuts through the object a frame has no say.
            outside.append(torch.where(told, either, torch.nan))
            unseen.append(torch.where(told, own, torch.nan))
        bound = quantile_of_told(torch.stack(outside), OUTSIDE_QUANTILE)
        left = torch.maximum(bound, quantile_of_told(torch.stack(unseen), seen_quantile))
        return left.nan_to_num(FAR)  # what no frame tells of is not the object

    def _hand_depth(self, scene: Scene, placed: PosedScene) -> Float[Tensor, "n s s"]:
        size = CROP_SIZE // HAND_CELL
        return splat_mask(placed.verts_camera, scene.model.faces, placed.intrinsics / HAND_CELL, size).depth

    def _to_hand(self, scene: Scene, placed: PosedScene, points: Float[Tensor, "p 3"]) -> Float[Tensor, " p"]:
        """Signed distances to the hand of the middle frame."""
        verts = transform_points(invert(placed.T_hand_object), placed.hand.verts)[len(self.clip) // 2]
        hand = trimesh.Trimesh(verts.numpy(), scene.model.faces.numpy(), process=False)
        return torch.from_numpy(signed_distance(hand, points.numpy())).float()


def quantile_of_told(values: Float[Tensor, "n p"], share: float) -> Float[Tensor, " p"]:
    """A quantile of each column's numbers, NaN where there are none: torch's `nanquantile` in a seventh of the time.

    Example:
        >>> quantile_of_told(torch.tensor([[4.0, torch.nan], [torch.nan, torch.nan], [2.0, torch.nan]]), 0.25)
        tensor([2.5000,    nan])
    """
    ordered = torch.from_numpy(np.sort(values.numpy(), axis=0))  # NaN come last
    place = share * (~ordered.isnan()).sum(dim=0).sub(1).clamp(min=0)
    low, high = (ordered.gather(0, end.long()[None])[0] for end in (place.floor(), place.ceil()))
    return low.lerp(high, place.frac())


class WhereSeen(NamedTuple):
    """Where b times p points lie in one frame's picture, and what its masks say there; beyond it, as at its edge."""

    pixel: Float[Tensor, "b p 2"]
    unit: Float[Tensor, "1 b p 2"]
    """The same places, from -1 to 1."""
    metres: Float[Tensor, "b p"]
    """A pixel's size at the points."""
    edges: Float[Tensor, "c b p"]
    """Signed distances to edges of c masks, pixels."""
    beyond: Float[Tensor, "b p"]
    """How far beyond the crop the points lie, pixels."""
    known: Float[Tensor, "b p"]
    """1 where masks say something."""


def where_seen(
    edges: Float[Tensor, "c s s"],
    known: Float[Tensor, "s s"],
    camera: Float[Tensor, "b p 3"],
    intrinsics: Float[Tensor, " 4"],
) -> WhereSeen:
    """Looks points before the camera up in a frame's pictures of distances to masks' edges, and of what is known."""
    size = edges.shape[-1]
    pixel = project_pinhole(camera, intrinsics.expand(len(camera), 4), NEAREST_SEEN)
    unit = (pixel / size * 2 - 1)[None]
    told = F.grid_sample(known[None, None], unit, mode="nearest", padding_mode="border", align_corners=False)
    return WhereSeen(
        pixel,
        unit,
        camera[..., 2].clamp(min=NEAREST_SEEN) / intrinsics[0],
        F.grid_sample(edges[None], unit, padding_mode="border", align_corners=False)[0],
        ((unit - unit.clamp(-1, 1)) * size / 2).norm(dim=-1)[0],
        told[0, 0],
    )


def picture_distance(mask: Float[Tensor, "h w"], known: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Signed distance to a mask's edge, pixels, negative inside; what is not known may be in the mask or beside it.

    Example:
        >>> mask = torch.zeros(3, 5)
        >>> mask[:, 2:] = 1.0
        >>> picture_distance(mask, known=torch.ones(3, 5))[1]
        tensor([ 2.,  1., -1., -2., -3.])
    """
    inside, told = mask.numpy() > 0.5, known.numpy() > 0.5
    if not inside.any():
        return torch.full_like(mask, float(max(mask.shape)))
    if not (told & ~inside).any():
        return torch.full_like(mask, -float(max(mask.shape)))
    either = inside | ~told
    return torch.from_numpy(distance_transform_edt(~either) - distance_transform_edt(either)).float()


def lattice(axes: list[Tensor]) -> Float[Tensor, "p 3"]:
    """Points of a box whose x, y, z are `axes`, in the order of a flattened (z, y, x) tensor.

    Example:
        >>> lattice([torch.tensor([0.0, 1.0])] * 3)[:3]
        tensor([[0., 0., 0.],
                [1., 0., 0.],
                [0., 1., 0.]])
    """
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z], dim=-1).reshape(-1, 3)


def ruggedness(values: Float[Tensor, "D H W"]) -> float:
    """Surface of an object of whose distances `values` are a grid, over that of a ball of its volume; at least about 1.

    Cells are counted. Infinite without an inside.

    Example:
        >>> cube = torch.ones(8, 8, 8)
        >>> cube[2:6, 2:6, 2:6] = -1.0
        >>> round(ruggedness(cube), 2)
        0.83
    """
    inside = (values < 0).float()
    volume = float(inside.sum())
    if not volume:
        return math.inf
    surface = sum(float(inside.diff(dim=k).abs().sum()) for k in range(3))
    # The steps of a ball's cells have half as much again of its surface.
    return surface / 1.5 / ((36 * math.pi) ** (1 / 3) * volume ** (2 / 3))


def _box_of(points: Float[Tensor, "p 3"], resolution: int) -> tuple[Float[Tensor, " 3"], Int[Tensor, " 3"], float]:
    """Lower corner, counts of points along x, y, z, and cell of a box with room around points."""
    low, high = points.amin(dim=0) - BOX_MARGIN, points.amax(dim=0) + BOX_MARGIN
    cell = float((high - low).prod()) ** (1 / 3) / resolution
    return low, ((high - low) / cell).ceil().long() + 1, cell


def _points_of(low: Float[Tensor, " 3"], counts: Int[Tensor, " 3"], cell: float) -> Float[Tensor, "p 3"]:
    return lattice([low[k] + cell * torch.arange(int(counts[k])) for k in range(3)])


def _smoothed(values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    padded = F.pad(values[None, None], (1,) * 6, mode="replicate")
    return F.avg_pool3d(padded, 3, stride=1)[0, 0]


def _largest(values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    """Distances in which only the largest connected part is inside; the others' cells become just outside."""
    parts = Regions.of(values.numpy() < 0)
    if len(parts) < 2:
        return values
    return torch.where(torch.from_numpy((parts.label > 0) & ~parts.largest), JUST_OUTSIDE, values)
