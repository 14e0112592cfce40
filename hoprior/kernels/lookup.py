"""Look-ups in grids with their slopes: as `geometry.lookup.trilinear`, `SdfGrid` and `VesselMouths.plugged`."""

from math import sqrt

import numpy as np

from hoprior.kernels.arrays import Grid, Walls
from hoprior.kernels.compiling import inner
from hoprior.physics.mouths import ALLOWED

Looked = tuple[float, float, float, float]
"""A value, and its slope along x, y and z."""


@inner
def _boxed(x: float, lower: float, upper: float) -> float:
    """The nearest coordinate in a box; its lower end for what is no number, which must not become an index."""
    if not x > lower:
        return lower
    return upper if x > upper else x


@inner
def _trilinear(grid: Grid, x: float, y: float, z: float) -> Looked:
    """f = sum over the eight corners c of a point's cell of f_c (1 - |x - c|)(1 - |y - c|)(1 - |z - c|); in the box."""
    values, lower, per_metre = grid.values, grid.lower, grid.per_metre
    u, v, w = (x - lower[0]) * per_metre[0], (y - lower[1]) * per_metre[1], (z - lower[2]) * per_metre[2]
    i, j, k = min(int(u), grid.last[0]), min(int(v), grid.last[1]), min(int(w), grid.last[2])
    u, v, w = u - i, v - j, w - k
    # Of an unsigned number numba knows that it counts from the front.
    row, layer = np.uintp(grid.last[0] + 2), np.uintp((grid.last[0] + 2) * (grid.last[1] + 2))
    one, a = np.uintp(1), np.uintp(i) + np.uintp(j) * row + np.uintp(k) * layer
    v000, v001 = float(values[a]), float(values[a + one])
    v010, v011 = float(values[a + row]), float(values[a + row + one])
    a += layer
    v100, v101 = float(values[a]), float(values[a + one])
    v110, v111 = float(values[a + row]), float(values[a + row + one])
    d00, d01, d10, d11 = v001 - v000, v011 - v010, v101 - v100, v111 - v110
    e00, e01, e10, e11 = v000 + u * d00, v010 + u * d01, v100 + u * d10, v110 + u * d11
    f0, f1 = e00 + v * (e01 - e00), e10 + v * (e11 - e10)
    g0, g1 = d00 + v * (d01 - d00), d10 + v * (d11 - d10)
    h0, h1 = e01 - e00, e11 - e10
    return (
        f0 + w * (f1 - f0),
        (g0 + w * (g1 - g0)) * per_metre[0],
        (h0 + w * (h1 - h0)) * per_metre[1],
        (f1 - f0) * per_metre[2],
    )


@inner
def cell_of(grid: Grid, x: float, y: float, z: float) -> tuple[int, float, float, float]:
    """Where in the values a point's cell begins, and how far along x, y and z the point is in it, from 0 to 1."""
    lower, per_metre = grid.lower, grid.per_metre
    u = (_boxed(x, lower[0], grid.upper[0]) - lower[0]) * per_metre[0]
    v = (_boxed(y, lower[1], grid.upper[1]) - lower[1]) * per_metre[1]
    w = (_boxed(z, lower[2], grid.upper[2]) - lower[2]) * per_metre[2]
    i, j, k = min(int(u), grid.last[0]), min(int(v), grid.last[1]), min(int(w), grid.last[2])
    return i + (grid.last[0] + 2) * (j + (grid.last[1] + 2) * k), u - i, v - j, w - k


@inner
def trilinear(grid: Grid, x: float, y: float, z: float) -> Looked:
    """The same; beyond the box, as at the nearest point of it."""
    p = _boxed(x, grid.lower[0], grid.upper[0])
    q = _boxed(y, grid.lower[1], grid.upper[1])
    r = _boxed(z, grid.lower[2], grid.upper[2])
    f, slope_x, slope_y, slope_z = _trilinear(grid, p, q, r)
    return f, slope_x if p == x else 0.0, slope_y if q == y else 0.0, slope_z if r == z else 0.0


@inner
def distance(grid: Grid, x: float, y: float, z: float) -> Looked:
    """Signed distance d(p) = d(q) + |p - q|, with q the point of the box nearest to p."""
    p = _boxed(x, grid.lower[0], grid.upper[0])
    q = _boxed(y, grid.lower[1], grid.upper[1])
    r = _boxed(z, grid.lower[2], grid.upper[2])
    d, slope_x, slope_y, slope_z = _trilinear(grid, p, q, r)
    x, y, z = x - p, y - q, z - r
    if x == 0.0 and y == 0.0 and z == 0.0:
        return d, slope_x, slope_y, slope_z
    off = sqrt(x * x + y * y + z * z)
    return (
        d + off,
        slope_x if x == 0.0 else x / off,
        slope_y if y == 0.0 else y / off,
        slope_z if z == 0.0 else z / off,
    )


@inner
def plugged(walls: Walls, x: float, y: float, z: float) -> Looked:
    """min(d, allowed - depth): the signed distance of an object whose mouths are closed."""
    d = distance(walls.distance, x, y, z)
    if walls.has_mouths:
        depth, slope_x, slope_y, slope_z = trilinear(walls.depth, x, y, z)
        if ALLOWED - depth < d[0]:
            return ALLOWED - depth, -slope_x, -slope_y, -slope_z
    return d
