"""Processes that work beside this one."""

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import FrameType

from hoprior.errors import HopriorError

PATIENCE = 20
"""Seconds in which a process may come to an end; what computes outside Python hears of nothing until it is done."""


def process_pool(workers: int) -> ProcessPoolExecutor:
    """So many processes, started anew: a forked child of a process that has used torch's threads can hang.

    They end with this one, however it ends. Ctrl-C is left to this one, and `end_workers` has them stop.

    Raises:
        HopriorError: the machine has no room where processes share memory, as in small containers.

    Example:
        >>> with process_pool(1) as pool:
        ...     pool.submit(pow, 2, 3).result()
        8
    """
    try:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    except (OSError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HopriorError(
            f"no workers can be started ({reason}): processes share memory in /dev/shm, which is full or missing here: "
            "give the container more (--shm-size), or run with --workers 1"
        ) from error


def end_workers(pool: ProcessPoolExecutor) -> None:
    """Has the processes of a pool stop what they do, with what is half written removed, and ends the pool."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    # Whoever has stopped one job may find another waiting for it: he is told again.
    for _ in range(PATIENCE):
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + 1.0
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        if not any(process.is_alive() for process in processes):
            return
    for process in processes:
        process.kill()


def _begin() -> None:
    """What each process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    """A process whose parent was killed hears nothing of it: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
