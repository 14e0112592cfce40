"""A small z-buffer renderer: pictures of meshes on any machine, without a GPU, a display or OpenGL.

The nearest surface of each pixel is found and shaded (`rendering.pixels`, or `kernels.pictures`, which is the same
compiled). Shading is smooth across soft edges, darkened where depth is concave (Luft et al., "Image Enhancement by
Unsharp Masking the Depth Buffer", SIGGRAPH 2006), which is what makes contact between a hand and an object visible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

from hoprior.common.arrays import ArrayLike
from hoprior.kernels.arrays import Light
from hoprior.kernels.choice import why_none
from hoprior.rendering import pixels
from hoprior.rendering.pixels import dot, unit

SKIN = (0.87, 0.66, 0.55)
OBJECT_GREY = (0.66, 0.70, 0.75)
BACKGROUND = (0.965, 0.968, 0.975)

KEY_LIGHT, FILL_LIGHT = np.array([-0.45, 0.70, 0.75]), np.array([0.80, 0.10, 0.45])
LIGHT = Light(
    lamps=np.array([[*unit(KEY_LIGHT), 0.62], [*unit(FILL_LIGHT), 0.20]]),
    ambient=0.30,
    from_above=0.12,
    shine=0.10,
    sharpness=40,
)
"""A soft key light from above left, a weak fill from the right, so that no visible side is black."""
FARTHEST = 1e9
"""Pixels from the picture beyond which a corner is taken to have no place in it."""
CREASE_COSINE = 0.75
CREVICES = ((0.006, 1.6), (0.025, 0.9))
"""How far around, in shares of the longer side, and how much what lies behind is darker."""

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
    face_normal = unit(area_normal)
    scale = max(float(np.abs(verts).max()), 1e-12)
    # Three coordinates of 21 bits each are one number.
    x, y, z = np.round((verts / scale + 1) * 1e6).astype(np.int64).T
    _, place = np.unique((x << 42) + (y << 21) + z, return_inverse=True)
    corner_place = place.reshape(-1)[faces]
    total = np.zeros((int(place.max()) + 1, 3))
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(corner_place[:, k], area_normal[:, axis], minlength=len(total))
    smooth = unit(total)[corner_place]
    is_soft = dot(smooth, face_normal[:, None]) > CREASE_COSINE
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
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        x, y = half * focal * view[:, 0] / depth, half * focal * view[:, 1] / depth
    screen = np.stack([width / 2 - 0.5 + x, height / 2 - 0.5 - y], axis=1)
    usable = (depth > 0) & (np.abs(screen) < FARTHEST).all(axis=1)  # what is no number is not
    kept = np.flatnonzero(usable[faces].all(axis=1))
    seen = np.full((height, width), -1)
    _by().nearest(screen, depth, faces if len(kept) == len(faces) else faces[kept], seen)
    return seen if len(kept) == len(faces) else np.append(kept, -1)[seen]


def _by() -> ModuleType:
    """What looks at pixels: compiled kernels, or numpy where there are none."""
    if why_none() is not None:
        return pixels
    from hoprior.kernels import pictures

    return pictures


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
    depth, weights = _by().met(view, faces, face, ray)
    axes = np.stack([camera.right, camera.up, -camera.forward], axis=1)
    open_to_light = _crevices(depth, row, column, (height, width))
    image = np.broadcast_to(background, (height, width, 3)).copy()
    image[row, column] = _by().lit(weights, face, ray, faces, normals, colours, axes, LIGHT, open_to_light)
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
    for blur, strength in CREVICES:
        around = _blurred(nearness, blur * max(shape)) / np.maximum(_blurred(covered, blur * max(shape)), 1e-3)
        behind = np.clip(around[row, column] - nearness[row, column], 0, 0.25)
        factor = factor * (1 - strength * behind)
    return factor


def _blurred(values: Float[np.ndarray, "height width"], sigma: float) -> Float[np.ndarray, "height width"]:
    """By a Gaussian; of pixels that are as large as that leaves no trace of."""
    picture = Image.fromarray(values)
    coarse = picture.reduce(max(1, round(sigma / 2)))
    blurred = gaussian_filter(np.asarray(coarse), sigma * coarse.width / picture.width, truncate=2.5)
    return np.asarray(Image.fromarray(blurred).resize(picture.size, Image.Resampling.BILINEAR))
