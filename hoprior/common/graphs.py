"""Steps that a GPU is told once and repeats by itself: to launch a thousand kernels takes longer than to run them.

`torch.cuda.CUDAGraph` records what a step launches, and launches it again as one. What Python does between is not
recorded, so a step for it works on the same memory each time and waits for nothing. Whatever else can repeat steps, by
the same names in the device's own module of torch, is used likewise.
"""

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Step = Callable[[], None]
WAITED = "called a synchronizing"
"""So torch begins to say that the host waited for the device."""

_logger = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()
"""Graphs are recorded one after the other, whichever threads want them."""


def replayed(step: Step, state: Sequence[Tensor]) -> Step:
    """A step, or what does the same in one launch, where the device can record it and the step can be recorded.

    Everything that a step reads and writes from one time to the next is in tensors that stay where they are: numbers
    that change are on the device, too. It is done twice to see whether it waits for the device, which `state` forgets.

    Args:
        step: to be done many times.
        state: all that it writes and that lasts, in place; of one device.

    Example:
        >>> total = torch.zeros(1)
        >>> def step():
        ...     total.add_(2)
        >>> again = replayed(step, [total])  # on a CPU the step itself
        >>> again(), again(), total
        (None, None, tensor([4.]))
    """
    device = state[0].device
    if not can_replay(device):
        return step
    maker: Any = torch.get_device_module(device)
    with _one_at_a_time:
        before = [tensor.detach().clone() for tensor in state]
        stream, graph = maker.Stream(device), None
        stream.wait_stream(maker.current_stream(device))
        with maker.stream(stream):
            # Constants, handles and workspaces are made at the first time.
            step()
            reason = _waited_for(maker, step)
            if reason is None:
                graph = maker.CUDAGraph()
                try:
                    with maker.graph(graph, stream=stream, capture_error_mode="thread_local"):
                        step()
                except RuntimeError as error:
                    graph, reason = None, str(error)
        maker.current_stream(device).wait_stream(stream)
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
    if graph is None:
        _logger.info("a step is launched kernel by kernel, since it cannot be recorded: %s", reason)
        return step
    return _Replay(step, graph)


class _Replay:
    """A graph, with the step whose memory it works on."""

    def __init__(self, step: Step, graph: Any) -> None:
        self.step, self.graph = step, graph

    def __call__(self) -> None:
        self.graph.replay()


def can_replay(device: torch.device) -> bool:
    """Whether steps on a device can be recorded.

    Example:
        >>> can_replay(torch.device("cpu"))
        False
    """
    return hasattr(getattr(torch, device.type, None), "CUDAGraph")


def _waited_for(maker: Any, step: Step) -> str | None:
    """What torch says of a step that waits for the device; None where it does not.

    Found out before a graph is recorded, it leaves nothing broken.
    """
    mode = maker.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        maker.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            maker.set_sync_debug_mode(mode)
    return next((str(each.message) for each in told if WAITED in str(each.message)), None)
