"""What the pixels of a picture see, and how light that is: as `rendering.pixels`, in loops over faces and pixels."""

from math import ceil, floor, inf, sqrt

import numpy as np
from jaxtyping import Float, Float64, Int64

from hoprior.kernels.arrays import Light
from hoprior.kernels.compiling import inner, kernel, source_digest

SOURCES = source_digest()
Verts = Float64[np.ndarray, "v 3"]
Rows = Float64[np.ndarray, "n 3"]
Faces = Int64[np.ndarray, "f 3"]
Index = Int64[np.ndarray, " n"]
Three = tuple[float, float, float]


def nearest(
    screen: Float[np.ndarray, "v 2"],
    depth: Float[np.ndarray, " v"],
    faces: Faces,
    seen: Int64[np.ndarray, "height width"],
) -> None:
    """See `rendering.pixels.nearest`."""
    _nearest(screen, depth, faces, np.zeros(seen.shape), seen)


def met(view: Verts, faces: Faces, face: Index, ray: Rows) -> tuple[Float[np.ndarray, " n"], Rows]:
    """See `rendering.pixels.met`."""
    depth, weights = np.empty(len(face)), np.empty((len(face), 3))
    _met(view, faces, face, ray, depth, weights)
    return depth, weights


def lit(
    weights: Rows,
    face: Index,
    ray: Rows,
    faces: Faces,
    normals: Float[np.ndarray, "f 3 3"],
    colours: Float[np.ndarray, "v 3"],
    axes: Float[np.ndarray, "3 3"],
    light: Light,
    open_to_light: Float[np.ndarray, " n"],
) -> Rows:
    """See `rendering.pixels.lit`."""
    found = np.empty((len(face), 3))
    _lit(weights, face, ray, faces, normals, np.ascontiguousarray(colours), axes, light, open_to_light, found)
    return found


@kernel
def _nearest(
    screen: Float64[np.ndarray, "v 2"],
    depth: Float64[np.ndarray, " v"],
    faces: Faces,
    best: Float64[np.ndarray, "height width"],
    seen: Int64[np.ndarray, "height width"],
) -> str:
    """Each face's pixels, row by row; `best` is the largest inverse depth so far, which is linear on the screen.

    A corner's weight at a pixel, along_x x + along_y y + constant, is at least 0 inside the face: each of the three
    bounds a row's pixels from the left or from the right.
    """
    height, width = seen.shape
    along_x, along_y, constant = np.empty(3), np.empty(3), np.empty(3)
    for f in range(len(faces)):
        x0, y0 = screen[faces[f, 0]]
        x1, y1 = screen[faces[f, 1]]
        x2, y2 = screen[faces[f, 2]]
        z0, z1, z2 = depth[faces[f, 0]], depth[faces[f, 1]], depth[faces[f, 2]]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) <= 1e-9:
            continue
        along_x[0], along_x[1], along_x[2] = (y1 - y2) / area, (y2 - y0) / area, (y0 - y1) / area
        along_y[0], along_y[1], along_y[2] = (x2 - x1) / area, (x0 - x2) / area, (x1 - x0) / area
        constant[0], constant[1], constant[2] = (
            (x1 * y2 - x2 * y1) / area,
            (x2 * y0 - x0 * y2) / area,
            (x0 * y1 - x1 * y0) / area,
        )
        w_x = along_x[0] / z0 + along_x[1] / z1 + along_x[2] / z2
        w_y = along_y[0] / z0 + along_y[1] / z1 + along_y[2] / z2
        w_0 = constant[0] / z0 + constant[1] / z1 + constant[2] / z2
        first_row = ceil(min(max(min(y0, y1, y2), 0.0), float(height)))
        last_row = floor(min(max(max(y0, y1, y2), -1.0), height - 1.0))
        for row in range(first_row, last_row + 1):
            left, right = -inf, inf
            for k in range(3):
                value = along_y[k] * row + constant[k]
                if along_x[k] > 0:
                    left = max(left, -value / along_x[k])
                elif along_x[k] < 0:
                    right = min(right, -value / along_x[k])
                elif value < 0:
                    right = -inf
            first = ceil(min(max(left - 1e-9, 0.0), float(width)))
            last = floor(min(max(right + 1e-9, -1.0), width - 1.0))
            for column in range(first, last + 1):
                inverse = w_x * column + w_y * row + w_0
                if inverse >= best[row, column]:
                    best[row, column] = inverse
                    seen[row, column] = f
    return SOURCES


@inner
def _cross(a: Three, b: Three) -> Three:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inner
def _dot(a: Three, b: Three) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inner
def _unit(a: Three) -> Three:
    length = max(sqrt(_dot(a, a)), 1e-20)
    return a[0] / length, a[1] / length, a[2] / length


@kernel
def _met(view: Verts, faces: Faces, face: Index, ray: Rows, depth: Float64[np.ndarray, " n"], weights: Rows) -> str:
    """With n = (b - a) x (c - a): depth = a n / (r n), and the weights of b and c are ratios of areas at depth r."""
    for i in range(len(face)):
        f = face[i]
        ax, ay, az = view[faces[f, 0]]
        bx, by, bz = view[faces[f, 1]]
        cx, cy, cz = view[faces[f, 2]]
        to_b, to_c = (bx - ax, by - ay, bz - az), (cx - ax, cy - ay, cz - az)
        normal = _cross(to_b, to_c)
        r = (ray[i, 0], ray[i, 1], ray[i, 2])
        depth[i] = _dot((ax, ay, az), normal) / _dot(r, normal)
        off = (r[0] * depth[i] - ax, r[1] * depth[i] - ay, r[2] * depth[i] - az)
        size = _dot(normal, normal)
        of_b = _dot(off, _cross(to_c, normal)) / size
        of_c = _dot(off, _cross(normal, to_b)) / size
        weights[i, 0] = min(max(1 - of_b - of_c, 0.0), 1.0)
        weights[i, 1], weights[i, 2] = min(max(of_b, 0.0), 1.0), min(max(of_c, 0.0), 1.0)
    return SOURCES


@kernel
def _lit(
    weights: Rows,
    face: Index,
    ray: Rows,
    faces: Faces,
    normals: Float64[np.ndarray, "f 3 3"],
    colours: Verts,
    axes: Float64[np.ndarray, "3 3"],
    light: Light,
    open_to_light: Float64[np.ndarray, " n"],
    found: Rows,
) -> str:
    """Lambert's light of each lamp, and Blinn's highlight."""
    for i in range(len(face)):
        f = face[i]
        u, v, w = weights[i]
        x = u * normals[f, 0, 0] + v * normals[f, 1, 0] + w * normals[f, 2, 0]
        y = u * normals[f, 0, 1] + v * normals[f, 1, 1] + w * normals[f, 2, 1]
        z = u * normals[f, 0, 2] + v * normals[f, 1, 2] + w * normals[f, 2, 2]
        normal = _unit(
            (
                x * axes[0, 0] + y * axes[1, 0] + z * axes[2, 0],
                x * axes[0, 1] + y * axes[1, 1] + z * axes[2, 1],
                x * axes[0, 2] + y * axes[1, 2] + z * axes[2, 2],
            )
        )
        to_viewer = _unit((-ray[i, 0], -ray[i, 1], ray[i, 2]))
        if _dot(normal, to_viewer) < 0:
            normal = (-normal[0], -normal[1], -normal[2])
        bright, shine = light.ambient + light.from_above * normal[1], 0.0
        for k in range(len(light.lamps)):
            to_light = (light.lamps[k, 0], light.lamps[k, 1], light.lamps[k, 2])
            bright += light.lamps[k, 3] * max(_dot(normal, to_light), 0.0)
            half = _unit((to_light[0] + to_viewer[0], to_light[1] + to_viewer[1], to_light[2] + to_viewer[2]))
            shine += light.lamps[k, 3] * max(_dot(normal, half), 0.0) ** light.sharpness
        bright *= open_to_light[i]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        for k in range(3):
            found[i, k] = (u * colours[a, k] + v * colours[b, k] + w * colours[c, k]) * bright + light.shine * shine
    return SOURCES
