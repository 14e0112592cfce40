"""Work on things that never meet, shared among as many threads as torch has."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from hoprior.common.threads import threads


def in_shares(num: int, work: Callable[[int, int], None]) -> None:
    """Calls `work(first, last)` for shares of `num` things, side by side: kernels run without Python's lock.

    Work shares out no further: the threads that help are all taken.

    Example:
        >>> done = []
        >>> in_shares(5, lambda first, last: done.extend(range(first, last)))
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """
    shares = max(1, min(torch.get_num_threads(), num))
    if shares == 1:
        work(0, num)
        return
    ends = np.linspace(0, num, shares + 1).astype(int).tolist()
    helpers = threads(shares - 1)
    others = [helpers.submit(work, first, last) for first, last in pairwise(ends[1:])]
    try:
        work(0, ends[1])
    finally:
        for other in others:
            other.result()
