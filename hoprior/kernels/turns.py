"""Rotation vectors and their matrices."""

from math import cos, sin, sqrt

import numpy as np
from jaxtyping import Float64

from hoprior.kernels.compiling import inner

SMALL = 1e-3
"""Angle (rad) beneath which the coefficients are taken from their series."""


@inner
def _coefficients(t: float) -> tuple[float, float, float, float]:
    """a = sin t / t and b = (1 - cos t) / t², and a'/t and b'/t."""
    if t < SMALL:
        s = t * t
        return 1 - s / 6, 0.5 - s / 24, -1 / 3 + s / 30, -1 / 12 + s / 180
    a, b = sin(t) / t, (1 - cos(t)) / (t * t)
    return a, b, (cos(t) - a) / (t * t), (a - 2 * b) / (t * t)


@inner
def turn_matrix(r: Float64[np.ndarray, " 3"], out: Float64[np.ndarray, "3 3"]) -> None:
    """R = I + a [r] + b [r]², Rodrigues' formula; [r] is the matrix of the cross product with r."""
    x, y, z = r[0], r[1], r[2]
    a, b, _, _ = _coefficients(sqrt(x * x + y * y + z * z))
    out[0, 0], out[0, 1], out[0, 2] = 1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y
    out[1, 0], out[1, 1], out[1, 2] = b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x
    out[2, 0], out[2, 1], out[2, 2] = b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y)


@inner
def turn_slope(r: Float64[np.ndarray, " 3"], G: Float64[np.ndarray, "3 3"], out: Float64[np.ndarray, " 3"]) -> None:
    """The slope in r of what has the slope G in R.

    With g the vector of G's antisymmetric part, <G, [e_k]> = g_k, and <G, d[r]²/dr_k> = (G r + Gᵀ r)_k - 2 r_k tr G.
    """
    x, y, z = r[0], r[1], r[2]
    square = x * x + y * y + z * z
    a, b, da, db = _coefficients(sqrt(square))
    gx, gy, gz = G[2, 1] - G[1, 2], G[0, 2] - G[2, 0], G[1, 0] - G[0, 1]
    trace = G[0, 0] + G[1, 1] + G[2, 2]
    sx = 2 * G[0, 0] * x + (G[0, 1] + G[1, 0]) * y + (G[0, 2] + G[2, 0]) * z
    sy = (G[1, 0] + G[0, 1]) * x + 2 * G[1, 1] * y + (G[1, 2] + G[2, 1]) * z
    sz = (G[2, 0] + G[0, 2]) * x + (G[2, 1] + G[1, 2]) * y + 2 * G[2, 2] * z
    along = da * (gx * x + gy * y + gz * z) + db * (0.5 * (sx * x + sy * y + sz * z) - square * trace)
    out[0] = a * gx + b * (sx - 2 * x * trace) + along * x
    out[1] = a * gy + b * (sy - 2 * y * trace) + along * y
    out[2] = a * gz + b * (sz - 2 * z * trace) + along * z
