"""Objects as a clip's masks leave them, beside what they are: what the prior of shapes learns from.

A visual hull of a few frames is too large where no frame looks, has no hollows, has lumps and bites where the hand was,
and edges that are off. Here it is made from an object's distances without drawing a picture: what a ray's nearest
approach to the surface is, is how far its pixel lies beside the silhouette.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pytorch_lightning as pl
import roma
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Bool, Float, Int8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from scipy.ndimage import binary_dilation, distance_transform_edt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hoprior.console import counting_bar
from hoprior.datasets.datamodule import Batch, Onwards, held_out
from hoprior.datasets.phrases import GENERIC_TEXT, VERB_PHRASES, sentence_for, with_article
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.datasets.text_features import text_features
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.sdf import signed_distance
from hoprior.io import write_atomically
from hoprior.models.shape import SLENDER, TRUNCATION, box_around

FIELD_RESOLUTION = 40
"""Points per axis at which an object is looked up."""
FIELD_MARGIN = 1.1
"""Of the box in which it is, over the object."""
HALF_WALL = 0.03
"""Thin things are at least twice as thick, over the box's scale: grids of so few points would miss thinner ones."""
FILL_TOLERANCE = 5e-4
"""By so much (m) a filled vessel may stand out of its convex hull. A knife with room around its blade does."""
MOUTH_CELLS = 3
"""A hollow goes on through its mouth by so many cells: where it ends at a lid, a film of the lid would be left."""
VIEWS, PIXELS, DEPTHS = 6, 36, 48
AROUND = 0.025
"""What is looked at around the object's box, m."""
ARC = (0.8, 3.0)
"""Angles (rad) that an object turns by before the camera."""
HEIGHT = 0.9
"""Most (rad) by which the camera stands above or below the plane of the arc."""
DISTANCE = (0.35, 0.7)
"""Of the camera, m, beyond the object's half length."""
TURN_ERROR, SHIFT_ERROR, EDGE_ERROR = 0.07, 0.0025, 0.001
"""Of a view's pose (rad, at most; m) and of its silhouette's edge (m)."""
HAND_RESOLUTION = 28
HELD = 0.85
"""Share of the hulls of which a hand hides a part."""
HAND_ERROR = 0.004
"""Standard deviation of where the estimated hand is, m."""
FIRST_RESOLUTION = 28
"""Points per axis at which a hull is looked at first, to find its box."""
SKIN = 0.004
"""A hand's inside is taken out of a first guess but for so much (m)."""
INT8_MAX = 127
SIZE_SPREAD = 0.1
"""Of the logarithm of sizes."""
VESSELS = 0.3
"""Of the objects so many are drawn from those with a hollow, which are few and hard."""
HALF_FINISHED, UNKNOWN_SIDE = 0.5, 0.2
"""Shares of hulls that a fit has begun to mend, and that were seen from nobody knows where."""
UNNAMED, WRONGLY_NAMED, UNHEARD = 0.12, 0.04, 0.12
"""Shares of sentences that name nothing, that name another object, and that are not heard."""
VERBS_NAMED = 6
"""With an object's name so many verbs are told; the encoder is slow."""


@dataclass(frozen=True)
class Solid:
    """An object about the middle of its box; distances in metres."""

    key: str
    category: str
    half: Float[Tensor, " 3"]
    """Half the sides of the box in which the distances are known."""
    filled: Float[Tensor, "1 r r r"]
    """Signed distances of what it looks like from outside, thin things thickened."""
    hollow: Float[Tensor, "1 r r r"]
    """Signed distances to its hollow, negative in it; `FAR` where it has none."""

    @property
    def scale(self) -> float:
        """Geometric mean of half the box's sides."""
        return float(self.half.log().mean().exp())


def solid_of(thing: Graspable, resolution: int = FIELD_RESOLUTION) -> Solid:
    """The distances of an object, where walls that a coarse grid would miss are thicker than they are."""
    lower, upper = thing.solid.bounds
    half = torch.from_numpy(FIELD_MARGIN * (upper - lower) / 2).float()
    half = half.clamp(min=SLENDER * float(half.max()))
    points = box_points(half, resolution).numpy() + (lower + upper) / 2
    shape = (1, resolution, resolution, resolution)
    solid = torch.from_numpy(signed_distance(thing.solid, points)).float().view(shape)
    filled, hollow = solid, torch.full(shape, FAR)
    if thing.filled is not None and _fills(thing.filled, thing.solid):
        filled = torch.from_numpy(signed_distance(thing.filled, points)).float().view(shape)
        hollow = hollow_of(solid, filled, half)
    scale = float(half.log().mean().exp())
    return Solid(thing.info.key, thing.info.category, half, thickened(filled, half, HALF_WALL * scale), hollow)


def _fills(filled: trimesh.Trimesh, solid: trimesh.Trimesh) -> bool:
    return float(signed_distance(solid.convex_hull, filled.vertices).max()) < FILL_TOLERANCE


def hollow_of(
    solid: Float[Tensor, "1 r r r"], filled: Float[Tensor, "1 r r r"], half: Float[Tensor, " 3"]
) -> Float[Tensor, "1 r r r"]:
    """Signed distances to the air inside a filled thing, which goes on through its mouth; `FAR` without any."""
    within = torch.maximum(filled, -solid)
    if not (within < 0).any():
        return torch.full_like(within, FAR)
    air = (solid > 0)[0].numpy()
    on = binary_dilation((within < 0)[0].numpy(), iterations=MOUTH_CELLS, mask=air) & (filled[0] > 0).numpy()
    cell = (half.flip(0) * 2 / (solid.shape[-1] - 1)).tolist()
    mouth = distance_transform_edt(~on, sampling=cell) - distance_transform_edt(on, sampling=cell)
    return torch.minimum(within, torch.from_numpy(mouth)[None].float())


def box_points(half: Float[Tensor, " 3"], resolution: int) -> Float[Tensor, "n 3"]:
    """Points of a box about the origin, in the order of a flattened (z, y, x) tensor."""
    return GridSpec((0, 0, 0), 1.0, resolution).points() * half


def thickened(values: Float[Tensor, "1 r r r"], half: Float[Tensor, " 3"], wall: float) -> Float[Tensor, "1 r r r"]:
    """Signed distances of a thing whose walls are at least twice `wall` thick (m); what is thicker stays as it is."""
    cells = half.flip(0) * 2 / (values.shape[-1] - 1)
    reach = [2 * math.ceil(1.5 * wall / float(cell)) + 1 for cell in cells]
    depth = F.max_pool3d(-values, reach, stride=1, padding=[r // 2 for r in reach])
    return values - (wall - depth.clamp(min=0)).clamp(min=0)


def at(
    field: Float[Tensor, "c r r r"], half: Float[Tensor, " 3"], points: Float[Tensor, "*n 3"]
) -> Float[Tensor, "..."]:
    """Distances at points of a box (m), growing beyond it; of several fields, one after the other."""
    beyond = torch.relu(points.abs() - half).norm(dim=-1)
    flat = (points / half).reshape(1, -1, 1, 1, 3)
    found = F.grid_sample(field[None], flat, align_corners=True, padding_mode="border")
    return found.view(-1, *beyond.shape).squeeze(0) + beyond


@dataclass(frozen=True)
class View:
    """A picture of an object and the hand that holds it, and from where."""

    camera: Float[Tensor, " 3"]
    """Its place, in the object's frame as the view's own error has it."""
    frame: Float[Tensor, "3 3"]
    """Rows: to the right, down, and into the picture."""
    reach: Float[Tensor, " 2"]
    """Half the sides of the picture, at the object's distance, m."""
    outside: Float[Tensor, "p p"]
    """Signed distance to the silhouette of both, m at the object's distance."""
    own: Float[Tensor, "p p"]
    """The same, to what is seen of the object."""
    held: Float[Tensor, "p p"]
    """The same, to what is seen of the hand."""
    behind: Float[Tensor, "p p"]
    """Depth of the hand, m; `FAR` beside it."""

    def bounds(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """How far points lie beside what may be object, and beside what is seen of it."""
        camera = (points - self.camera) @ self.frame.T
        depth, middle = camera[:, 2].clamp(min=0.05), self.camera.norm()
        pixel = camera[:, :2] / depth[:, None] * middle / self.reach
        beyond = (torch.relu(pixel.abs() - 1) * self.reach).norm(dim=-1)
        grid, pictures = pixel[None, :, None], torch.stack([self.outside, self.own, self.held])[None]
        outside, own, held = F.grid_sample(pictures, grid, align_corners=True, padding_mode="border")[0, ..., 0]
        behind = F.grid_sample(self.behind[None, None], grid, mode="nearest", align_corners=True)[0, 0, :, 0]
        # What lies before a hand that is seen is air.
        before = torch.where(behind < FAR, behind - depth, -FAR)
        return torch.maximum(outside + beyond, torch.minimum(-held, before)), own + beyond


FAR = 10.0


def view_of(
    solid: Solid,
    hand: Float[Tensor, "1 r r r"],
    toward: Float[Tensor, " 3"],
    distance: float,
    generator: torch.Generator,
) -> View:
    """A view from the direction `toward`, whose pose errs; `hand` are a hand's distances in the box with `AROUND`."""
    wide = solid.half + AROUND
    # Pictures lie along the object's longest axis: a blade seen from its edge is as wide as few pixels.
    longest = torch.eye(3)[int(solid.half.argmax())]
    right = longest - (longest @ toward) * toward + 1e-3 * torch.randn(3, generator=generator)
    right = F.normalize(right - (right @ toward) * toward, dim=0)
    frame = torch.stack([right, torch.linalg.cross(-toward, right), -toward])
    reach = (frame[:2].abs() @ wide) * 1.1
    side = torch.linspace(-1, 1, PIXELS)
    v, u = torch.meshgrid(side, side, indexing="ij")
    camera = distance * toward
    rays = torch.stack([u * reach[0], v * reach[1], torch.full_like(u, distance)], dim=-1) @ frame / distance
    safe = torch.where(rays.abs() < 1e-6, torch.full_like(rays, 1e-6), rays)
    first, second = (-wide - camera) / safe, (wide - camera) / safe
    near, far = torch.minimum(first, second).amax(dim=-1), torch.maximum(first, second).amin(dim=-1)
    near, far = torch.where(far > near, near, distance - AROUND), torch.where(far > near, far, distance + AROUND)
    depth = near[..., None] + (far - near)[..., None] * torch.linspace(0, 1, DEPTHS)
    points = camera + depth[..., None] * rays[:, :, None]
    thing, holder = at(solid.filled, solid.half, points), at(hand, wide, points)
    first_thing, first_holder = _first_inside(thing, depth), _first_inside(holder, depth)
    cell = (2 * reach / (PIXELS - 1)).flip(0).tolist()
    edge = EDGE_ERROR * torch.randn(2, 1, 1, 6, 6, generator=generator)
    edge = F.interpolate(edge[:, 0], size=PIXELS, mode="bilinear")[:, 0]
    # The view's pose errs: what it says is said of a frame that is turned and moved.
    wrong = roma.rotvec_to_rotmat(TURN_ERROR * _between((0, 1), generator) * torch.randn(3, generator=generator))
    shift = SHIFT_ERROR * torch.randn(3, generator=generator)
    return View(
        wrong @ (camera + shift),
        frame @ wrong.T,
        reach,
        silhouette(torch.minimum(thing, holder).amin(dim=-1), cell) + edge[0],
        edge_distance((first_thing < FAR) & (first_thing <= first_holder), cell) + edge[1],
        edge_distance((first_holder < FAR) & (first_holder < first_thing), cell),
        first_holder,
    )


def hull_of(
    solid: Solid, hand: Float[Tensor, "1 r r r"], generator: torch.Generator
) -> tuple[Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], Float[Tensor, " 3"]]:
    """What the masks of an arc of views leave of an object, as distances at points of its frame (m).

    Also the mean of the directions to the cameras.

    The rules are those by which reconstruction carves: out is what lies beside both masks, what lies before a hand that
    is seen, and what no view has in the object's own mask.
    """
    distance = float(solid.half.max()) + _between(DISTANCE, generator)
    axis, other = F.normalize(torch.randn(2, 3, generator=generator), dim=1)
    around = F.normalize(torch.linalg.cross(axis, other), dim=0)
    height = _between((-HEIGHT, HEIGHT), generator)
    first = math.cos(height) * around + math.sin(height) * axis
    angle = _between(ARC, generator) * torch.linspace(-0.5, 0.5, VIEWS) + 0.1 * torch.randn(VIEWS, generator=generator)
    directions = roma.rotvec_to_rotmat(angle[:, None] * axis) @ first
    views = [view_of(solid, hand, toward, distance, generator) for toward in directions]
    # The rule that carves is robust: sometimes one view alone takes nothing away.
    rank = VIEWS - int(torch.randint(2, (), generator=generator))

    def hull(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        outside, own = (torch.stack(found) for found in zip(*(view.bounds(points) for view in views), strict=True))
        return torch.maximum(outside.kthvalue(rank, dim=0).values, own.amin(dim=0))

    return hull, directions.mean(dim=0)


def _first_inside(distances: Float[Tensor, "p p d"], depth: Float[Tensor, "p p d"]) -> Float[Tensor, "p p"]:
    """The depth at which a ray enters; `FAR` where it does not."""
    inside = distances < 0
    first = depth.gather(-1, inside.float().argmax(dim=-1, keepdim=True))[..., 0]
    return torch.where(inside.any(dim=-1), first, FAR)


def edge_distance(mask: Bool[Tensor, "p p"], cell: list[float]) -> Float[Tensor, "p p"]:
    """Signed distances to a mask's edge, m, negative inside; `cell` is a pixel's height and width."""
    if not mask.any():
        return torch.full(mask.shape, FAR)
    inside, outside = (distance_transform_edt(one.numpy(), sampling=cell) for one in (mask, ~mask))
    return torch.from_numpy(outside - inside).float()


def silhouette(nearest: Float[Tensor, "p p"], cell: list[float]) -> Float[Tensor, "p p"]:
    """Distances beside a silhouette as they are, inside to the edge in the picture; pinholes are closed."""
    shut = F.max_pool2d(-F.max_pool2d(-nearest[None], 3, stride=1, padding=1), 3, stride=1, padding=1)[0]
    closed = torch.minimum(nearest, shut)
    inside = torch.from_numpy(distance_transform_edt((closed < 0).numpy(), sampling=cell)).float()
    return torch.where(closed < 0, torch.minimum(closed, 0.5 * min(cell) - inside), closed)


def hand_at(
    solid: Solid, generator: torch.Generator
) -> tuple[Float[Tensor, "k 3"], Float[Tensor, "k 3"], Float[Tensor, " k"]]:
    """Capsules (middles, halves, radii; m) that lie around an object as a palm and fingers may."""
    field, half = solid.filled, solid.half

    def slope(points: Tensor) -> Tensor:
        step = 0.004 * torch.eye(3)
        return F.normalize(
            at(field, half, points[:, None] + step) - at(field, half, points[:, None] - step) + 1e-9, dim=1
        )

    def onto(points: Tensor, off: float) -> Tensor:
        for _ in range(3):
            points = points - (at(field, half, points) - off)[:, None] * slope(points)
        return points

    cells = box_points(half, field.shape[-1])
    near = cells[field.flatten().abs() < 2 * float(half.max()) / field.shape[-1]]
    palm = near[int(torch.randint(len(near), (), generator=generator))][None]
    normal = slope(palm)
    across = F.normalize(torch.linalg.cross(normal, torch.randn(1, 3, generator=generator)), dim=1)
    along = torch.linalg.cross(normal, across)
    thick, finger = _between((0.011, 0.017), generator), 0.0085
    palm = onto(palm, thick)
    offsets = torch.tensor([-0.03, -0.01, 0.01, 0.03, 0.0])[:, None]
    way = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0])[:, None] * along
    knots = [palm + offsets * across]
    for _ in range(3):
        normal = slope(knots[-1])
        way = F.normalize(way - (way * normal).sum(dim=1, keepdim=True) * normal, dim=1)
        knots.append(onto(knots[-1] + _between((0.018, 0.03), generator) * way, finger))
    starts = torch.cat([palm - 0.5 * offsets[3] * across, *knots[:-1]])
    ends = torch.cat([palm + 0.5 * offsets[3] * across, *knots[1:]])
    radius = torch.full((len(starts),), finger)
    radius[0] = thick
    return (starts + ends) / 2, (ends - starts) / 2 + 1e-6, radius


def degraded(solid: Solid, resolution: int, generator: torch.Generator) -> Batch | None:
    """An object as a clip leaves it and as it is, in the box of what is left; None where nothing is.

    `fields` (3, r, r, r): what is left, the object filled, and its hollow, over the box's scale; `half` (3) are half
    the box's sides in metres, `toward` (3) the mean direction to the cameras in its axes.
    """
    if not (solid.filled < 0).any():
        return None
    wide = solid.half + AROUND
    hand = torch.ones(1, *(HAND_RESOLUTION,) * 3)
    if torch.rand((), generator=generator) < HELD:
        hand = _capsules(box_points(wide, HAND_RESOLUTION), *hand_at(solid, generator)).view_as(hand)
    hull, toward = hull_of(solid, hand, generator)
    # The hand is taken out, but for a skin, where the estimate has it.
    wrong = HAND_ERROR * torch.randn(3, generator=generator)

    def left(points: Tensor) -> Tensor:
        return torch.maximum(hull(points), -SKIN - at(hand, wide, points + wrong))

    first = box_points(wide * 1.1, FIRST_RESOLUTION)
    inside = first[left(first) < 0]
    if len(inside) < FIRST_RESOLUTION:
        return None
    box = box_around(inside)
    points = box.points(resolution)
    values = torch.stack([left(points), *(at(f, solid.half, points) for f in (solid.filled, solid.hollow))])
    cubes = (values / box.scale).clamp(-TRUNCATION, TRUNCATION).view(3, *(resolution,) * 3)
    return {"fields": cubes, "half": box.half, "toward": toward @ box.axes}


@dataclass(frozen=True)
class Hulls:
    """An object as k clips leave it and as it is, in parts of `TRUNCATION`; see `degraded`."""

    key: str
    category: str
    fields: Int8[Tensor, "k 3 r r r"]
    half: Float[Tensor, "k 3"]
    toward: Float[Tensor, "k 3"]


def hulls_of(solid: Solid, count: int, resolution: int, seed: int) -> Hulls:
    """Of `count` ways in which a clip may leave an object those that leave something.

    Raises:
        HopriorError: none does.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [row for _ in range(count) if (row := degraded(solid, resolution, generator)) is not None]
    if not rows:
        raise HopriorError(f"{solid.key}: is too thin to be seen in {count} clips: leave its family out")
    fields, half, toward = (torch.stack([row[name] for row in rows]) for name in ("fields", "half", "toward"))
    return Hulls(solid.key, solid.category, _packed(fields), half, toward)


class HullBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: `hull`, `filled`, `hollow`, `half`, `toward`, `text` and `heard`.

    Most sentences name the object; some name nothing, a few another object, and some are not heard at all.
    """

    def __init__(
        self, objects: Sequence[Hulls], folder: Path, text_encoder: str, batch_size: int, augmented: bool, seed: int
    ) -> None:
        self.objects, self.batch_size, self.augmented, self.seed = objects, batch_size, augmented, seed
        self.vessels = [thing for thing in objects if (thing.fields[:, 2] < 0).any()]
        self.categories = sorted({thing.category for thing in objects})
        texts = [GENERIC_TEXT, *(text for category in self.categories for text in _sentences(category))]
        self.row = {text: i for i, text in enumerate(texts)}
        self.features = text_features(folder, texts, text_encoder).mean(dim=1)

    def __getitem__(self, k: int) -> Batch:
        generator = torch.Generator().manual_seed(self.seed * 1_000_000_007 + k)
        rows = [self._row(self._drawn(generator), generator) for _ in range(self.batch_size)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _drawn(self, generator: torch.Generator) -> Hulls:
        vessel = bool(self.vessels) and float(torch.rand((), generator=generator)) < VESSELS
        among = self.vessels if vessel else self.objects
        return among[int(torch.randint(len(among), (), generator=generator))]

    def _row(self, thing: Hulls, generator: torch.Generator) -> Batch:
        view = int(torch.randint(len(thing.half), (), generator=generator))
        fields = thing.fields[view].float() * TRUNCATION / INT8_MAX
        half, toward = thing.half[view], thing.toward[view]
        if self.augmented:
            flips = torch.randint(2, (3,), generator=generator)
            fields = fields.flip([3 - k for k in range(3) if flips[k]])  # x, y, z are the last, middle and first axis
            toward = toward * (1 - 2 * flips)
            half = half * torch.exp(SIZE_SPREAD * torch.randn((), generator=generator))
        hull, filled, hollow = fields[:, None]
        if torch.rand((), generator=generator) < HALF_FINISHED:
            hull = torch.lerp(hull, filled, torch.rand((), generator=generator))
        if torch.rand((), generator=generator) < UNKNOWN_SIDE:
            toward = torch.zeros(3)
        chance = float(torch.rand((), generator=generator))
        category = thing.category
        if chance > 1 - WRONGLY_NAMED:
            category = self.categories[int(torch.randint(len(self.categories), (), generator=generator))]
        said = _sentences(category)
        text = said[int(torch.randint(len(said), (), generator=generator))] if chance > UNNAMED else GENERIC_TEXT
        heard = torch.rand((), generator=generator) > UNHEARD
        return {
            "hull": hull,
            "filled": filled,
            "hollow": hollow,
            "half": half,
            "toward": toward,
            "text": self.features[self.row[text]],
            "heard": heard,
        }


def _packed(distances: Tensor) -> Tensor:
    return (distances * INT8_MAX / TRUNCATION).round().clamp(-INT8_MAX, INT8_MAX).to(torch.int8)


def _between(ends: tuple[float, float], generator: torch.Generator) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(torch.rand((), generator=generator))


def _capsules(
    points: Float[Tensor, "n 3"], middle: Float[Tensor, "k 3"], half: Float[Tensor, "k 3"], radius: Float[Tensor, " k"]
) -> Float[Tensor, " n"]:
    away = points[:, None] - middle
    share = ((away * half).sum(dim=-1) / half.square().sum(dim=-1)).clamp(-1, 1)
    return ((away - share[..., None] * half).norm(dim=-1) - radius).amin(dim=1)


@lru_cache
def _sentences(category: str) -> tuple[str, ...]:
    """What may be said of a hand with an object: what is typed, and some of the verbs, other ones for other things."""
    thing = with_article(category)
    verbs = list(dict.fromkeys(VERB_PHRASES.values()))
    some = verbs[len(category) % VERBS_NAMED :: VERBS_NAMED]
    typed = (sentence_for(thing), sentence_for(category), sentence_for(f"the {category}"))
    return (*typed, f"a hand holding {thing}", *(f"a hand {verb} {thing}" for verb in some))


def _write(path: Path, thing: Hulls) -> None:
    tensors = {"fields": thing.fields, "half": thing.half, "toward": thing.toward}
    path.write_bytes(save(tensors, {"key": thing.key, "category": thing.category}))


def _read(path: Path) -> Hulls | None:
    """A kept object; None where there is none, or it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            return Hulls(about["key"], about["category"], *(file.get_tensor(n) for n in ("fields", "half", "toward")))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError):
        return None


class HullModule(pl.LightningDataModule):
    """Objects of the parametric families, made when they are first needed and kept in `folder`.

    Args:
        folder: where objects and text features are kept.
        objects: how many, number 0 on.
        hulls: how many ways of being seen of each are kept.
        resolution: of the prior.
        batch_size, batches_per_epoch, val_batches: objects a batch, batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
        text_encoder: name of the encoder of hoprior.text.
        seed: of the objects and of the draws.
    """

    def __init__(
        self,
        folder: str | Path,
        objects: int = 520,
        hulls: int = 6,
        resolution: int = 32,
        batch_size: int = 16,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        val_fraction: float = 0.08,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if objects < 1:
            raise HopriorError(f"objects is {objects}: at least one")
        self.folder, self.objects, self.hulls, self.resolution = Path(folder), objects, hulls, resolution
        self.batch_size, self.batches_per_epoch, self.val_batches = batch_size, batches_per_epoch, val_batches
        self.val_fraction, self.text_encoder, self.seed = val_fraction, text_encoder, seed
        self.train_batches: HullBatches | None = None
        self.val_batches_of: HullBatches | None = None

    def setup(self, stage: str | None = None) -> None:
        """Makes the objects (once) and divides them."""
        if self.train_batches is not None:
            return
        things = list(self._made())
        kept_out = held_out([thing.key for thing in things], self.val_fraction)
        train = [thing for thing in things if thing.key not in kept_out]
        val = [thing for thing in things if thing.key in kept_out] or train
        self.train_batches, self.val_batches_of = self._batches(train, True), self._batches(val, False)

    def _made(self) -> Iterable[Hulls]:
        self.folder.mkdir(parents=True, exist_ok=True)
        catalogue = Catalogue.of(None, [], self.seed)
        with counting_bar() as bar:
            task = bar.add_task("objects", total=self.objects)
            for i in range(self.objects):
                kept = self.folder / f"{catalogue.info(i).key}-{self.hulls}x{self.resolution}.safetensors"
                if (thing := _read(kept)) is None:
                    thing = hulls_of(solid_of(catalogue.make(i)), self.hulls, self.resolution, i)
                    write_atomically(kept, partial(_write, thing=thing))
                yield thing
                bar.advance(task)

    def _batches(self, things: Sequence[Hulls], augmented: bool) -> HullBatches:
        return HullBatches(things, self.folder, self.text_encoder, self.batch_size, augmented, self.seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training objects."""
        assert self.train_batches is not None, "setup() comes first"
        return DataLoader(self.train_batches, batch_size=None, sampler=Onwards(self.batches_per_epoch))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Always the same batches of the objects held out."""
        assert self.val_batches_of is not None, "setup() comes first"
        return DataLoader(self.val_batches_of, batch_size=None, sampler=range(self.val_batches))

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader
