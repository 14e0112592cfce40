"""Engines for signed distances to a mesh, behind one call: which to use is a matter of measurement.

`engine(mesh, points (n, 3)) -> distances (n,)`, in the mesh's unit, negative inside. Every engine imports its package
when it is called, so only the chosen one needs to be installed. docs/sdf_engines.md compares them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.ndimage
import trimesh
from jaxtyping import Bool, Float

Engine = Callable[[trimesh.Trimesh, np.ndarray], np.ndarray]

MESH_TO_SDF_SAMPLES = 200_000
"""Surface samples for mesh-to-sdf, whose default of ten million takes 20 s a mesh."""

LONGEST_EDGE = 1 / 12
"""Edges longer than this share of a mesh's diagonal are cut for the winding number."""
MOST_SMALL_FACES = 200_000
"""Meshes that might have more faces then are left as they are: their slivers would be cut to crumbs."""


def igl_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """libigl: exact distances in a box tree, signs by the fast winding number (Barill et al. 2018).

    The two are put together here, because libigl's own signed distance is `(1 - 2 |winding|) * distance`: wrong by a
    little wherever the winding number is approximate, and by a factor of 3 where two parts of a mesh overlap.

    Example:
        >>> igl_distance(trimesh.creation.box((0.1, 0.1, 0.1)), np.array([[0.0, 0.0, 0.0], [0.08, 0.0, 0.0]])).round(3)
        array([-0.05,  0.03])
    """
    import igl

    verts, faces = _arrays(mesh)
    square, _, _ = igl.point_mesh_squared_distance(points, verts, faces)
    return np.where(_inside(verts, faces, points), -1.0, 1.0) * np.sqrt(square)


def igl_lattice_distance(
    mesh: trimesh.Trimesh, points: Float[np.ndarray, "n 3"], chosen: Bool[np.ndarray, "D H W"], cell: float
) -> Float[np.ndarray, " n"]:
    """`igl_distance` of the chosen points of a cubic lattice to a closed mesh, each region's sign found once.

    Two neighbours whose distances add up to more than a `cell` have no surface between them. So all points that are
    farther than half a cell from it and can be reached from each other are on one side, and the farthest tells which;
    the winding number, which costs most near a surface, is left to those that are closer.
    """
    import igl

    verts, faces = _arrays(mesh)
    distance = np.sqrt(igl.point_mesh_squared_distance(points, verts, faces)[0])
    clear = np.zeros(chosen.shape, dtype=bool)
    clear[chosen] = distance > cell / 2
    labels, regions = scipy.ndimage.label(clear)
    region = labels[chosen]
    order = np.argsort(distance)
    farthest = np.zeros(regions + 1, dtype=np.int64)
    farthest[region[order]] = order
    close = np.flatnonzero(region == 0)
    asked = np.concatenate([farthest[1:], close])
    answers = _inside(verts, faces, points[asked])
    inside = np.concatenate([[False], answers[:regions]])[region]
    inside[close] = answers[regions:]
    return np.where(inside, -1.0, 1.0) * distance


def _inside(verts: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    import igl

    return np.abs(igl.fast_winding_number(*small_faces(verts, faces), points)) > 0.5


def small_faces(verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with large faces cut in four until they are small beside it.

    The fast winding number takes faces together that are far off beside their size. Of a mug of a thousand faces most
    are near wherever one stands: cut, it takes a third of the time.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> verts, faces = small_faces(np.asarray(box.vertices), np.asarray(box.faces, dtype=np.int64))
        >>> len(faces) > len(box.faces), round(float(trimesh.Trimesh(verts, faces).area), 6)
        (True, 0.06)
    """
    longest = float(np.linalg.norm(np.ptp(verts, axis=0))) * LONGEST_EDGE
    edges = np.linalg.norm(verts[faces] - verts[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    # At most so many times each face is cut in four.
    halvings = np.ceil(np.log2(np.maximum(edges / longest, 1.0)))
    if not halvings.any() or (4.0**halvings).sum() > MOST_SMALL_FACES:
        return verts, faces
    verts, faces = trimesh.remesh.subdivide_to_size(verts, faces, longest, max_iter=int(halvings.max()) + 1)
    return np.ascontiguousarray(verts), np.ascontiguousarray(faces, dtype=np.int64)


def trimesh_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """trimesh: exact distances through an R-tree, signs by the nearest face's normal, or by rays at edges."""
    return -trimesh.proximity.signed_distance(mesh, points)


def embree_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """embreex: signs by counting a ray's hits with Intel Embree; rays give no distances, so they are libigl's."""
    import igl
    from trimesh.ray import ray_pyembree

    square, _, _ = igl.point_mesh_squared_distance(points, *_arrays(mesh))
    inside = ray_pyembree.RayMeshIntersector(mesh).contains_points(points)
    return np.where(inside, -1.0, 1.0) * np.sqrt(square)


def mesh_to_sdf_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """mesh-to-sdf by its "sample" method with normals; its scans are better but need a display or EGL.

    The samples are drawn here, because the package takes them from an unseeded generator.
    """
    from mesh_to_sdf.surface_point_cloud import SurfacePointCloud

    samples, face = trimesh.sample.sample_surface(mesh, MESH_TO_SDF_SAMPLES, seed=0)
    cloud = SurfacePointCloud(mesh, points=np.asarray(samples), normals=mesh.face_normals[face])
    return cloud.get_sdf_in_batches(points)


def pysdf_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """pysdf: distances over the faces near the nearest vertex, signs by rays with a majority vote."""
    from pysdf import SDF

    verts, faces = _arrays(mesh)
    return -SDF(verts.astype(np.float32), faces.astype(np.uint32))(points.astype(np.float32))


def open3d_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """Open3D: closest points by Embree, signs by the parity of a ray's hits."""
    import open3d

    verts, faces = _arrays(mesh)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(open3d.core.Tensor(verts.astype(np.float32)), open3d.core.Tensor(faces.astype(np.uint32)))
    # An odd number of rays lets the majority overrule one that slips through an edge.
    return scene.compute_signed_distance(open3d.core.Tensor(points.astype(np.float32)), nsamples=3).numpy()


def point_cloud_utils_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """point-cloud-utils: closest points by Embree, signs by the fast winding number."""
    import point_cloud_utils

    verts, faces = _arrays(mesh)
    distance, _, _ = point_cloud_utils.signed_distance_to_mesh(points, verts, faces.astype(np.int32))
    return distance


def warp_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """NVIDIA Warp: bounding volumes and winding numbers in compiled kernels, on the GPU where there is one."""
    import warp

    verts, faces = _arrays(mesh)
    tree = warp.Mesh(
        points=warp.array(verts, dtype=warp.vec3),
        indices=warp.array(faces.reshape(-1), dtype=warp.int32),
        support_winding_number=True,
    )
    distance = warp.zeros(len(points), dtype=warp.float32)
    reach = float(mesh.scale + np.linalg.norm(points - mesh.bounds.mean(axis=0), axis=1).max())
    inputs = [tree.id, warp.array(points, dtype=warp.vec3), reach, distance]
    warp.launch(_warp_kernel(), dim=len(points), inputs=inputs)
    return distance.numpy()


@cache
def _warp_kernel() -> Any:
    """The query for one point; compiled once a process (2 s), then cached on disk."""
    import warp

    warp.config.quiet = True
    warp.init()

    def query(mesh, points, reach, distance):
        i = warp.tid()
        found = warp.mesh_query_point_sign_winding_number(mesh, points[i], reach)
        closest = warp.mesh_eval_position(mesh, found.face, found.u, found.v)
        distance[i] = found.sign * warp.length(points[i] - closest)

    array = warp.array
    query.__annotations__ = {
        "mesh": warp.uint64,
        "points": array(dtype=warp.vec3),
        "reach": warp.float32,
        "distance": array(dtype=warp.float32),
    }
    return warp.kernel(query)


def _arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    verts = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    return verts, np.ascontiguousarray(mesh.faces, dtype=np.int64)


ENGINES: dict[str, Engine] = {
    "igl": igl_distance,
    "point_cloud_utils": point_cloud_utils_distance,
    "open3d": open3d_distance,
    "warp": warp_distance,
    "pysdf": pysdf_distance,
    "embree": embree_distance,
    "trimesh": trimesh_distance,
    "mesh_to_sdf": mesh_to_sdf_distance,
}
