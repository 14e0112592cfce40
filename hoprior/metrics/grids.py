"""What objects on grids measure: insides at sub-cell accuracy, surfaces, parts, and the share that a hand takes.

Grids hold signed distances in metres, negative inside, at the points of a `GridSpec`; between them they are trilinear,
which is what marching cubes assumes too.
"""

import igl
import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float, Int
from scipy.ndimage import generate_binary_structure, label
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import marching_cubes
from hoprior.geometry.lookup import trilinear
from hoprior.metrics.grasp import CM_PER_M, VOXEL_PITCH, inside

REFINEMENT = 3
"""Points for each cell and axis at which insides are counted."""
CLOUD_SEED = 0
TOUCHING = generate_binary_structure(3, 3)
"""Parts are connected by faces, edges and corners of the refined cells."""


def refined(sdf: Float[Tensor, "D H W"], factor: int = REFINEMENT) -> Float[Tensor, "D2 H2 W2"]:
    """The trilinear values between a grid's points.

    Example:
        >>> refined(torch.arange(8.0).reshape(2, 2, 2), factor=2)[0, 0]
        tensor([0.0000, 0.5000, 1.0000])
    """
    size = [(n - 1) * factor + 1 for n in sdf.shape]
    return F.interpolate(sdf[None, None], size=size, mode="trilinear", align_corners=True)[0, 0]


def inside_volumes(sdf: Float[Tensor, "n 1 D H W"], spec: GridSpec) -> Float[Tensor, " n"]:
    """Volume (m³) of what is inside, within the grid: the points of `refined` that are, times the volume of one.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=16)
        >>> ball = (spec.points().norm(dim=-1) - 0.05).reshape(1, 1, *spec.shape)
        >>> round(1e6 * float(inside_volumes(ball, spec)[0])), round(4 / 3 * np.pi * 5**3)  # cm³: counted, and true
        (508, 524)
    """
    voxel = (spec.cell / REFINEMENT) ** 3
    return torch.stack([(refined(grid[0]) < 0).sum() * voxel for grid in sdf]).cpu()


def subcell_iou(predicted: Float[Tensor, "n 1 D H W"], target: Float[Tensor, "n 1 D H W"]) -> Float[Tensor, " n"]:
    """Intersection over union of the insides, between the grid's points too; NaN where both are empty.

    `|A and B| / |A or B|`, counted at the points of `refined`.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=16)
        >>> half = spec.points()[:, 0].reshape(1, 1, *spec.shape)  # all that is below x = 0
        >>> round(float(subcell_iou(half, torch.full_like(half, -1.0))[0]), 2), subcell_iou(half, half)
        (0.5, tensor([1.]))
    """
    shares = []
    for one, other in zip(predicted, target, strict=True):
        a, b = refined(one[0]) < 0, refined(other[0]) < 0
        shares.append((a & b).sum() / (a | b).sum())
    return torch.stack(shares).cpu()


def surface(sdf: Float[Tensor, "1 D H W"], spec: GridSpec) -> trimesh.Trimesh | None:
    """The surface of an object in its grid by marching cubes, metres; None where there is none.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=16)
        >>> ball = (spec.points().norm(dim=-1) - 0.05).reshape(1, *spec.shape)
        >>> surface(ball, spec).extents.round(2), surface(ball + 1.0, spec) is None
        (array([0.1, 0.1, 0.1]), True)
    """
    sdf = sdf.detach()
    if not float(sdf.min()) < 0 < float(sdf.max()):
        return None
    mesh = marching_cubes(sdf[0], spec)
    return mesh if mesh.area > 0 else None


def surface_distance(first: trimesh.Trimesh, second: trimesh.Trimesh, num: int = 4096) -> float:
    """Chamfer distance of two surfaces, metres: the mean of both mean distances from points of one to the other.

    `(mean_{x on X} d(x, Y) + mean_{y on Y} d(y, X)) / 2`. Distances are to the surface, not to points on it: a surface
    is at zero from itself.

    Example:
        >>> small, large = trimesh.creation.icosphere(radius=0.04), trimesh.creation.icosphere(radius=0.05)
        >>> round(surface_distance(small, large, num=100), 3), round(surface_distance(small, small, num=100), 6)
        (0.01, 0.0)
    """
    return 0.5 * sum(_mean_distance(a, b, num) for a, b in ((first, second), (second, first)))


def _mean_distance(source: trimesh.Trimesh, target: trimesh.Trimesh, num: int) -> float:
    points, _ = trimesh.sample.sample_surface(source, num, seed=CLOUD_SEED)
    square, *_ = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points, dtype=np.float64),
        np.ascontiguousarray(target.vertices, dtype=np.float64),
        np.ascontiguousarray(target.faces, dtype=np.int64),
    )
    return float(np.sqrt(np.maximum(square, 0)).mean())


def surface_clouds(sdf: Float[Tensor, "n 1 D H W"], spec: GridSpec, num: int) -> Float[Tensor, "n num 3"]:
    """Points drawn evenly from each object's surface, metres, in the frame of `spec`; NaN where there is no surface.

    The same grid always gives the same points.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=16)
        >>> ball = (spec.points().norm(dim=-1) - 0.05).reshape(1, 1, *spec.shape)
        >>> cloud = surface_clouds(ball, spec, num=64)
        >>> cloud.shape, round(float(cloud.norm(dim=-1).mean()), 2)
        (torch.Size([1, 64, 3]), 0.05)
    """
    clouds = torch.full((len(sdf), num, 3), torch.nan)
    for cloud, grid in zip(clouds, sdf, strict=True):
        if (mesh := surface(grid, spec)) is not None:
            points, _ = trimesh.sample.sample_surface(mesh, num, seed=CLOUD_SEED)
            cloud.copy_(torch.from_numpy(np.asarray(points)))
    return clouds


def largest_part_shares(sdf: Float[Tensor, "n 1 D H W"]) -> Float[Tensor, " n"]:
    """Share of what is inside that hangs together with the largest part; NaN where nothing is inside.

    `max_k |part k| / sum_k |part k|`.

    Example:
        >>> sdf = torch.full((1, 1, 3, 3, 9), 1.0)
        >>> sdf[..., :2] = sdf[..., 7:8] = -1.0  # a slab, and a thinner one apart from it
        >>> largest_part_shares(sdf).round(decimals=2)
        tensor([0.6200])
    """
    shares = []
    for grid in sdf:
        parts, count = label((refined(grid[0]) < 0).cpu().numpy(), structure=TOUCHING)
        sizes = np.bincount(parts.reshape(-1), minlength=count + 1)[1:]
        shares.append(float(sizes.max() / sizes.sum()) if count else float("nan"))
    return torch.tensor(shares)


def intersection_volumes(
    verts_hand: Float[Tensor, "n V 3"],
    faces: Int[Tensor, "F 3"],
    sdf: Float[Tensor, "n 1 D H W"],
    spec: GridSpec,
    pitch: float = VOXEL_PITCH,
) -> Float[Tensor, " n"]:
    """Volume (cm³) of the voxels whose centres are in the hand and in the object, within the grid.

    As `voxel_intersection_cm3`, but voxels are the hand's: an object on a grid has no mesh that is closed.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=8)
        >>> below = spec.points()[:, 0].reshape(1, 1, *spec.shape)  # all that is below x = 0
        >>> hand = trimesh.creation.box((0.04, 0.04, 0.04))
        >>> verts, faces = (torch.from_numpy(np.array(a)) for a in (hand.vertices, hand.faces))
        >>> round(float(intersection_volumes(verts[None].float(), faces, below, spec)[0]), 2)  # half of its 64 cm³
        32.0
    """
    triangles = as_array(faces, np.int64)
    center = torch.tensor(spec.center)
    volumes = []
    for verts, grid in zip(verts_hand.detach().cpu(), sdf.detach().cpu(), strict=True):
        lower = torch.maximum(verts.min(dim=0).values, center - spec.half_extent).tolist()
        upper = torch.minimum(verts.max(dim=0).values, center + spec.half_extent).tolist()
        # Empty along an axis on which the hand is beyond the grid.
        axes = [np.arange(low + pitch / 2, high, pitch) for low, high in zip(lower, upper, strict=True)]
        points = torch.from_numpy(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)).float()
        if not len(points):
            volumes.append(0.0)
            continue
        held = trilinear(grid[None], ((points - center) / spec.half_extent)[None])[0, 0] < 0
        both = inside(verts.numpy(), triangles, points[held].numpy()).sum()
        volumes.append(float(both) * (CM_PER_M * pitch) ** 3)
    return torch.tensor(volumes)
