"""What a family makes: a solid, and the ways in which people take hold of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import trimesh
from jaxtyping import Float, Int
from manifold3d import Manifold

from hoprior.datasets.procedural.placements import Rule
from hoprior.datasets.procedural.shapes import everywhere, to_mesh
from hoprior.geometry.sdf import signed_distance

PART_TOLERANCE = 3e-4
"""A point this close (m) to a region is part of it: simplifying a mesh moves its surface a little."""
FACE_LENGTH = 0.01
"""Longest edge (m) of the faces that are named: a box has only twelve else."""


@dataclass(frozen=True)
class Design:
    """One object of a family. The solid is in metres, +z up as it stands or lies.

    `filled` is the solid as hands from outside see it: a vessel without its hollow. A vessel's wall is thinner than a
    fingertip, so distances to the wall alone would let fingers through it. Rules with `inside` see the true solid.

    `parts` are regions of space with the names of the parts in them; the first that holds a point of the surface names
    it (`part_at`). `free` are the parts that a hand leaves alone unless its rule is for one of them: what one
    drinks from, writes with, is cut by.

    Example:
        >>> from hoprior.datasets.procedural.shapes import above, rod
        >>> parts = (("cap", above(0.08)), ("body", everywhere()))
        >>> pen = Design(rod([0.0, 0.0, 0.0], [0.0, 0.0, 0.1], 0.01), rules=(), parts=parts)
        >>> pen.part_names(), pen.part_at(np.array([[0.01, 0.0, 0.09], [0.01, 0.0, 0.02]]))
        (('cap', 'body'), array([0, 1]))
    """

    solid: Manifold
    rules: tuple[Rule, ...]
    filled: Manifold | None = None
    parts: tuple[tuple[str, Manifold], ...] = field(default_factory=lambda: (("body", everywhere()),))
    free: tuple[str, ...] = ()

    def part_names(self) -> tuple[str, ...]:
        """The names of the parts, in their order."""
        return tuple(name for name, _ in self.parts)

    def part_at(self, points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """For points of the surface (m) the number of their part: the first region that each is in or on.

        A point in no region belongs to the region that is nearest.
        """
        distance = np.stack([signed_distance(to_mesh(region), points) for _, region in self.parts])
        inside = distance < PART_TOLERANCE
        return np.where(inside.any(axis=0), inside.argmax(axis=0), distance.argmin(axis=0))

    def labelled_mesh(self) -> tuple[trimesh.Trimesh, Int[np.ndarray, " f"]]:
        """The surface in faces of at most a centimetre, watertight, and the number of each face's part."""
        mesh = to_mesh(self.solid, finest=FACE_LENGTH)
        return mesh, self.part_at(mesh.triangles_center)

    def part_of_rule(self, rule: Rule) -> str | None:
        """The part that a rule is for; None where any will do."""
        name = rule.part or rule.name
        return name if name in self.part_names() else None


@dataclass(frozen=True)
class Family:
    """A kind of object: its name as a person would say it, and how to make one.

    `extent` is the range (m) in which the longest side of every object of the family lies. `upright` says that +z is up
    when nobody holds it; without, it lies as it rolls.
    """

    name: str
    make: Callable[[np.random.Generator], Design]
    extent: tuple[float, float]
    upright: bool = True
