"""Pictures of meshes through a camera with given intrinsics: shaded, or the face that each pixel sees.

Cameras look along +z, with +x to the right and +y down; intrinsics are fx, fy, cx, cy in pixels, and a pixel's centre
is at half integers.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from hoprior.common.arrays import ArrayLike
from hoprior.geometry.camera import project_pinhole
from hoprior.rendering.rasterizer import BACKGROUND, Camera, SceneMesh, nearest_face, render_scene


def render_through(
    meshes: Sequence[SceneMesh],
    intrinsics: Float[np.ndarray, " 4"],
    size: tuple[int, int],
    background: ArrayLike = BACKGROUND,
    supersample: int = 2,
) -> UInt8[np.ndarray, "h w 3"]:
    """A shaded picture, width by height, of meshes in the camera's frame.

    Example:
        >>> corners = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> red = (corners, np.array([[0, 1, 2]]), (1.0, 0.0, 0.0))
        >>> picture = render_through([red], np.array([8.0, 8.0, 8.0, 8.0]), (16, 16))
        >>> picture.shape, bool(picture[6, 8, 0] > picture[6, 8, 1])
        ((16, 16, 3), True)
    """
    camera = _centred_camera(intrinsics, size)
    placed = [(_centred(verts, intrinsics, size), faces, colour) for verts, faces, colour in meshes]
    return render_scene(placed, size, camera=camera, background=background, supersample=supersample)


def visible_faces(
    verts: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    intrinsics: Float[np.ndarray, " 4"],
    size: tuple[int, int],
) -> Int[np.ndarray, "h w"]:
    """The index of the face that each pixel sees, -1 for none; vertices in the camera's frame.

    Example:
        >>> corners = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> seen = visible_faces(corners, np.array([[0, 1, 2]]), np.array([8.0, 8.0, 8.0, 8.0]), (16, 16))
        >>> seen[6:8, 8].tolist(), seen[15, :2].tolist()
        ([0, 0], [-1, -1])
    """
    camera = _centred_camera(intrinsics, size)
    return nearest_face(camera.to_view(_centred(verts, intrinsics, size)), faces, camera.focal, *size)


def visible_points(
    points: Float[np.ndarray, "p 3"],
    verts: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    intrinsics: Float[np.ndarray, " 4"],
    size: tuple[int, int],
    tolerance: float = 0.003,
) -> Bool[np.ndarray, " p"]:
    """Which points of surfaces are seen: no face lies more than `tolerance` metres before them (camera's frame).

    Example:
        >>> corners = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> points = np.array([[0.0, 0.0, 0.9], [0.0, 0.0, 2.0]])  # before it, and behind
        >>> visible_points(points, corners, np.array([[0, 1, 2]]), np.array([8.0, 8.0, 8.0, 8.0]), (16, 16))
        array([ True, False])
    """
    face = visible_faces(verts, faces, intrinsics, size)
    u, v = project(points, intrinsics).T
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1]) & (points[:, 2] > 0)
    seen = np.zeros(len(points), dtype=bool)
    index = np.flatnonzero(inside)
    at = face[row[index], column[index]]
    index, at = index[at >= 0], at[at >= 0]
    a, b, c = (verts[faces[at, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    ray = points[index] / points[index, 2:]
    depth = (a * normal).sum(-1) / np.where(np.abs(along := (ray * normal).sum(-1)) < 1e-12, 1e-12, along)
    seen[index] = points[index, 2] <= depth + tolerance
    return seen


def project(points: Float[np.ndarray, "*n 3"], intrinsics: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "*n 2"]:
    """Pixels of points in the camera's frame.

    Example:
        >>> project(np.array([[0.1, 0.0, 0.5]]), np.array([600.0, 600.0, 320.0, 240.0]))
        array([[440., 240.]])
    """
    points_camera, camera = (torch.as_tensor(array, dtype=torch.float64) for array in (points, intrinsics))
    return project_pinhole(points_camera.reshape(-1, 3), camera).reshape(*points.shape[:-1], 2).numpy()


def _centred(points: ArrayLike, intrinsics: Float[np.ndarray, " 4"], size: tuple[int, int]) -> Float[np.ndarray, "n 3"]:
    """Points that a camera of one focal length, centred on the picture, sees in the same pixels at the same depths."""
    points = np.asarray(points, dtype=float)
    fx, fy, cx, cy = intrinsics
    shift = np.array([cx - size[0] / 2, cy - size[1] / 2]) / fx
    scaled = points[:, :2] * [1.0, fy / fx] + points[:, 2:] * shift
    return np.concatenate([scaled, points[:, 2:]], axis=1)


def _centred_camera(intrinsics: Float[np.ndarray, " 4"], size: tuple[int, int]) -> Camera:
    x, y, z = np.eye(3)
    return Camera(np.zeros(3), x, -y, z, 0.0, 2 * float(intrinsics[0]) / min(size))
