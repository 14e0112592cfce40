"""Ctrl-C and SIGTERM that wait (common/interrupts.py)."""

import os
import signal
import threading

import pytest

from hoprior.common.interrupts import HeldBack


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_waits_and_the_second_does_not() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), HeldBack() as held:
        assert not held.asked
        interrupt()
        reached.append(held.asked)
        interrupt()
        reached.append(None)
    assert reached == [True]
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_nothing_is_left_behind_where_there_was_none() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with HeldBack() as held:
        pass
    assert not held.asked
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with HeldBack() as held:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not held.asked
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_inside_and_a_signal_end_with_the_signal() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, HeldBack():
        interrupt()
        raise ValueError
    assert isinstance(caught.value.__context__, ValueError)


def test_in_other_threads_nothing_is_held_back() -> None:
    found = []

    def run() -> None:
        with HeldBack() as held:
            found.append(held.asked)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
