"""What the pixels of a picture see, and how light that is, in numpy: the reference to `kernels.pictures`.

Each triangle is cut into the pixel rows it covers and each row into pixels, all at once with `np.repeat`; the nearest
surface of a pixel is found with `np.maximum.at` on inverse depth, and only those are shaded.
"""

import numpy as np
from jaxtyping import Float, Int

from hoprior.kernels.arrays import Light


def nearest(
    screen: Float[np.ndarray, "v 2"],
    depth: Float[np.ndarray, " v"],
    faces: Int[np.ndarray, "f 3"],
    seen: Int[np.ndarray, "height width"],
) -> None:
    """Writes which face each pixel sees into `seen`, where there is one; all of them are before the camera.

    Args:
        screen: pixel coordinates whose integers are pixels' centres; y grows downwards.
        depth: along the view.
    """
    height, width = seen.shape
    corners = screen[faces]
    inverse_depth = (1.0 / depth)[faces]
    (x0, x1, x2), (y0, y1, y2) = corners[..., 0].T, corners[..., 1].T
    twice_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    faces_kept = np.flatnonzero(np.abs(twice_area) > 1e-9)
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
    best = np.zeros(width * height)
    np.maximum.at(best, pixel, fragment_w)
    is_seen = fragment_w >= best[pixel]
    seen.reshape(-1)[pixel[is_seen]] = faces_kept[triangle[is_seen]]


def _ranges(first: Int[np.ndarray, " n"], last: Int[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """All integers of n closed ranges one after another, with the index of the range that each comes from."""
    count = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(count)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return index, np.arange(len(index)) - start + first[index]


def met(
    view: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    face: Int[np.ndarray, " n"],
    ray: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """How far along its ray each pixel meets the plane of its face, and how much each corner weighs there.

    Weights are ratios of areas.
    """
    a, b, c = (view[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    size = dot(normal, normal)[face]
    depth = dot(a, normal)[face] / dot(ray, normal[face])
    edge_b = np.cross(c - a, normal)[face]
    edge_c = np.cross(normal, b - a)[face]
    from_a = ray * depth[:, None] - a[face]
    weight_b = dot(from_a, edge_b) / size
    weight_c = dot(from_a, edge_c) / size
    return depth, np.clip(np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1), 0, 1)


def lit(
    weights: Float[np.ndarray, "n 3"],
    face: Int[np.ndarray, " n"],
    ray: Float[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "f 3"],
    normals: Float[np.ndarray, "f 3 3"],
    colours: Float[np.ndarray, "v 3"],
    axes: Float[np.ndarray, "3 3"],
    light: Light,
    open_to_light: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """The colours of pixels that meet faces.

    Args:
        weights, face: see `met`.
        ray: of each pixel, in camera axes with depth along the view.
        normals: at the corners of each face, which `axes` turns into camera axes with z to the viewer.
        light: with lamps in those axes.
        open_to_light: the share of its light that reaches each pixel.
    """
    normal = unit(np.einsum("nk,nkc->nc", weights, normals[face])) @ axes
    to_viewer = unit(ray * [-1.0, -1.0, 1.0])
    # Scans have holes and inside-out faces: both sides are lit.
    normal *= np.where(dot(normal, to_viewer) < 0, -1.0, 1.0)[:, None]
    bright = light.ambient + light.from_above * normal[:, 1]
    shine = np.zeros(len(face))
    for lamp in light.lamps:
        to_light, strength = lamp[:3], lamp[3]
        bright = bright + strength * np.clip(normal @ to_light, 0, 1)
        shine += strength * np.clip(dot(normal, unit(to_light + to_viewer)), 0, 1) ** light.sharpness
    base = np.einsum("nk,nkc->nc", weights, colours[faces[face]])
    return np.asarray(base * (bright * open_to_light)[:, None] + light.shine * shine[:, None])


def unit(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Vectors of length 1, but for those of none."""
    return vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-20)[..., None]


def dot(a: Float[np.ndarray, "*n 3"], b: Float[np.ndarray, "*m 3"]) -> Float[np.ndarray, "*k"]:
    """Inner products; numpy's own sums over so short an axis take several times as long."""
    return np.asarray(np.einsum("...k,...k->...", a, b))
