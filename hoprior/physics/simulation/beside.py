"""Processes that are started beside this one before there is work for them, so that nobody waits until they are there.

They are loky's, which, unlike Python's own, do not run the caller's script once more: `hoprior.grasp` is called from
scripts without `if __name__ == "__main__"`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor

Argument = TypeVar("Argument")
Result = TypeVar("Result")
IDLE = 300
"""Seconds without work after which a process ends; the next work starts another."""
WATCHED = 1.0
"""Seconds between two looks at whether the process that started them is still there."""


class Beside:
    """So many processes, of which the last number that was asked for is kept."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._workers = 0

    def started(self, workers: int) -> bool:
        """Whether so many are there."""
        return 1 <= workers <= self._workers

    def start(self, workers: int, first: Callable[[], object]) -> None:
        """Starts processes, each of which calls `first` once; does not wait for them."""
        if workers < 1 or self.started(workers):
            return
        self._make(workers)
        for _ in range(workers):
            self._pool.submit(_done, first)

    def begin(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int
    ) -> Callable[[], list[Result]]:
        """Has the processes call a function with each argument; what it returns, called, gives the results.

        Without workers, or when one was killed, it is this process that calls it, then.
        """
        if workers < 1 or (workers == 1 and not self.started(1)):
            return lambda: [function(argument) for argument in arguments]
        if not self.started(workers):
            self._make(workers)
        begun: list[Future[Result]] = []
        try:
            begun += [self._pool.submit(function, argument) for argument in arguments]
        except BrokenProcessPool:
            self._forget()

        def results() -> list[Result]:
            try:
                found = [future.result() for future in begun]
            except BrokenProcessPool:
                self._forget()
                found = []
            return found if len(found) == len(arguments) else [function(argument) for argument in arguments]

        return results

    def _make(self, workers: int) -> None:
        self._forget()
        self._pool = ProcessPoolExecutor(workers, timeout=IDLE, initializer=_end_with, initargs=(os.getpid(),))
        self._workers = workers

    def _forget(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
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
