"""What a GPU would be given to do by a command on the pretended device: kernels, and how often the host waits for it.

An operation of torch counts as one kernel, whatever a GPU makes of it; those that only look at memory otherwise
(views), or only ask for some, are none. Waits are what brings something to the CPU, or must know how large a result
is. Uploads are what the CPU sends, for which it waits, too, unless that memory is pinned; constants made in a step are
such. The operations of a graph are executed at each replay, and cost the host one launch together.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch

ROOT = str(Path(__file__).resolve().parent.parent)
HERE = str(Path(__file__).resolve().parent)
NO_KERNELS = {
    "aten::_unsafe_view",
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::lift_fresh",
    "aten::new_empty",
    "aten::new_empty_strided",
}
SIZED_BY_VALUES = {
    "aten::_linalg_check_errors",
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::equal",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_consecutive",
    "aten::unique_dim",
}
"""What the host must see of a result before it goes on."""
MOVES = ("aten::_to_copy", "aten::copy_", "aten::_copy_from")
INDEXES = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index")
SHOWN = 30
"""Rows of each table."""


class Cause(NamedTuple):
    """Who asked for an operation: the innermost line of hoprior, and the line of a search's `run`."""

    line: str = "?"
    stage: str = "?"


class Counts:
    """Of what a command has the device do."""

    def __init__(self) -> None:
        self.kernels = 0
        self.launches, self.waits, self.uploads = Counter[Cause](), Counter[Cause](), Counter[Cause]()
        self.cause = Cause()

    def add(self, operation: "Operation") -> None:
        """An operation that is launched by itself."""
        self.cause = cause_of(sys._getframe(1)) or self.cause
        self.kernels += operation.kernels
        self.launches[self.cause] += operation.kernels
        self.waits[self.cause] += operation.waits
        self.uploads[self.cause] += operation.uploads

    def add_replay(self, kernels: int) -> None:
        """A graph of so many kernels."""
        self.cause = cause_of(sys._getframe(1)) or self.cause
        self.kernels += kernels
        self.launches[self.cause] += 1

    def add_wait(self) -> None:
        """For all that the device was given."""
        self.cause = cause_of(sys._getframe(1)) or self.cause
        self.waits[self.cause] += 1

    def told(self) -> str:
        """The sums, and who causes the most."""
        return "\n".join(self._rows())

    def _rows(self) -> Iterator[str]:
        kinds = {"launches": self.launches, "waits": self.waits, "uploads": self.uploads}
        yield ", ".join(f"{counter.total()} {name}" for name, counter in kinds.items()) + f", {self.kernels} kernels"
        for name, counter in kinds.items():
            for field in Cause._fields:
                yield f"\n{name} by {field}"
                by: Counter[str] = Counter()
                for cause, count in counter.items():
                    by[getattr(cause, field)] += count
                yield from (f"{count:9,}  {who}" for who, count in by.most_common(SHOWN) if count)


class Operation(NamedTuple):
    """What an operation on the device costs."""

    kernels: int = 0
    waits: int = 0
    uploads: int = 0

    @classmethod
    def of(cls, func: Any, args: tuple[Any, ...], here: list[torch.Tensor], stays: bool) -> "Operation":
        """An operation that has to do with the device.

        Args:
            here: the CPU's among its tensors.
            stays: whether its result is on the device.
        """
        name = func._schema.name
        if func.is_view or name in NO_KERNELS:
            return cls()
        waits, uploads = name in SIZED_BY_VALUES or not stays, 0
        if name in MOVES:
            uploads = int(stays and any(x is args[-1] or x is args[0] for x in here))
        elif name in INDEXES:
            indices = [x for x in args[1] if isinstance(x, torch.Tensor)]
            waits = waits or any(x.dtype in (torch.bool, torch.uint8) for x in indices)
            uploads = sum(any(x is one for one in here) for x in indices)
        elif name == "aten::where":
            uploads = len(here)
        elif name == "aten::repeat_interleave" and len(args) == 1:
            waits = True  # how long the result is only the device knows
        return cls(1, int(waits), uploads)


def cause_of(frame: FrameType | None) -> Cause | None:
    """Who is at work; None in a thread of torch's own, which takes slopes for whoever is waiting for them."""
    line, stage = None, "?"
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(ROOT) and not code.co_filename.startswith(HERE):
            where = f"{code.co_filename.removeprefix(ROOT + '/')}:{frame.f_lineno}"
            line = line or f"{where} {code.co_name}"
            if code.co_qualname == "GraspSearch.run":
                stage = where
        frame = frame.f_back
    return Cause(line, stage) if line else None


COUNTS = Counts()
