"""Jobs in other processes, or on other machines: the same function, whoever runs it."""

import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from hoprior.common.workers import end_workers, process_pool
from hoprior.errors import HopriorError

Job = tuple[Any, ...]
Result = TypeVar("Result")
IN_FLIGHT = 4
"""Jobs a processor that a cluster is given ahead: no more, so that a million jobs do not fill the driver's memory."""
ENDED = "a worker was ended from outside, perhaps for its memory"


def run_jobs(
    function: Callable[..., Result],
    jobs: Sequence[Job],
    workers: int = 1,
    cluster: str | None = None,
    *,
    gpus: float = 0.0,
    lost: Callable[[Job, str], Result] | None = None,
) -> Iterator[tuple[Job, Result]]:
    """Calls `function(*job)` for every job, and yields each job with its result as it is done, in any order.

    Args:
        workers: processes on this machine; with one, everything runs in this process.
        cluster: address of a Ray cluster that does it instead; "auto" is the one that this machine belongs to.
        gpus: of a cluster, that each job needs, beside a processor.
        lost: what stands for the result of a job whose worker is ended again and again, given a sentence; the other
            jobs go on. Without it that is an error.

    Raises:
        HopriorError: a job's own, a worker that was ended from outside or cannot be started, or a cluster that cannot
            be reached or has no GPU where one is needed.

    Example:
        >>> sorted(run_jobs(pow, [(2, 3), (3, 2)]))
        [((2, 3), 8), ((3, 2), 9)]
    """
    if cluster is not None:
        yield from _on_cluster(function, jobs, cluster, gpus, lost)
    elif workers <= 1 or (len(jobs) <= 1 and lost is None):
        for job in jobs:
            yield job, function(*job)
    else:
        yield from _in_processes(function, jobs, workers, lost)


def _in_processes(
    function: Callable[..., Result], jobs: Sequence[Job], workers: int, lost: Callable[[Job, str], Result] | None
) -> Iterator[tuple[Job, Result]]:
    waiting: deque[Job] = deque(jobs)
    suspects: deque[Job] = deque()
    while waiting or suspects:
        # Of the jobs that were at hand when a worker was ended nobody knows whose it was: each is tried by itself.
        alone = bool(suspects)
        batch = deque([suspects.popleft()]) if alone else waiting
        running: dict[Future[Result], Job] = {}
        pool = process_pool(1 if alone else workers)
        try:
            while running or batch:
                while batch and len(running) < (1 if alone else 2 * workers):
                    running[pool.submit(function, *batch[0])] = batch[0]
                    batch.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    # Forgotten when done: results of many jobs are not to be kept.
                    yield running.pop(future), result
            pool.shutdown(wait=True)
        except (BrokenProcessPool, SystemExit) as error:  # killed, or told to end
            end_workers(pool)
            if lost is None:
                raise HopriorError(f"{ENDED}; run again with fewer --workers: what was finished is kept") from error
            left = [future.result() for future in running if _is_done(future)]
            finished = [job for future, job in running.items() if _is_done(future)]
            yield from zip(finished, left, strict=True)
            again = [job for future, job in running.items() if not _is_done(future)]
            if alone:
                yield from ((job, lost(job, ENDED)) for job in again)
            else:
                suspects.extend(again)
        except BaseException:
            end_workers(pool)
            raise


def _is_done(future: "Future[Any]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _on_cluster(
    function: Callable[..., Result],
    jobs: Sequence[Job],
    address: str,
    gpus: float,
    lost: Callable[[Job, str], Result] | None,
) -> Iterator[tuple[Job, Result]]:
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
    there = ray.cluster_resources()
    if gpus > there.get("GPU", 0):
        raise HopriorError(f"the Ray cluster at '{address}' has no GPU: leave --device out, or use --device cpu")
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=2)(function)
    limit = IN_FLIGHT * max(1, int(there.get("GPU", 1) / gpus if gpus else there.get("CPU", 1)))
    running: dict[Any, Job] = {}
    waiting = iter(jobs)
    exhausted = False
    try:
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
                    result = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, HopriorError):
                        raise HopriorError(str(error.cause)) from error
                    raise
                except ray.exceptions.RayError as error:  # its machine is gone, or it was ended again and again
                    if lost is None:
                        raise HopriorError(
                            f"a worker of the cluster was ended from outside ({_first_line(error)}); run again: what "
                            "was finished is kept"
                        ) from error
                    result = lost(job, ENDED)
                yield job, result
    finally:
        for reference in running:  # of a run that is stopped
            ray.cancel(reference)


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
