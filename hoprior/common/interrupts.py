"""Ctrl-C and SIGTERM that wait until what is going on can be kept."""

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HeldBack:
    """Inside, the first Ctrl-C or SIGTERM is only noted; it acts when this is left, and a second one at once.

    Elsewhere than in the main thread, which alone hears of signals, nothing is held back.

    Attributes:
        asked: whether there was one: come to an end.

    Example:
        >>> done = 0
        >>> try:
        ...     with HeldBack() as held:
        ...         while not held.asked:
        ...             os.kill(os.getpid(), signal.SIGINT)
        ...             done += 1  # is still done
        ... except KeyboardInterrupt:
        ...     print(done)
        1
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}
        self._first: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> "HeldBack":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # What is ignored stays so; what is not Python's own cannot be put back.
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._put_back()
        if self._first is not None:
            number, frame = self._first
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, frame)
            else:
                os.kill(os.getpid(), number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked, self._first = True, (number, frame)
        self._put_back()

    def _put_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
