"""Forces with which fingers hold an object, planned so that they leave it where it is."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from hoprior.physics.contact import TORQUE_ARM
from hoprior.physics.statics import friction_cones

GRIP = 8.0
"""N that each finger which touches the object presses on it, where nothing gives way."""
PRESS_FRICTION = 0.5
"""Forces are planned with less friction than there is, so that they are well inside its cones."""
PRESS_WEIGHT, PALM_WEIGHT = 0.3, 0.05
"""Of a newton that a finger is off `GRIP`, and of one that the palm gives, against one that moves the object."""


def planned_forces(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    fingers: Sequence[int],
    center: Float[np.ndarray, " 3"],
    grip: float = GRIP,
    load: Float[np.ndarray, " 3"] | None = None,
    friction: float = PRESS_FRICTION,
) -> Float[np.ndarray, "n 3"]:
    """Forces (N) on an object at contacts, about `grip` by each finger.

    They lie in the cones of friction, come near to that and leave the object where it is (non-negative least squares).

    Args:
        points, normals: of the contacts, metres, in the object's frame; normals lead out of the object.
        fingers: the number of the finger that each is of; 0 for the palm, which gives what balances the others.
        center: the object's centre of mass.
        load: a force (N) on the object there, its weight say, that the contacts are to carry, too.
        friction: with which the forces are planned.

    Example:
        >>> sides = np.array([[0.05, 0.0, 0.0], [-0.05, 0.0, 0.0]])
        >>> planned_forces(sides, 20 * sides, [1, 2], np.zeros(3)).round(1) + 0.0
        array([[-8.,  0.,  0.],
               [ 8.,  0.,  0.]])
    """
    cones = friction_cones(normals, friction)
    arms = points - center
    wrenches = np.concatenate([cones, np.cross(arms[:, None], cones) / TORQUE_ARM], axis=2)
    # A finger's force is shared by its contacts; the palm gives what balances the others.
    counts = np.bincount(fingers)
    wanted = np.array([grip / counts[finger] if finger else 0.0 for finger in fingers])
    inwards = -(cones * normals[:, None]).sum(axis=2)
    edges = cones.shape[1]
    asked = np.zeros((len(points), len(points) * edges))
    for k, row in enumerate(inwards):
        asked[k, k * edges : (k + 1) * edges] = PRESS_WEIGHT * row if fingers[k] else PALM_WEIGHT * row
    system = np.concatenate([wrenches.reshape(-1, 6).T, asked, PALM_WEIGHT * np.eye(asked.shape[1])])
    carried = np.zeros(3) if load is None else -load
    right = np.concatenate([carried, np.zeros(3), PRESS_WEIGHT * wanted, np.zeros(asked.shape[1])])
    shares, _ = nnls(system, right)
    return (shares.reshape(len(points), edges, 1) * cones).sum(axis=1)
