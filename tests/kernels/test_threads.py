"""Shares of work: each thing once, by whom there is, whatever goes wrong, and after a fork."""

import os
import threading
from collections.abc import Callable

import pytest
import torch

from hoprior.kernels.threads import in_shares


@pytest.fixture
def three_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(3)


def test_each_thing_is_done_once_side_by_side(three_threads: None) -> None:
    done: list[int] = []
    meeting, who = threading.Barrier(3, timeout=20), set()

    def work(first: int, last: int) -> None:
        meeting.wait()  # all three are at work at once
        who.add(threading.get_ident())
        done.extend(range(first, last))

    for _ in range(2):
        in_shares(10, work)
    assert sorted(done) == sorted(2 * list(range(10))) and threading.get_ident() in who and len(who) == 3
    assert torch.get_num_threads() == 3
    few: list[tuple[int, int]] = []
    in_shares(2, lambda first, last: few.append((first, last)))
    assert sorted(few) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("wrong", [0, 4, 9])
def test_what_goes_wrong_in_a_share_is_told_and_the_next_work_is_done(three_threads: None, wrong: int) -> None:
    def work(first: int, last: int) -> None:
        if first <= wrong < last:
            raise ValueError(f"{wrong} is wrong")

    with pytest.raises(ValueError, match=f"{wrong} is wrong"):
        in_shares(10, work)
    done: list[int] = []
    in_shares(10, lambda first, last: done.extend(range(first, last)))
    assert sorted(done) == list(range(10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_off_has_threads_of_its_own(three_threads: None) -> None:
    in_shares(3, lambda first, last: None)
    pid = os.fork()
    if not pid:
        done: list[int] = []
        in_shares(9, lambda first, last: done.extend(range(first, last)))
        os._exit(0 if sorted(done) == list(range(9)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
