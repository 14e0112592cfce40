"""Processes that work beside this one."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from hoprior.errors import HopriorError


def process_pool(workers: int) -> ProcessPoolExecutor:
    """So many processes, started anew: a forked child of a process that has used torch's threads can hang.

    Raises:
        HopriorError: the machine has no room where processes share memory, as in small containers.

    Example:
        >>> with process_pool(1) as pool:
        ...     pool.submit(pow, 2, 3).result()
        8
    """
    try:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    except (OSError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HopriorError(
            f"no workers can be started ({reason}): processes share memory in /dev/shm, which is full or missing here: "
            "give the container more (--shm-size), or run with --workers 1"
        ) from error
