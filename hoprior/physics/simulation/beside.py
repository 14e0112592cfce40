"""Processes that are started beside this one before there is work for them, so that nobody waits until they are there.

They are loky's, which, unlike Python's own, do not run the caller's script once more: `hoprior.grasp` is called from
scripts without `if __name__ == "__main__"`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import ShutdownExecutorError

Argument = TypeVar("Argument")
Result = TypeVar("Result")
IDLE = 300
"""Seconds without work after which a process ends; the next work starts another."""
WATCHED = 1.0
"""Seconds between two looks at whether the process that started them is still there."""


class Beside:
    """So many processes, of which the last number that was asked for is kept; several threads may ask at once."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._workers = 0
        self._changing = threading.Lock()

    def started(self, workers: int) -> bool:
        """Whether so many are there."""
        return 1 <= workers <= self._workers

    def start(self, workers: int, first: Callable[[], object]) -> None:
        """Starts processes, each of which calls `first` once; does not wait for them."""
        if workers < 1 or self.started(workers):
            return
        pool = self._of(workers)
        for _ in range(workers):
            pool.submit(_done, first)

    def call(self, function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int) -> list[Result]:
        """What a function gives for each argument, called by the processes.

        Without workers, or when one was killed, it is this process that calls it.
        """
        if workers >= 1 and (workers > 1 or self.started(1)):
            pool = self._of(workers)
            try:
                begun = [pool.submit(function, argument) for argument in arguments]
                return [future.result() for future in begun]
            except (BrokenProcessPool, ShutdownExecutorError):
                self._forget(pool)
        return [function(argument) for argument in arguments]

    def _of(self, workers: int) -> Any:
        """Processes, so many at least."""
        with self._changing:
            if not self.started(workers):
                if self._pool is not None:
                    self._pool.shutdown(wait=False)
                about = {"timeout": IDLE, "initializer": _end_with, "initargs": (os.getpid(),)}
                self._pool, self._workers = ProcessPoolExecutor(workers, **about), workers
            return self._pool

    def _forget(self, pool: Any) -> None:
        """Has the next call start others, unless another thread has."""
        with self._changing:
            if self._pool is pool:
                pool.shutdown(wait=False)
                self._pool, self._workers = None, 0


def _done(first: Callable[[], object]) -> None:
    """What `first` gives may be nothing that goes from one process to another."""
    first()


def _end_with(parent: int) -> None:
    """Ctrl-C is left to the process that started this one; if that was killed, this one ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCHED)
    os._exit(1)
