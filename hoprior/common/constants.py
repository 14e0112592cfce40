"""Numbers that never change, as tensors: made once for each device, which otherwise waits for them at each step."""

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

Numbers: TypeAlias = float | tuple["Numbers", ...]


def constant(numbers: Numbers, like: Tensor) -> Tensor:
    """Numbers as a tensor of the precision and on the device of another; not to be written to.

    Example:
        >>> constant((0.5, 1.0), like=torch.zeros(3, dtype=torch.double))
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return _made(numbers, like.dtype, like.device)


def places(numbers: Sequence[int], like: Tensor) -> Tensor:
    """Indices, to take from a tensor that is on the device of another; not to be written to.

    Example:
        >>> joints = torch.arange(5.0)
        >>> joints[places((3, 1), joints)]
        tensor([3., 1.])
    """
    return _made(tuple(numbers), torch.long, like.device)


# None is ever forgotten: a graph may have been recorded with it.
@cache
def _made(numbers: Numbers, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=dtype, device=device)
