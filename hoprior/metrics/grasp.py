"""How good a grasp is: penetration, intersection, contact. GraspTTA's protocol (Jiang et al., ICCV 2021), and G-HOP's.

Inputs are metres in the object's frame; results carry their unit in their name. docs/metrics.md has the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import igl
import numpy as np
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import ObjectMesh, prepare_mesh
from hoprior.geometry.repair import place_of
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.watertight import watertight_mesh
from hoprior.physics.contact_map import CONTACT_DISTANCE
from hoprior.physics.simulation.bullet import GRAVITY_DIRECTION, displacements_cm
from hoprior.physics.simulation.convex import convex_parts
from hoprior.physics.simulation.survival import survival_share

VOXEL_PITCH = 0.005
"""Edge (m) of the voxels that intersections are counted in."""
CM_PER_M = 100.0


@dataclass(frozen=True)
class GraspMetrics:
    """What one grasp measures; None is what was not asked for or could not be computed.

    Attributes:
        max_depth_cm: distance to the object's surface of the hand's deepest vertex; 0 where none is inside.
        mean_depth_cm: the same, mean over the vertices that are inside; 0 where none is.
        volume_cm3: of the intersection, in 5 mm voxels of the object.
        exact_volume_cm3: the same by a boolean; None where hand or object is not a closed manifold.
        contact: whether any vertex of the hand is within 5 mm of the object or inside.
        contact_area: share of the hand's vertices that are.
        displacement_cm: of the object's centre in 35 steps of simulation.
        survival: share of six directions of gravity in which the grasp holds.

    Example:
        >>> measured = GraspMetrics(0.4, 0.2, 1.5, None, contact=True, contact_area=0.1)
        >>> measured.as_dict()["max_depth_cm"], measured.as_dict()["contact"], measured.survival
        (0.4, 1.0, None)
    """

    max_depth_cm: float
    mean_depth_cm: float
    volume_cm3: float
    exact_volume_cm3: float | None
    contact: bool
    contact_area: float
    displacement_cm: float | None = None
    survival: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Field name -> number."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: None if value is None else float(value) for name, value in values.items()}


def grasp_metrics(
    verts_object: Float[Tensor | np.ndarray, "b V 3"],
    faces: Int[Tensor | np.ndarray, "F 3"],
    mesh: trimesh.Trimesh | ObjectMesh,
    *,
    simulate: bool = True,
    survival: bool = False,
    decomposition: str = "coacd",
    gravity_direction: Sequence[float] = GRAVITY_DIRECTION,
    workers: int = 1,
) -> list[GraspMetrics]:
    """The metrics of b grasps of one object.

    Args:
        verts_object: vertices of the hands, metres, in the object's frame.
        faces: of the hands, all of one topology, wound outwards.
        mesh: the object, metres; an `ObjectMesh` saves mending it again.
        simulate: run pybullet for the displacement.
        survival: run MuJoCo for the six directions of gravity.
        decomposition: of the object into convex parts: `coacd` or `vhacd` (of pybullet).
        gravity_direction: of the displacement's gravity, in the object's frame.
        workers: processes for the displacements.

    Raises:
        HopriorError: the object is no solid that a hand could hold, the hands' arrays do not fit together, or a
            simulation was asked for whose package is not installed.

    Example:
        >>> hand = trimesh.creation.box((0.02, 0.02, 0.02))  # 2 cm wide, its middle on a face of a box of 4 cm
        >>> verts = np.asarray(hand.vertices)[None] + [0.02, 0.0, 0.0]
        >>> found = grasp_metrics(verts, hand.faces, trimesh.creation.box((0.04, 0.04, 0.04)), simulate=False)[0]
        >>> round(found.max_depth_cm, 3), found.contact_area, round(found.exact_volume_cm3, 3)
        (1.0, 0.5, 4.0)
    """
    verts, triangles = _arrays(verts_object, faces)
    solid = mesh if isinstance(mesh, ObjectMesh) else prepare_mesh(mesh)
    # Voxels, grids and simulators count in single precision, which far from the origin is too coarse.
    place = place_of(solid.mesh)
    solid, verts = solid.moved(-place), verts - place
    centres = inside_voxels(solid.solid)
    closed = watertight_mesh(solid, resolution=64)
    distances = signed_distance(solid, verts.reshape(-1, 3)).reshape(verts.shape[:2])
    parts = convex_parts(closed, decomposition) if (simulate or survival) and len(verts) else None
    moved = displacements_cm(verts, triangles, parts, gravity_direction, workers) if simulate and parts else None
    results = []
    for k, (hand, distance) in enumerate(zip(verts, distances, strict=True)):
        depth = penetration_depths(distance)
        touching = distance < CONTACT_DISTANCE
        results.append(
            GraspMetrics(
                max_depth_cm=CM_PER_M * float(depth.max(initial=0.0)),
                mean_depth_cm=CM_PER_M * float(depth.mean()) if len(depth) else 0.0,
                volume_cm3=voxel_intersection_cm3(hand, triangles, centres),
                exact_volume_cm3=exact_intersection_cm3(hand, triangles, closed),
                contact=bool(touching.any()),
                contact_area=float(touching.mean()),
                displacement_cm=None if moved is None else float(moved[k]),
                survival=survival_share(hand, triangles, parts) if survival and parts else None,
            )
        )
    return results


def penetration_depths(distances: Float[np.ndarray, " V"]) -> Float[np.ndarray, " k"]:
    """Depths of the vertices that are inside, from signed distances that are negative inside; any unit.

    Example:
        >>> penetration_depths(np.array([0.01, -0.002, 0.0, -0.004]))
        array([0.002, 0.004])
    """
    return -distances[distances < 0]


def inside_voxels(solid: trimesh.Trimesh, pitch: float = VOXEL_PITCH) -> Float[np.ndarray, "n 3"]:
    """Centres of the voxels whose centre is inside an object, on a lattice that is centred in its bounding box.

    Inside is where the winding number is above one half, so that scans with holes have an inside too.

    Example:
        >>> centres = inside_voxels(trimesh.creation.box((0.02, 0.02, 0.02)), pitch=0.01)
        >>> centres.shape, np.unique(centres)
        ((8, 3), array([-0.005,  0.005]))
    """
    count = np.maximum(np.ceil(solid.extents / pitch - 1e-6).astype(int), 1)
    middle = solid.bounds.mean(axis=0)
    axes = [middle[k] + pitch * (np.arange(count[k]) - (count[k] - 1) / 2) for k in range(3)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return lattice[inside(np.asarray(solid.vertices), np.asarray(solid.faces), lattice)]


def inside(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], points: Float[np.ndarray, "n 3"]
) -> np.ndarray:
    """Which points (n,) a surface winds around (Barill et al. 2018).

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> inside(box.vertices, box.faces, np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]]))
        array([ True, False])
    """
    if not len(points):
        return np.zeros(0, dtype=bool)
    verts, points = (np.ascontiguousarray(a, dtype=np.float64) for a in (verts, points))
    return np.abs(igl.fast_winding_number(verts, np.ascontiguousarray(faces, dtype=np.int64), points)) > 0.5


def voxel_intersection_cm3(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    centres: Float[np.ndarray, "n 3"],
    pitch: float = VOXEL_PITCH,
) -> float:
    """Volume of the object's voxels, given by `inside_voxels`, whose centres are inside the hand.

    Example:
        >>> box = trimesh.creation.box((0.02, 0.02, 0.02))
        >>> centres = inside_voxels(trimesh.creation.box((0.1, 0.1, 0.1)))
        >>> round(voxel_intersection_cm3(box.vertices, box.faces, centres), 3)  # all of its 2 x 2 x 2 cm
        8.0
    """
    near = ((centres >= verts.min(axis=0)) & (centres <= verts.max(axis=0))).all(axis=1)
    return float(inside(verts, faces, centres[near]).sum() * (CM_PER_M * pitch) ** 3)


def exact_intersection_cm3(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], solid: trimesh.Trimesh
) -> float | None:
    """Volume of the intersection by a boolean, or None where one of the two is not a closed manifold.

    Example:
        >>> box = trimesh.creation.box((0.02, 0.02, 0.02))
        >>> round(exact_intersection_cm3(box.vertices + [0.01, 0.0, 0.0], box.faces, box), 3)  # half of its 8 cm³
        4.0
        >>> exact_intersection_cm3(box.vertices, box.faces[1:], box) is None  # a hole
        True
    """
    from manifold3d import Error, Manifold, Mesh

    closed = []
    for points, triangles in ((verts, faces), (solid.vertices, solid.faces)):
        body = Manifold(Mesh(np.asarray(points, dtype=np.float32), np.asarray(triangles, dtype=np.uint32)))
        if body.status() != Error.NoError:
            return None
        closed.append(body)
    return float((closed[0] ^ closed[1]).volume() * CM_PER_M**3)


def _arrays(verts: Tensor | np.ndarray, faces: Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of double and int64, checked."""
    points, triangles = as_array(verts), as_array(faces)
    if points.ndim != 3 or points.shape[2] != 3:
        raise HopriorError(f"hands' vertices have shape {points.shape}: give (grasps, vertices, 3)")
    if len(triangles) and triangles.max() >= points.shape[1]:
        raise HopriorError(f"faces name vertex {triangles.max()}, but the hands have {points.shape[1]} vertices")
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=(1, 2)).argmax())
        raise HopriorError(f"hand {bad} has vertices that are NaN or infinite: leave that grasp out")
    return np.ascontiguousarray(points, dtype=np.float64), np.ascontiguousarray(triangles, dtype=np.int64)
