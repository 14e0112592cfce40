"""Things of a kind: shapes that an object may have where pictures do not tell, out of the procedural families."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

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


def stretched(
    points: Float[Tensor, "*b p 3"],
    half: Float[Tensor, "*b 3"],
    scale: Float[Tensor, "*b 3"],
    taper: Float[Tensor, "*b 3"],
) -> Float[Tensor, "*b p 3"]:
    """Points about the middle of a thing, stretched along its axes, and tapered.

    Args:
        half: of its sides, in the units of `points`.
        scale: of each axis.
        taper: along each axis; at its ends the other two are exp(taper) and exp(-taper) times as wide.

    Example:
        >>> corners = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
        >>> stretched(corners, torch.ones(3), torch.tensor([2.0, 1.0, 1.0]), torch.tensor([0.5, 0.0, 0.0]))
        tensor([[ 2.0000,  1.6487,  1.6487],
                [-2.0000,  0.6065,  0.6065]])
    """
    along = taper[..., None, :] * points / half[..., None, :]
    return points * scale[..., None, :] * (along.sum(dim=-1, keepdim=True) - along).exp()
