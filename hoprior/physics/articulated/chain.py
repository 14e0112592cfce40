"""The hand for simulators that allow one hinge between two bodies: small bodies stand between a joint's hinges."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hoprior.physics.articulated.hand import ArticulatedHand, Link
from hoprior.physics.articulated.tissue import Mass

BETWEEN_SHARE = 0.02
"""Of a link's mass, what each body between its hinges has: without any, solvers divide by nothing."""
BETWEEN_RADIUS = 0.005
"""Of the ball (m) whose inertia it has."""


class HingeBody(NamedTuple):
    """One body and the hinge that carries it; all frames have the hand frame's axes at rest.

    Attributes:
        name, parent: the parent is None for the wrist.
        hinge: the hinge's name; None for the wrist.
        offset: the hinge in its parent's frame, m.
        axis, low, high: of the hinge.
        mass: about the hinge.
        link: what it collides with and looks like; None for a body between two hinges.
        carries: the number of the link that it is, or is before.
    """

    name: str
    parent: str | None
    hinge: str | None
    offset: Float[np.ndarray, " 3"]
    axis: Float[np.ndarray, " 3"]
    low: float
    high: float
    mass: Mass
    link: Link | None
    carries: int


def hinge_bodies(hand: ArticulatedHand) -> Iterator[HingeBody]:
    """All bodies, the wrist's first, each after its parent; together they weigh what the hand does.

    Example:
        >>> from hoprior.hand import load_hand
        >>> from hoprior.physics.articulated.hand import articulated
        >>> bodies = list(hinge_bodies(articulated(load_hand())))
        >>> len(bodies), bodies[1].name, bodies[3].name
        (46, 'index1_flexion_body', 'index1')
    """
    for k, link in enumerate(hand.links):
        if k == 0:
            yield HingeBody(link.name, None, None, link.offset, np.zeros(3), 0.0, 0.0, link.mass, link, 0)
            continue
        parent, offset, last = hand.links[link.parent].name, link.offset, len(link.hinge_names) - 1
        small = BETWEEN_SHARE * link.mass.mass
        between = Mass(small, np.zeros(3), 0.4 * small * BETWEEN_RADIUS**2 * np.eye(3))
        rest = link.mass._replace(mass=link.mass.mass - last * small)
        for i, name in enumerate(link.hinge_names):
            body, mass, looks = (link.name, rest, link) if i == last else (f"{name}_body", between, None)
            low, high = float(link.low[i]), float(link.high[i])
            yield HingeBody(body, parent, name, offset, link.axes[i], low, high, mass, looks, k)
            parent, offset = body, np.zeros(3)
