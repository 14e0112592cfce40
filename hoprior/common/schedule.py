"""How the rates of optimisers fall along the way."""

import math


def cosine_decay(step: float, steps: float, last: float = 0.0) -> float:
    """The part of a rate that is left at `step` of `steps`: half a cosine from 1 to `last`, where it stays.

    After stochastic gradient descent with warm restarts (Loshchilov and Hutter 2017, Eq. 5), without the restarts.

    Example:
        >>> [round(cosine_decay(step, 10, last=0.2), 2) for step in (0, 5, 10, 11)]
        [1.0, 0.6, 0.2, 0.2]
    """
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
