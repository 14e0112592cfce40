"""Graphs of the pretended device, under the names that `torch.cuda` has for them.

As there, nothing is computed while a graph is recorded, a wait or an upload then fails, and a replay repeats the
operations on the memory that they were recorded with.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pretend_counts import COUNTS, NO_KERNELS, Operation
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves


class CUDAGraph:
    """Operations on the CPU's tensors that hold the device's values."""

    recording: ClassVar["CUDAGraph | None"] = None

    def __init__(self) -> None:
        self.operations: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.kernels = 0
        self.made: set[int] = set()
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.kept: list[torch.Tensor] = []

    def spare(self, func: Any, args: Any, kwargs: Any) -> None:
        """Keeps what memory that is older than the graph holds, if an operation is about to write to it."""
        named = dict(zip([a.name for a in func._schema.arguments], args, strict=False)) | kwargs
        for argument in func._schema.arguments:
            if argument.alias_info is None or not argument.alias_info.is_write or func.is_view:
                continue
            for tensor in tensors_in(named.get(argument.name)):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.made:
                    self.before.setdefault(storage.data_ptr(), (storage, storage.clone()))

    def keep(self, func: Any, args: Any, kwargs: Any, out: Any, operation: Operation) -> None:
        """Records an operation that was done once to see what shape its result has."""
        results = tensors_in(out)
        self.kernels += operation.kernels
        if not func.is_view and func._schema.name not in NO_KERNELS:
            self.operations.append((func, args, kwargs, results))
        old = {id(x) for x in tensors_in((args, kwargs))}
        if not func.is_view:
            self.made |= {x.untyped_storage().data_ptr() for x in results if id(x) not in old}
        self.kept += results  # the graph's own memory is nobody else's

    def replay(self) -> None:
        """All of them once more."""
        COUNTS.add_replay(self.kernels)
        with _disable_current_modes(), torch.no_grad():
            for func, args, kwargs, results in self.operations:
                for fresh, kept in zip(tensors_in(func(*args, **kwargs)), results, strict=True):
                    if fresh is not kept:
                        kept.copy_(fresh)


class Stream:
    """There is one stream."""

    def __init__(self, device: Any = None) -> None: ...

    def wait_stream(self, other: "Stream") -> None: ...


class Graphs:
    """What of them the device's module has."""

    CUDAGraph = CUDAGraph
    Stream = Stream
    sync_debug_mode = "default"

    def current_stream(self, device: Any = None) -> Stream:
        return Stream()

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        yield

    def get_sync_debug_mode(self) -> str:
        return self.sync_debug_mode

    def set_sync_debug_mode(self, mode: str) -> None:
        Graphs.sync_debug_mode = mode

    @contextmanager
    def graph(self, graph: CUDAGraph, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        COUNTS.add_wait()
        CUDAGraph.recording = graph
        try:
            yield
        finally:
            CUDAGraph.recording = None
            for storage, value in graph.before.values():
                storage.copy_(value)


def refuse_to_wait(operation: Operation) -> None:
    """Fails where the host would wait while a graph is recorded; tells where somebody wants to know."""
    if not operation.waits and not operation.uploads:
        return
    if CUDAGraph.recording is not None:
        raise RuntimeError("operation not permitted when stream is capturing")
    if Graphs.sync_debug_mode == "warn":
        warnings.warn("called a synchronizing CUDA operation", stacklevel=1)


def tensors_in(tree: Any) -> list[torch.Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]
