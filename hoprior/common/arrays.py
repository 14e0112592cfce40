"""Arrays of whatever a caller has them in."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

ArrayLike: TypeAlias = np.ndarray | Sequence[Any] | float | int
"""What NumPy makes an array of: arrays, numbers, and nested sequences of these."""


def as_array(values: Tensor | ArrayLike, dtype: DTypeLike | None = None) -> np.ndarray:
    """The values in NumPy, in the CPU's memory, with or without a gradient; their own kind of number if no `dtype`.

    Example:
        >>> as_array(torch.ones(2, requires_grad=True), np.float64)
        array([1., 1.])
    """
    plain: Any = values
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        plain = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # NumPy has no bfloat16
    return np.asarray(plain, dtype=dtype)
