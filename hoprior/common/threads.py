"""Whole pieces of work, side by side, in threads of Python's."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
_pools: dict[int, ThreadPoolExecutor] = {}
"""Threads by how many they are; to start some takes longer than most of what they do."""
if hasattr(os, "register_at_fork"):  # a process that was forked off has none of its parent's threads
    os.register_at_fork(after_in_child=_pools.clear)


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `work` gives for each item, in their order; gradients are recorded as they are where this is called.

    torch shares an operation out among its threads, and what is between operations is one thread's. A batch for each
    thread keeps all of them at work.

    Example:
        >>> side_by_side(lambda number: number**2, [1, 2, 3])
        [1, 4, 9]
    """
    if torch.get_num_threads() == 1 or len(items) < 2:
        return [work(item) for item in items]
    grad = torch.is_grad_enabled()

    def alike(item: Item) -> Result:
        with torch.set_grad_enabled(grad):
            return work(item)

    return list(threads(torch.get_num_threads()).map(alike, items))


def threads(num: int) -> ThreadPoolExecutor:
    """So many threads of Python's, the same ones each time; in each of them torch has one.

    Work that is given to them shares out no further: they are all taken.
    """
    return _pools.get(num) or _pools.setdefault(num, _started(num))


def _started(num: int) -> ThreadPoolExecutor:
    pool, all_here, before = ThreadPoolExecutor(num, "hoprior"), threading.Barrier(num), torch.get_num_threads()

    def with_one(_: int) -> None:
        # What one sets counts for all who have not asked yet: so each sets it and asks, and then it is set back.
        torch.set_num_threads(1)
        torch.get_num_threads()
        all_here.wait()

    list(pool.map(with_one, range(num)))
    torch.set_num_threads(before)
    return pool
