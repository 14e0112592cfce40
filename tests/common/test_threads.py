"""Pieces of work are done by several threads as one would do them."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from hoprior.common.threads import side_by_side


@pytest.fixture
def two_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(2)


def test_each_thread_has_one_of_torchs(two_threads: None) -> None:
    def work(item: int) -> tuple[int, int, int]:
        time.sleep(0.05)
        return item, threading.get_ident(), torch.get_num_threads()

    done = side_by_side(work, range(6))
    assert [item for item, _, _ in done] == list(range(6))
    assert len({who for _, who, _ in done}) == 2 and {inside for _, _, inside in done} == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("grad", [True, False])
def test_gradients_are_recorded_as_where_it_is_called(two_threads: None, grad: bool) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.set_grad_enabled(grad):
        found = side_by_side(lambda factor: factor * x, [1.0, 2.0])
    assert [part.requires_grad for part in found] == [grad] * 2


def test_an_error_is_raised_where_it_is_called(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 / item, [1, 0, 2])


def test_work_within_work_goes_on_in_the_same_thread(two_threads: None) -> None:
    def work(item: int) -> set[int]:
        return {threading.get_ident(), *side_by_side(lambda _: threading.get_ident(), [item, item])}

    assert [len(who) for who in side_by_side(work, [1, 2, 3])] == [1, 1, 1]
