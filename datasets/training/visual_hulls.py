"""Objects as a clip's masks leave them, beside what they are: what the prior of shapes learns from.

A visual hull of a few frames is too large where no frame looks, has no hollows, has lumps and bites where the hand was,
and edges that are off. Here it is made from an object's distances without drawing a picture: what a ray's nearest
approach to the surface is, is how far its pixel lies beside the silhouette.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, distance_transform_edt
from torch import Tensor

from hoprior.datasets.synthetic.objects import Graspable
from hoprior.datasets.training.datamodule import Batch
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.lookup import trilinear_distance
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import signed_distance
from hoprior.models.shape_completion import TRUNCATION
from hoprior.models.shape_inputs import SLENDER, box_around, hand_distance, tidied, ways_of
from hoprior.priors.records import ObjectView

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
HEIGHT = (-0.5, 1.0)
"""Angles (rad) by which the camera stands above the plane of the arc."""
UPRIGHT, TILT = 0.75, 0.25
"""Share of the hulls for which what stands upright is held about so (rad) and turned so, and not anyhow."""
DISTANCE = (0.35, 0.7)
"""Of the camera, m, beyond the object's half length."""
TURN_ERROR, SHIFT_ERROR, EDGE_ERROR = 0.07, 0.0025, 0.001
"""Of a view's pose (rad, at most; m) and of its silhouette's edge (m)."""
HAND_RESOLUTION = 28
HELD = 0.85
"""Share of the hulls of which a hand hides a part."""
HAND_ERROR, JOINT_ERROR = 0.004, 0.003
"""Standard deviation of where the estimated hand is, m; and each of its joints beside it."""
FIRST_RESOLUTION = 28
"""Points per axis at which a hull is looked at first, to find its box."""
SKIN = 0.004
"""A hand's inside is taken out of a first guess but for so much (m)."""


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
    mouth: Float[Tensor, " 3"]
    """Unit vector out of the hollow's mouth; zeros without one."""
    upright: bool
    """Whether +z is up when it stands."""

    @property
    def scale(self) -> float:
        """Geometric mean of half the box's sides."""
        return float(self.half.log().mean().exp())


def solid_of(thing: Graspable, resolution: int = FIELD_RESOLUTION) -> Solid:
    """The distances of an object, where walls that a coarse grid would miss are thicker than they are.

    Its frame is the mesh's about the middle of its box.
    """
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
    thick = thickened(filled, half, HALF_WALL * scale)
    mouth = mouth_of(filled, hollow, box_points(half, resolution))
    return Solid(thing.info.key, thing.info.category, half, thick, hollow, mouth, thing.upright)


def mouth_of(
    filled: Float[Tensor, "1 r r r"], hollow: Float[Tensor, "1 r r r"], points: Float[Tensor, "n 3"]
) -> Float[Tensor, " 3"]:
    """From the air in an object towards that before its mouth, a unit vector; zeros without a hollow."""
    air, inside = (hollow < 0).flatten(), (filled < 0).flatten()
    within, beyond = points[air & inside], points[air & ~inside]
    if not len(within) or not len(beyond):
        return torch.zeros(3)
    return F.normalize(beyond.mean(dim=0) - within.mean(dim=0), dim=0)


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
    """Points of a box about the origin, in the order of a flattened (z, y, x) tensor.

    Example:
        >>> box_points(torch.tensor([0.1, 0.2, 0.3]), resolution=2)[:2]
        tensor([[-0.1000, -0.2000, -0.3000],
                [ 0.1000, -0.2000, -0.3000]])
    """
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
    found = trilinear_distance(field[None], (points / half).reshape(1, -1, 3), half)
    return found.view(-1, *points.shape[:-1]).squeeze(0)


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
    wrong = rotvec_to_rotmat(TURN_ERROR * _between((0, 1), generator) * torch.randn(3, generator=generator))
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
) -> tuple[Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], ObjectView]:
    """What the masks of an arc of views leave of an object, as distances at points of its frame (m).

    Also the mean directions to the cameras, and up in their pictures.

    The rules are those by which reconstruction carves: out is what lies beside both masks, what lies before a hand that
    is seen, and what no view has in the object's own mask.
    """
    distance = float(solid.half.max()) + _between(DISTANCE, generator)
    axis, other = F.normalize(torch.randn(2, 3, generator=generator), dim=1)
    if solid.upright and torch.rand((), generator=generator) < UPRIGHT:
        axis = F.normalize(torch.tensor([0.0, 0.0, 1.0]) + TILT * torch.randn(3, generator=generator), dim=0)
    around = F.normalize(torch.linalg.cross(axis, other), dim=0)
    height = _between(HEIGHT, generator)
    first = math.cos(height) * around + math.sin(height) * axis
    angle = _between(ARC, generator) * torch.linspace(-0.5, 0.5, VIEWS) + 0.1 * torch.randn(VIEWS, generator=generator)
    directions = rotvec_to_rotmat(angle[:, None] * axis) @ first
    views = [view_of(solid, hand, toward, distance, generator) for toward in directions]
    # The rule that carves is robust: sometimes one view alone takes nothing away.
    rank = VIEWS - int(torch.randint(2, (), generator=generator))

    def hull(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        outside, own = (torch.stack(found) for found in zip(*(view.bounds(points) for view in views), strict=True))
        return torch.maximum(outside.kthvalue(rank, dim=0).values, own.amin(dim=0))

    world = F.normalize(axis + TILT * torch.randn(3, generator=generator), dim=0)
    up = F.normalize(world - (directions @ world)[:, None] * directions, dim=1)
    return hull, ObjectView(directions.mean(dim=0), up.mean(dim=0))


def _first_inside(distances: Float[Tensor, "p p d"], depth: Float[Tensor, "p p d"]) -> Float[Tensor, "p p"]:
    """The depth at which a ray enters; `FAR` where it does not."""
    inside = distances < 0
    first = depth.gather(-1, inside.float().argmax(dim=-1, keepdim=True))[..., 0]
    return torch.where(inside.any(dim=-1), first, FAR)


def edge_distance(mask: Bool[Tensor, "p p"], cell: list[float]) -> Float[Tensor, "p p"]:
    """Signed distances to a mask's edge, m, negative inside; `cell` is a pixel's height and width.

    Example:
        >>> edge_distance(torch.tensor([[False, False, True, True]] * 4), cell=[0.01, 0.01])[1]
        tensor([ 0.0200,  0.0100, -0.0100, -0.0200])
    """
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


def degraded(
    solid: Solid, holders: Float[Tensor, "k 21 3"], resolution: int, generator: torch.Generator
) -> Batch | None:
    """An object as a clip leaves it and as it is, in the box of what is left; None where nothing is.

    `holders` are joints of hands that hold it, in its frame. `fields` (4, r, r, r): what is left, the object filled,
    its hollow, and the hand, over the box's scale; `half` (3) are half the box's sides in metres, `ways` (5, 3) the
    directions that the prior is told of and `mouth` (3) that to the mouth, in the box's axes.
    """
    if not (solid.filled < 0).any():
        return None
    wide = solid.half + AROUND
    hand = torch.ones(1, *(HAND_RESOLUTION,) * 3)
    joints = None
    if len(holders) and torch.rand((), generator=generator) < HELD:
        joints = holders[int(torch.randint(len(holders), (), generator=generator))]
        hand = hand_distance(box_points(wide, HAND_RESOLUTION), joints).view_as(hand)
        # From here on the hand is where the estimate has it.
        joints = joints + HAND_ERROR * torch.randn(3, generator=generator)
        joints = joints + JOINT_ERROR * torch.randn(21, 3, generator=generator)
    hull, filmed = hull_of(solid, hand, generator)
    filmed = filmed._replace(joints=joints)

    def left(points: Tensor) -> Tensor:
        """The hand is taken out, but for a skin."""
        return hull(points) if joints is None else torch.maximum(hull(points), -SKIN - hand_distance(points, joints))

    first = box_points(wide * 1.1, FIRST_RESOLUTION)
    inside = first[left(first) < 0]
    if len(inside) < FIRST_RESOLUTION:
        return None
    box = box_around(inside)
    points = box.points(resolution)
    held = torch.full((len(points),), FAR) if joints is None else hand_distance(points, joints)
    rest = (at(field, solid.half, points) for field in (solid.filled, solid.hollow))
    cube = (resolution,) * 3
    # Carving smooths what it leaves.
    smooth = F.avg_pool3d(left(points).view(1, *cube), 3, stride=1, padding=1, count_include_pad=False)[0]
    if not (smooth < 0).any():
        return None
    values = torch.stack([tidied(smooth, box), *(each.view(cube) for each in (*rest, held))])
    cubes = (values / box.scale).clamp(-TRUNCATION, TRUNCATION)
    return {"fields": cubes, "half": box.half, "ways": ways_of(filmed, box), "mouth": solid.mouth @ box.axes}


def _between(ends: tuple[float, float], generator: torch.Generator) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(torch.rand((), generator=generator))
