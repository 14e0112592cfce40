"""Watertight solids from a few primitives. Metres; +z is up."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import trimesh
from manifold3d import CrossSection, Manifold

from hoprior.common.arrays import ArrayLike

Vector = npt.NDArray[np.float64]
SEGMENTS = 48
PRECISION = 1e-4
"""Detail below a tenth of a millimetre is dropped from meshes."""


def vec(*xyz: float) -> Vector:
    """A vector of floats."""
    return np.asarray(xyz, dtype=float)


def unit(v: ArrayLike) -> Vector:
    """The direction of a vector."""
    v = np.asarray(v, dtype=float)
    return v / np.linalg.norm(v)


def lathe(profile: Sequence[tuple[float, float]]) -> Manifold:
    """The solid swept about z by a closed outline of (radius, z) points."""
    outline = np.asarray(profile, dtype=float)
    area = np.sum(outline[:, 0] * np.roll(outline[:, 1], -1) - np.roll(outline[:, 0], -1) * outline[:, 1])
    return Manifold.revolve(CrossSection([outline if area > 0 else outline[::-1]]), SEGMENTS)


def vessel(outside: Sequence[tuple[float, float]], wall: float, floor: float) -> Manifold:
    """A hollow lathed vessel: `outside` is its outline from the bottom's edge to the rim; open at the top.

    Example:
        >>> cup = to_mesh(vessel([(0.03, 0.0), (0.04, 0.1)], wall=0.004, floor=0.005))
        >>> solid = to_mesh(lathe([(0.0, 0.0), (0.03, 0.0), (0.04, 0.1), (0.0, 0.1)]))
        >>> bool(cup.volume < 0.3 * solid.volume)
        True
    """
    inside = [(max(r - wall, 1e-3), max(z, floor)) for r, z in outside]
    top = outside[-1][1]
    body = lathe([(0.0, outside[0][1]), *outside, (0.0, top)])
    inside[-1] = (inside[-1][0], top + 0.01)
    return body - lathe([(0.0, inside[0][1]), *inside, (0.0, top + 0.01)])


def rod(start: ArrayLike, end: ArrayLike, radius: float, end_radius: float | None = None) -> Manifold:
    """A cylinder or cone between two points.

    Example:
        >>> can = to_mesh(rod([0.0, 0.0, 0.0], [0.0, 0.0, 0.1], radius=0.03))
        >>> can.is_watertight, can.extents.round(2)
        (True, array([0.06, 0.06, 0.1 ]))
    """
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.linalg.norm(end - start))
    solid = Manifold.cylinder(length, radius, radius if end_radius is None else end_radius, SEGMENTS)
    return place(solid, start, end - start)


def place(solid: Manifold, origin: ArrayLike, z_to: ArrayLike, x_to: ArrayLike | None = None) -> Manifold:
    """Moves a solid's origin to `origin` and turns its z axis to `z_to` (and its x axis towards `x_to`)."""
    z = unit(z_to)
    hint = np.asarray(x_to, dtype=float) if x_to is not None else np.eye(3)[int(np.argmin(np.abs(z)))]
    x = unit(hint - z * (hint @ z))
    frame = np.column_stack([x, np.cross(z, x), z, np.asarray(origin, dtype=float)])
    return solid.transform(frame)


def ball(centre: ArrayLike, radius: float, segments: int = 32) -> Manifold:
    """A sphere."""
    return Manifold.sphere(radius, segments).translate(np.asarray(centre, dtype=float))


def tube(points: Sequence[ArrayLike], radii: Sequence[float] | float, flat: float = 1.0) -> Manifold:
    """A rounded bar along a line of points; `flat` below 1 presses its cross-section along y."""
    radii = [radii] * len(points) if isinstance(radii, float) else list(radii)
    beads = [
        Manifold.sphere(r, 20).scale((1.0, flat, 1.0)).translate(np.asarray(p, dtype=float))
        for p, r in zip(points, radii, strict=True)
    ]
    return union([Manifold.batch_hull([a, b]) for a, b in pairwise(beads)])


def rounded_box(size: ArrayLike, radius: float, centre: ArrayLike = (0.0, 0.0, 0.0)) -> Manifold:
    """A box with round edges; `size` is its whole width in x, y and z."""
    inner = np.asarray(size, dtype=float) / 2 - radius
    corners = [np.array([i, j, k]) * inner for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    return Manifold.batch_hull([ball(c, radius, 16) for c in corners]).translate(np.asarray(centre, dtype=float))


def box(size: ArrayLike, centre: ArrayLike = (0.0, 0.0, 0.0)) -> Manifold:
    """A box with sharp edges."""
    return Manifold.cube(np.asarray(size, dtype=float), True).translate(np.asarray(centre, dtype=float))


def slab(
    outline: Sequence[tuple[float, float]], thickness: float, hollow: Sequence[tuple[float, float]] = ()
) -> Manifold:
    """An outline in the xy plane, extruded to both sides of it; `hollow` is cut out."""
    area = CrossSection([np.asarray(outline, dtype=float)])
    if len(hollow):
        area = area - CrossSection([np.asarray(hollow, dtype=float)])
    return Manifold.extrude(area, thickness).translate(vec(0, 0, -thickness / 2))


def ellipse(centre: tuple[float, float], rx: float, ry: float, segments: int = SEGMENTS) -> list[tuple[float, float]]:
    """Points on an ellipse, counter-clockwise."""
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    return [(centre[0] + rx * np.cos(a), centre[1] + ry * np.sin(a)) for a in angles]


def above(z: float) -> Manifold:
    """All that is higher than `z`: a region that names a part."""
    return box((2, 2, 2), (0, 0, z + 1))


def below(z: float) -> Manifold:
    """All that is lower than `z`."""
    return box((2, 2, 2), (0, 0, z - 1))


def beyond(x: float) -> Manifold:
    """All that is further along x than `x`: the head of a tool whose handle is at the origin."""
    return box((2, 2, 2), (x + 1, 0, 0))


def short_of(x: float) -> Manifold:
    """All that is less far along x than `x`."""
    return box((2, 2, 2), (x - 1, 0, 0))


def everywhere() -> Manifold:
    """All space: what no earlier region claims."""
    return box((4, 4, 4))


def union(solids: Sequence[Manifold]) -> Manifold:
    """All of them as one solid.

    Example:
        >>> one = to_mesh(union([box([0.1, 0.1, 0.1]), box([0.1, 0.1, 0.1], centre=[0.05, 0.0, 0.0])]))
        >>> round(1e6 * one.volume)  # cm³: half of one is in the other
        1500
    """
    total = solids[0]
    for solid in solids[1:]:
        total = total + solid
    return total


def to_mesh(solid: Manifold, finest: float | None = None) -> trimesh.Trimesh:
    """The surface as a mesh; watertight, wound outwards. Edges longer than `finest` (m) are divided.

    Example:
        >>> cube = to_mesh(box([0.1, 0.1, 0.1]), finest=0.03)
        >>> cube.is_watertight, len(cube.faces) > 12
        (True, True)
    """
    solid = solid.simplify(PRECISION)
    mesh = (solid if finest is None else solid.refine_to_length(finest)).to_mesh64()
    return trimesh.Trimesh(np.asarray(mesh.vert_properties)[:, :3], np.asarray(mesh.tri_verts), process=False)
