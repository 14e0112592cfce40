"""Surfaces of coded shapes (`ShapeAutoencoder`), whole where they can be: thin walls without holes, handles that hold.

A decoder rounds off what is thin, so that a wall of a millimetre has holes and a mug's handle comes loose. A little
farther out the surface is whole. How much farther it must be differs from shape to shape, and thickness that is not
needed is wrong, too.
"""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.repair import simplify, vertex_pieces
from hoprior.geometry.shape_box import REACH
from hoprior.geometry.state import transform_points
from hoprior.models.shape_autoencoder import FINE, ShapeAutoencoder

MOST_FACES = 8000
"""Of a drawn surface: marching cubes make ten times as many, which show no more."""
OUTSIDE = 0.1
"""Distance (over a box's scale) of a layer that closes what reaches the end of a lattice."""
LEVELS = (0.0, 0.005, 0.01, 0.015, 0.02)
"""Distances (over a box's scale) at which a surface may be taken; .02 is .8 mm of a mug."""
CRUMB = 0.05
"""Pieces of less than this share of the largest one's volume do not count."""


class Surface(NamedTuple):
    """A coded shape's surface, and at which distance (over the box's scale) it was taken."""

    mesh: trimesh.Trimesh
    level: float


class Topology(NamedTuple):
    """Closed pieces of a surface that are no crumbs, and how many handles they have together (a mug's is one)."""

    pieces: int
    handles: int


def surface_of(
    shapes: ShapeAutoencoder, code: Float[Tensor, " code"], extents: Float[Tensor, " 3"], resolution: int = FINE
) -> Surface:
    """The surface of a shape, whole where it can be; empty where there is none.

    Args:
        shapes: what decodes.
        code, extents: the shape, and the sides (m) of its box.
        resolution: points of a side of the lattice on which it is decoded.
    """
    values = shapes.decode(code, resolution).cpu().numpy()
    if not (values < 0).any():
        return Surface(trimesh.Trimesh(), 0.0)
    found = whole_surface(values)
    found.mesh.apply_scale((extents / 2).double().cpu().numpy())
    return found


def whole_surface(values: Float[np.ndarray, "r r r"]) -> Surface:
    """The surface in a lattice of distances, in the box's coordinates: at the least level at which it has the topology
    that it has at the last, and keeps it when it is made lighter.

    Example:
        >>> axis = np.linspace(-REACH, REACH, 48)
        >>> z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        >>> ball = np.sqrt(x**2 + y**2 + z**2) - 0.8
        >>> thin = np.abs(ball) - 0.01  # a bubble's wall, thinner than a cell
        >>> whole_surface(ball).level, whole_surface(thin).level > 0
        (0.0, True)
    """
    *thinner, last = LEVELS
    thickest = unit_surface(values, last)
    wanted = topology(thickest)
    for level in thinner:
        mesh = unit_surface(values, level)
        if topology(mesh) == wanted and topology(mesh := simplify(mesh, MOST_FACES)) == wanted:
            return Surface(mesh, level)
    return Surface(simplify(thickest, MOST_FACES), last)


def topology(mesh: trimesh.Trimesh) -> Topology:
    """What a closed surface is in the large: chi = V - E + F = 2 - 2 handles of each piece.

    Example:
        >>> topology(trimesh.creation.torus(0.04, 0.01)), topology(trimesh.creation.box())
        (Topology(pieces=1, handles=1), Topology(pieces=1, handles=0))
    """
    faces, corners = mesh.faces, mesh.triangles
    piece = vertex_pieces(faces, len(mesh.vertices))[1]
    of_face = piece[faces[:, 0]]
    six_volumes = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    volume = np.abs(np.bincount(of_face, six_volumes))
    # A closed surface of triangles has half as many edges again as faces.
    chi = np.bincount(piece) - np.bincount(of_face) / 2
    counts = volume >= CRUMB * volume.max()
    return Topology(int(counts.sum()), round(float((1 - chi[counts] / 2).sum())))


def unit_surface(values: Float[np.ndarray, "r r r"], level: float) -> trimesh.Trimesh:
    """Where a lattice of distances crosses a level, in the box's coordinates."""
    cell = 2 * REACH / (len(values) - 1)
    lower = -REACH - cell
    mesh = extract_surface(np.pad(values, 1, constant_values=OUTSIDE), (lower, lower, lower), cell, level)
    mesh.merge_vertices()
    return mesh


@torch.no_grad()
def distances_on(
    spec: GridSpec,
    shapes: ShapeAutoencoder,
    code: Float[Tensor, " code"],
    extents: Float[Tensor, " 3"],
    T_box_grid: Float[Tensor, "4 4"],
    level: float = 0.0,
) -> Float[Tensor, "1 D H W"]:
    """Signed distances (m) of a coded shape on a grid; beyond its box, those at the box and how far it is to there.

    `level` is that of its `Surface`.
    """
    half = extents / 2
    points = transform_points(T_box_grid[None], spec.points(code.device)[None])[0]
    unit = points / half
    inside = unit.clamp(-REACH, REACH)
    planes = shapes.decoder.planes(code[None])
    near = (shapes.decoder.distance(planes, inside[None])[0].float() - level) * half.log().mean().exp()
    return (near + ((unit - inside) * half).norm(dim=1)).view(1, *spec.shape)
