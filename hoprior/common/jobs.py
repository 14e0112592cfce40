"""Jobs in other processes, or on other machines: the same function, whoever runs it."""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from hoprior.common.workers import process_pool
from hoprior.errors import HopriorError

Job = tuple[Any, ...]
Result = TypeVar("Result")
IN_FLIGHT = 4
"""Jobs a processor that a cluster is given ahead: no more, so that a million jobs do not fill the driver's memory."""


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[Job], workers: int = 1, cluster: str | None = None
) -> Iterator[tuple[Job, Result]]:
    """Calls `function(*job)` for every job, and yields each job with its result as it is done, in any order.

    Args:
        workers: processes on this machine; with one, everything runs in this process.
        cluster: address of a Ray cluster that does it instead; "auto" is the one that this machine belongs to.

    Raises:
        HopriorError: a job's own, a worker that was ended from outside or cannot be started, or a cluster that cannot
            be reached.

    Example:
        >>> sorted(run_jobs(pow, [(2, 3), (3, 2)]))
        [((2, 3), 8), ((3, 2), 9)]
    """
    if cluster is not None:
        yield from _on_cluster(function, jobs, cluster)
    elif workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, function(*job)
    else:
        yield from _in_processes(function, jobs, workers)


def _in_processes(function: Callable[..., Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    with process_pool(workers) as pool:
        futures = {pool.submit(function, *job): job for job in jobs}
        try:
            for future in as_completed(futures):
                # Forgotten when done: results of many jobs are not to be kept.
                job = futures.pop(future)
                yield job, future.result()
        except BrokenProcessPool as error:
            raise HopriorError(
                "a worker was ended from outside, perhaps for its memory; run again with fewer --workers: "
                "what was finished is kept"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(function: Callable[..., Result], jobs: Sequence[Job], address: str) -> Iterator[tuple[Job, Result]]:
    try:
        import ray
    except ImportError as error:
        raise HopriorError(f"a cluster needs Ray ({error}): pip install 'hoprior[cluster]'") from error
    if not ray.is_initialized():
        try:
            _check_reachable(address)
            ray.init(address=address, log_to_driver=False)
        except Exception as error:  # Ray raises ConnectionError, ValueError and RuntimeError of many kinds
            raise HopriorError(
                f"no Ray cluster at '{address}' ({_first_line(error)}): start one with `ray start --head`"
            ) from error
    remote = ray.remote(num_cpus=1, max_retries=2)(function)
    limit = IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: dict[Any, Job] = {}
    waiting = iter(jobs)
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < limit:
            job = next(waiting, None)
            if job is None:
                exhausted = True
            else:
                running[remote.remote(*job)] = job
        if not running:
            break
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            job = running.pop(reference)
            try:
                yield job, ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, HopriorError):
                    raise HopriorError(str(error.cause)) from error
                raise
            except ray.exceptions.RayError as error:  # its machine is gone, or it was ended again and again
                raise HopriorError(
                    f"a worker of the cluster was ended from outside ({_first_line(error)}); run again: what was "
                    "finished is kept"
                ) from error


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
