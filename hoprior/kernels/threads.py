"""Work on things that never meet, shared among as many threads as torch has."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def in_shares(num: int, work: Callable[[int, int], None]) -> None:
    """Calls `work(first, last)` for shares of `num` things, side by side: kernels run without Python's lock.

    Example:
        >>> done = []
        >>> in_shares(5, lambda first, last: done.extend(range(first, last)))
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """
    threads = max(1, min(torch.get_num_threads(), num))
    ends = np.linspace(0, num, threads + 1).astype(int).tolist()
    if threads == 1:
        work(0, num)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, ends[:-1], ends[1:]))
