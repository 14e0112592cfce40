"""The handle of a long tool, told by its shape alone: its end that a hand closes around, and not the wide or thin one.

Along a tool's axis a handle is as wide as a fist closes around and as thick as fingers feel, and what one works with is
broader or thinner: a racket's head, a pan, a saw's blade. Where such a change is, the handle ends.
"""

import numpy as np
import trimesh
from jaxtyping import Float

from hoprior.geometry.sdf import signed_distance

SAMPLES = 4000
"""Of the surface."""
SLICES = 40
"""Along the axis."""
FEW = 8
"""Samples of the surface below which a slice says nothing."""
DEPTHS = (0.0008, 0.0015, 0.003, 0.005, 0.008, 0.012, 0.018)
"""Beneath the surface (m), where its thickness is looked for."""
WIDE, THIN = 0.06, 0.015
"""Width from which a fist does not close around a thing, and thickness below which it is felt as an edge (m)."""
SLENDER = 0.4
"""How much a slice's width counts (log) where both are well."""
THINNEST, TYPICAL = 0.0005, 0.03
"""Least thickness and a handle's usual width (m)."""
SHORTEST = 5
"""Slices of the shorter of handle and rest."""
LEAST_CHANGE = 0.25
"""Of the mean cost between handle and rest, less of which tells nothing: a flute has no end to hold."""
LEAST_LENGTH = 1.4
"""Of a thing that has a handle at an end, in its widths."""


def slender_end(solid: trimesh.Trimesh) -> Float[np.ndarray, "n 3"] | None:
    """Points on the handle at the end of a long thing (m); None where no end is told from the rest.

    Args:
        solid: watertight, metres.

    Example:
        >>> grip = trimesh.creation.box((0.12, 0.03, 0.03))
        >>> blade = trimesh.creation.box((0.2, 0.06, 0.002)).apply_translation([0.16, 0.0, 0.0])
        >>> x = slender_end(trimesh.boolean.union([grip, blade]))[:, 0]
        >>> bool(x.min() < -0.055), bool(0.055 < x.max() < 0.075)
        (True, True)
        >>> slender_end(trimesh.creation.cylinder(radius=0.01, height=0.3)) is None
        True
    """
    points, face = trimesh.sample.sample_surface(solid, SAMPLES, seed=0)
    centred = points - points.mean(axis=0)
    across, axes = np.linalg.eigh(centred.T @ centred)
    at = centred @ axes[:, across.argsort()[::-1]]
    along = at[:, 0] - at[:, 0].min()
    length = float(along.max())
    if length < LEAST_LENGTH * float(np.ptp(at[:, 1:], axis=0).max()):
        return None
    cost = _costs(along / length, at[:, 1:], thickness(solid, points, solid.face_normals[face]))
    cuts = np.arange(SHORTEST, SLICES - SHORTEST + 1)
    change = np.array([cost[:cut].mean() - cost[cut:].mean() for cut in cuts])
    # Where the two sides differ most for their lengths (Otsu, 1979).
    best = int((np.abs(change) * np.sqrt(cuts * (SLICES - cuts))).argmax())
    if abs(change[best]) < LEAST_CHANGE:
        return None
    before = along / length < cuts[best] / SLICES
    return points[before if change[best] < 0 else ~before]


def thickness(
    solid: trimesh.Trimesh, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """Of a solid beneath points of its surface (m), up to about twice the last of `DEPTHS`.

    Example:
        >>> plate = trimesh.creation.box((0.1, 0.1, 0.006))
        >>> thickness(plate, np.array([[0.0, 0.0, 0.003]]), np.array([[0.0, 0.0, 1.0]])).round(4)
        array([0.006])
    """
    beneath = points[:, None] - np.array(DEPTHS)[None, :, None] * normals[:, None]
    depth = (-signed_distance(solid, beneath.reshape(-1, 3))).reshape(len(points), -1).max(axis=1)
    return 2 * np.maximum(depth, 0.0)


def _costs(
    along: Float[np.ndarray, " n"], across: Float[np.ndarray, "n 2"], thick: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " slices"]:
    """How ill a hand closes around each slice of a thing; `along` is 0..1."""
    middles = (np.arange(SLICES) + 0.5) / SLICES
    cost = np.full(SLICES, np.nan)
    for k, middle in enumerate(middles):
        near = np.abs(along - middle) < 0.75 / SLICES
        if near.sum() < FEW:
            continue
        slice_at = across[near] - across[near].mean(axis=0)
        _, turned = np.linalg.eigh(slice_at.T @ slice_at)
        width = max(float(np.ptp(slice_at @ turned, axis=0).max()), THINNEST)
        least = max(float(np.quantile(thick[near], 0.9)), THINNEST)
        cost[k] = max(0.0, np.log(width / WIDE)) + max(0.0, np.log(THIN / least)) + SLENDER * np.log(width / TYPICAL)
    known = np.isfinite(cost)
    return np.interp(middles, middles[known], cost[known])
