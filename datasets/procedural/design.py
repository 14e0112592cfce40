"""What a family makes: a solid, and the ways in which people take hold of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from manifold3d import Manifold

from hoprior.datasets.procedural.placements import Rule


@dataclass(frozen=True)
class Design:
    """One object of a family. The solid is in metres, +z up as it stands or lies.

    `filled` is the solid as hands from outside see it: a vessel without its hollow. A vessel's wall is thinner than a
    fingertip, so distances to the wall alone would let fingers through it. Rules with `inside` see the true solid.
    """

    solid: Manifold
    rules: tuple[Rule, ...]
    filled: Manifold | None = None


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
