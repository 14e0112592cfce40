"""A small z-buffer renderer in numpy: pictures of meshes on any machine, without a GPU, a display or OpenGL.

Each triangle is cut into the pixel rows it covers and each row into pixels, all at once with `np.repeat`; the nearest
surface of a pixel is found with `np.maximum.at` on inverse depth, and only those are shaded. Shading is smooth
across soft edges, darkened where depth is concave (Luft et al., "Image Enhancement by Unsharp Masking the Depth
Buffer", SIGGRAPH 2006), which is what makes contact between a hand and an object visible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import gaussian_filter

from hoprior.common.arrays import ArrayLike

SKIN = (0.87, 0.66, 0.55)
OBJECT_GREY = (0.66, 0.70, 0.75)
BACKGROUND = (0.965, 0.968, 0.975)

# Directions from the surface to the lights in camera axes (x right, y up, z to the viewer) and their strengths:
# a soft key light from above left, a weak fill from the right, so that no visible side is black.
LIGHTS = (((-0.45, 0.70, 0.75), 0.62), ((0.80, 0.10, 0.45), 0.20))
AMBIENT = 0.30
CREASE_COSINE = 0.75

SceneMesh = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Vertices (V,3), faces (F,3), and one colour (3,) or one for each vertex (V,3), in 0..1."""


@dataclass(frozen=True)
class Camera:
    """A perspective camera that looks at `target` from `target - distance * forward`; any unit of length."""

    target: Float[np.ndarray, " 3"]
    right: Float[np.ndarray, " 3"]
    up: Float[np.ndarray, " 3"]
    forward: Float[np.ndarray, " 3"]
    distance: float
    focal: float
    """In units of half the shorter image side."""

    def to_view(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points in camera axes: x right, y up, z depth along the view (positive in front)."""
        centred = points - self.target
        return centred @ np.stack([self.right, self.up, self.forward], axis=1) + [0.0, 0.0, self.distance]


def look_along(
    points: Float[np.ndarray, "n 3"],
    view_direction: ArrayLike,
    up: ArrayLike = (0.0, 0.0, 1.0),
    aspect: float = 1.0,
    field_of_view: float = 25.0,
) -> Camera:
    """The camera that looks along `view_direction` and just has all `points` in its picture.

    `aspect` is width over height; `field_of_view` is that of the shorter side, in degrees.

    Example:
        >>> camera = look_along(np.array([[-0.1, 0.0, 0.0], [0.1, 0.0, 0.0]]), view_direction=(0.0, 1.0, 0.0))
        >>> camera.target, camera.up
        (array([0., 0., 0.]), array([0., 0., 1.]))
    """
    forward = np.asarray(view_direction, dtype=float)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.asarray(up, dtype=float))
    if np.linalg.norm(right) < 1e-3 * np.linalg.norm(up):  # looking along `up`: any other axis will do
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right = right / np.linalg.norm(right)
    upward = np.cross(right, forward)
    axes = np.stack([right, upward, forward], axis=1)
    view = points @ axes
    middle = (view.min(axis=0) + view.max(axis=0)) / 2
    x, y, depth = (view - middle).T
    focal = 1.0 / np.tan(np.radians(field_of_view) / 2)
    # A point (x, y, z) is inside the picture when |x| focal <= limit_x * (distance + z), the same for y.
    limit_x, limit_y = max(aspect, 1.0), max(1.0 / aspect, 1.0)
    needed = np.maximum(np.abs(x) * focal / limit_x, np.abs(y) * focal / limit_y) - depth
    distance = max(float(needed.max()), float(-depth.min())) * 1.06 + 1e-9
    return Camera(axes @ middle, right, upward, forward, distance, focal)


def corner_normals(verts: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "f 3 3"]:
    """Unit normals at the three corners of each face: smooth on curved surfaces, flat at sharp edges.

    Vertices at the same place are seen as one, so seams of a texture do not show.

    Example:
        >>> verts = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> corner_normals(verts, np.array([[0, 1, 2]]))[0, 0]
        array([0., 0., 1.])
    """
    a, b, c = (verts[faces[:, k]] for k in range(3))
    area_normal = np.cross(b - a, c - a)
    face_normal = _unit(area_normal)
    scale = max(float(np.abs(verts).max()), 1e-12)
    _, place = np.unique(np.round(verts / scale, 6), axis=0, return_inverse=True)
    corner_place = place.reshape(-1)[faces]
    total = np.zeros((int(place.max()) + 1, 3))
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(corner_place[:, k], area_normal[:, axis], minlength=len(total))
    smooth = _unit(total)[corner_place]
    is_soft = _dot(smooth, face_normal[:, None]) > CREASE_COSINE
    return np.where(is_soft[..., None], smooth, face_normal[:, None])


def render_scene(
    meshes: Sequence[SceneMesh],
    size: tuple[int, int] = (400, 400),
    view_direction: ArrayLike = (-0.6, 0.7, -0.4),
    up: ArrayLike = (0.0, 0.0, 1.0),
    *,
    camera: Camera | None = None,
    background: ArrayLike = BACKGROUND,
    supersample: int = 2,
) -> UInt8[np.ndarray, "h w 3"]:
    """A shaded picture of meshes that share one frame and unit.

    Args:
        meshes: for each mesh its vertices (V,3), faces (F,3) and colour (3,) or (V,3) in 0..1.
        size: width and height of the picture, in pixels.
        view_direction: the direction that the camera looks along, from the viewer into the scene.
        up: the direction of the scene that points up in the picture.
        camera: overrides `view_direction` and `up`, for several pictures at the same scale.
        supersample: each pixel is the mean of this many squared.

    Example:
        >>> import trimesh
        >>> box = trimesh.creation.box()
        >>> picture = render_scene([(box.vertices, box.faces, (0.2, 0.4, 0.9))], size=(32, 24))
        >>> picture.shape, picture.dtype
        ((24, 32, 3), dtype('uint8'))
    """
    width, height = (supersample * s for s in size)
    parts = [_Part.of(*mesh) for mesh in meshes]
    verts = np.concatenate([part.verts for part in parts])
    if camera is None:
        camera = look_along(verts, view_direction, up, width / height)
    offsets = np.cumsum([0] + [len(part.verts) for part in parts[:-1]])
    faces = np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)])
    colours = np.concatenate([part.colours for part in parts])
    normals = np.concatenate([part.normals for part in parts])
    view = camera.to_view(verts)
    face_of_pixel = nearest_face(view, faces, camera.focal, width, height)
    image = _shade(view, faces, normals, colours, face_of_pixel, camera, np.asarray(background, dtype=float))
    shifted = [image[i::supersample, k::supersample] for i in range(supersample) for k in range(supersample)]
    image = np.mean(shifted, axis=0)
    return (255 * np.clip(image, 0, 1) + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class _Part:
    verts: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    colours: Float[np.ndarray, "v 3"]
    normals: Float[np.ndarray, "f 3 3"]

    @classmethod
    def of(cls, verts: ArrayLike, faces: ArrayLike, colour: ArrayLike) -> "_Part":
        verts = np.asarray(verts, dtype=float)
        faces = np.asarray(faces, dtype=np.int64)
        colours = np.broadcast_to(np.asarray(colour, dtype=float)[..., :3], verts.shape)
        return cls(verts, faces, colours, corner_normals(verts, faces))


def _unit(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-20)[..., None]


def _dot(a: Float[np.ndarray, "*n 3"], b: Float[np.ndarray, "*m 3"]) -> Float[np.ndarray, "*k"]:
    """Inner products; numpy's own sums over so short an axis take several times as long."""
    return np.asarray(np.einsum("...k,...k->...", a, b))


def nearest_face(
    view: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], focal: float, width: int, height: int
) -> Int[np.ndarray, "height width"]:
    """The index of the face that is seen in each pixel; -1 where there is none.

    Example:
        >>> corners = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> seen = nearest_face(corners, np.array([[0, 1, 2]]), focal=8.0, width=16, height=16)
        >>> np.unique(seen).tolist()
        [0]
    """
    half = min(width, height) / 2
    depth = view[:, 2]
    # Pixel coordinates whose integers are pixel centres; y grows downwards.
    screen = np.stack(
        [width / 2 - 0.5 + half * focal * view[:, 0] / depth, height / 2 - 0.5 - half * focal * view[:, 1] / depth], 1
    )
    corners = screen[faces]
    inverse_depth = (1.0 / depth)[faces]
    (x0, x1, x2), (y0, y1, y2) = corners[..., 0].T, corners[..., 1].T
    twice_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    in_front = (depth[faces] > 0).all(axis=1)
    faces_kept = np.flatnonzero(in_front & (np.abs(twice_area) > 1e-9))
    x, y = corners[faces_kept, :, 0], corners[faces_kept, :, 1]
    area = twice_area[faces_kept]
    # Barycentric weight of corner k at a pixel: along_x[k] * px + along_y[k] * py + constant[k].
    x_next, x_last = np.roll(x, -1, axis=1), np.roll(x, -2, axis=1)
    y_next, y_last = np.roll(y, -1, axis=1), np.roll(y, -2, axis=1)
    along_x = (y_next - y_last) / area[:, None]
    along_y = (x_last - x_next) / area[:, None]
    constant = (x_next * y_last - x_last * y_next) / area[:, None]
    # Inverse depth is linear on the screen, so it follows from the same weights.
    w = inverse_depth[faces_kept]
    w_x, w_y, w_0 = ((weights * w).sum(axis=1) for weights in (along_x, along_y, constant))

    first_row = np.ceil(np.clip(y.min(axis=1), 0, height)).astype(int)
    last_row = np.floor(np.clip(y.max(axis=1), -1, height - 1)).astype(int)
    triangle, row = _ranges(first_row, last_row)
    # In one row each of the three weights >= 0 bounds the pixels from the left or from the right.
    slope, value = along_x[triangle], along_y[triangle] * row[:, None] + constant[triangle]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -value / slope
    left = np.where(slope > 0, bound, -np.inf).max(axis=1)
    right = np.where(slope < 0, bound, np.inf).min(axis=1)
    empty = ((slope == 0) & (value < 0)).any(axis=1)
    first_column = np.ceil(np.clip(left - 1e-9, 0, width)).astype(int)
    last_column = np.where(empty, -1, np.floor(np.clip(right + 1e-9, -1, width - 1)).astype(int))
    span, column = _ranges(first_column, last_column)

    triangle, row = triangle[span], row[span]
    fragment_w = w_x[triangle] * column + w_y[triangle] * row + w_0[triangle]
    pixel = row * width + column
    nearest = np.zeros(width * height)
    np.maximum.at(nearest, pixel, fragment_w)
    is_seen = fragment_w >= nearest[pixel]
    face_of_pixel = np.full(width * height, -1)
    face_of_pixel[pixel[is_seen]] = faces_kept[triangle[is_seen]]
    return face_of_pixel.reshape(height, width)


def _ranges(first: Int[np.ndarray, " n"], last: Int[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """All integers of n closed ranges one after another, with the index of the range that each comes from."""
    count = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(count)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return index, np.arange(len(index)) - start + first[index]


def _shade(
    view: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    normals: Float[np.ndarray, "f 3 3"],
    colours: Float[np.ndarray, "v 3"],
    face_of_pixel: Int[np.ndarray, "height width"],
    camera: Camera,
    background: Float[np.ndarray, "*image 3"],
) -> Float[np.ndarray, "height width 3"]:
    height, width = face_of_pixel.shape
    half = min(width, height) / 2
    row, column = np.nonzero(face_of_pixel >= 0)
    face = face_of_pixel[row, column]
    ray = np.stack(
        [(column + 0.5 - width / 2) / (half * camera.focal), (height / 2 - row - 0.5) / (half * camera.focal)], 1
    )
    ray = np.concatenate([ray, np.ones((len(ray), 1))], axis=1)
    # The ray meets the face's plane; its weights at the corners are ratios of areas.
    a, b, c = (view[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    size = _dot(normal, normal)[face]
    depth = _dot(a, normal)[face] / _dot(ray, normal[face])
    point = ray * depth[:, None]
    edge_b = np.cross(c - a, normal)[face]
    edge_c = np.cross(normal, b - a)[face]
    from_a = point - a[face]
    weight_b = _dot(from_a, edge_b) / size
    weight_c = _dot(from_a, edge_c) / size
    weights = np.clip(np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1), 0, 1)

    axes = np.stack([camera.right, camera.up, -camera.forward], axis=1)
    pixel_normal = _unit(np.einsum("nk,nkc->nc", weights, normals[face])) @ axes
    to_viewer = _unit(ray * [-1.0, -1.0, 1.0])
    # Scans have holes and inside-out faces: both sides are lit.
    pixel_normal *= np.where(_dot(pixel_normal, to_viewer) < 0, -1.0, 1.0)[:, None]
    light = AMBIENT + 0.12 * pixel_normal[:, 1]
    shine = np.zeros(len(face))
    for direction, strength in LIGHTS:
        to_light = _unit(np.asarray(direction))
        light = light + strength * np.clip(pixel_normal @ to_light, 0, 1)
        shine += strength * np.clip(_dot(pixel_normal, _unit(to_light + to_viewer)), 0, 1) ** 40
    base = np.einsum("nk,nkc->nc", weights, colours[faces[face]])
    lit = base * (light * _crevices(depth, row, column, (height, width)))[:, None] + 0.10 * shine[:, None]
    image = np.broadcast_to(background, (height, width, 3)).copy()
    image[row, column] = lit
    return image


def _crevices(
    depth: Float[np.ndarray, " n"], row: np.ndarray, column: np.ndarray, shape: tuple[int, int]
) -> Float[np.ndarray, " n"]:
    """Factors at most 1, darker where a surface lies behind what is around it in the picture."""
    if not len(depth):
        return depth
    span = np.ptp(depth) + 1e-12
    covered = np.zeros(shape, dtype=np.float32)
    nearness = np.zeros(shape, dtype=np.float32)
    covered[row, column] = 1
    nearness[row, column] = (depth.max() - depth) / span
    factor = np.ones(len(depth))
    for blur, strength in ((0.006, 1.6), (0.025, 0.9)):
        sigma = blur * max(shape)
        around = gaussian_filter(nearness, sigma, truncate=2.5) / np.maximum(
            gaussian_filter(covered, sigma, truncate=2.5), 1e-3
        )
        behind = np.clip(around[row, column] - nearness[row, column], 0, 0.25)
        factor = factor * (1 - strength * behind)
    return factor
