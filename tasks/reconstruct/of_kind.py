"""Things of a kind: shapes that an object may have where pictures do not tell, out of the procedural families."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float

from hoprior.datasets.procedural.design import Family
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.shapes import to_mesh
from hoprior.language.categories import category_in, describe

EXAMPLES = 5
"""Things of a family that are tried."""
GENERIC_SIDE = 0.08
"""Longest side (m) of the solids that are tried where the kind is not known."""
SEED = 20
"""Of the examples."""


@dataclass(frozen=True)
class Example:
    """One thing of a kind: its surface in metres, in its own frame, and whether its size is that of such things."""

    kind: str
    mesh: trimesh.Trimesh
    sized: bool


def examples_of(text: str | None) -> list[Example]:
    """Things that may be what a text names; plain solids, of no size, where it names nothing that there is a family of.

    Example:
        >>> {each.kind for each in examples_of("a red mug")}, {each.sized for each in examples_of("a gizmo")}
        ({'mug'}, {False})
    """
    family = family_of(text)
    if family is None:
        return [Example(name, mesh, False) for name, mesh in _solids()]
    made = (family.make(np.random.default_rng([SEED, number])) for number in range(EXAMPLES))
    return [Example(family.name, to_mesh(design.solid), True) for design in made]


def family_of(text: str | None) -> Family | None:
    """The procedural family that a text names, or None."""
    if not text:
        return None
    words = f" {text.lower()} "
    category = category_in(text)
    # "a mug holder" is no mug.
    said = [
        family
        for family in FAMILIES
        if words.endswith(f" {family.name} ") or (category is not None and f" {family.name} " in words)
    ]
    if said:
        return max(said, key=lambda family: len(family.name))
    alike = [family for family in FAMILIES if category is not None and describe(family.name).name == category.name]
    return alike[0] if alike else None


def _solids() -> list[tuple[str, trimesh.Trimesh]]:
    """A ball, boxes, cylinders and a capsule, from flat to long."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    made = {
        "ball": ball,
        "box": _box((1.0, 0.8, 0.6)),
        "flat box": _box((1.0, 0.6, 0.15)),
        "cylinder": trimesh.creation.cylinder(0.35, 1.0, sections=48),
        "disc": trimesh.creation.cylinder(0.5, 0.3, sections=48),
        "capsule": trimesh.creation.capsule(height=1.0, radius=0.15, count=(24, 24)),
    }
    for mesh in made.values():
        mesh.apply_translation(-mesh.bounds.mean(axis=0))
        mesh.apply_scale(GENERIC_SIDE / float(np.max(mesh.extents)))
    return list(made.items())


def _box(extents: tuple[float, float, float]) -> trimesh.Trimesh:
    return trimesh.creation.box(extents).subdivide().subdivide()


def stretched(mesh: trimesh.Trimesh, scale: Float[np.ndarray, " 3"]) -> trimesh.Trimesh:
    """A surface, stretched along the axes of its frame."""
    made = mesh.copy()
    made.vertices = np.asarray(made.vertices) * scale
    return made
