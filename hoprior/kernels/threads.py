"""Work on things that never meet, shared among as many threads as torch has."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch

_helpers: dict[int, ThreadPoolExecutor] = {}
"""Threads beside the one that calls, by how many they are; to start some takes longer than most kernels do."""
if hasattr(os, "register_at_fork"):  # a process that was forked off has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.clear)


def in_shares(num: int, work: Callable[[int, int], None]) -> None:
    """Calls `work(first, last)` for shares of `num` things, side by side: kernels run without Python's lock.

    Work shares out no further: the threads that help are all taken.

    Example:
        >>> done = []
        >>> in_shares(5, lambda first, last: done.extend(range(first, last)))
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """
    threads = max(1, min(torch.get_num_threads(), num))
    if threads == 1:
        work(0, num)
        return
    ends = np.linspace(0, num, threads + 1).astype(int).tolist()
    helpers = _helpers.get(threads - 1)
    if helpers is None:
        helpers = _helpers.setdefault(threads - 1, ThreadPoolExecutor(threads - 1, "hoprior kernel"))
    others = [helpers.submit(work, first, last) for first, last in pairwise(ends[1:])]
    try:
        work(0, ends[1])
    finally:
        for other in others:
            other.result()
