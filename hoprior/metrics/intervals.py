"""How sure a mean is."""

import numpy as np
from jaxtyping import Float


def mean_and_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean, and half of the 95 % interval of the mean: 1.96 standard deviations / sqrt(n), as of a normal distribution.

    Example:
        >>> mean, half = mean_and_interval(np.array([1.0, 2.0, 3.0, 2.0]))
        >>> round(mean, 2), round(half, 2)
        (2.0, 0.8)
    """
    return float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
