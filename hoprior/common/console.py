"""What tasks tell a person at a terminal."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as ProgressBar

Progress: TypeAlias = Callable[[str, float], None]
"""Told the stage and the share of all the work that is done."""


@dataclass
class Manner:
    """How much is said, by the flags that every command takes."""

    quiet: bool = False
    """Nothing on the error stream but errors."""
    verbose: bool = False
    as_json: bool = False
    """The result goes to the output stream as JSON, and nothing else does."""

    @contextmanager
    def as_said(self, **flags: bool) -> Iterator[None]:
        """While one command runs."""
        before = dict(vars(self))
        vars(self).update({"quiet": False, "verbose": False, "as_json": False, **flags})
        try:
            yield
        finally:
            vars(self).update(before)


MANNER = Manner()


def notes_console(**options: Any) -> "Console":
    """Where progress and remarks go: the error stream."""
    from rich.console import Console

    return Console(stderr=True, quiet=MANNER.quiet, **options)


def answers_console(**options: Any) -> "Console":
    """Where what was asked for goes: the output stream, unless that is JSON's."""
    from rich.console import Console

    return Console(quiet=MANNER.as_json, **options)


@contextmanager
def progress_bar(console: "Console") -> Iterator[Progress]:
    """A bar that shows the stage and the time, full where the work ends well."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("{task.description:<22}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console) as bar:
        task = bar.add_task("loading", total=1.0)
        yield lambda stage, share: bar.update(task, description=stage, completed=share)
        bar.update(task, description="done", completed=1.0)


def shares_bar(console: "Console") -> "ProgressBar":
    """A bar for many things that each take long: what was done last, how many are done, time passed and left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return ProgressBar(*columns, console=console, speed_estimate_period=3600)


def steps_bar() -> "ProgressBar":
    """A bar for a training, on the error stream: steps, time passed and left, and the figures of the last step."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    return ProgressBar(*columns, console=notes_console())


def saying(console: "Console", before: str = "") -> Callable[[str], None]:
    """Prints sentences as they are, one a line, above a bar if there is one."""
    return lambda text: console.print(before + printable(text), markup=False, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Text of somebody else's, without the characters by which it could steer a terminal.

    Example:
        >>> printable("a mug" + chr(27) + "[31m")
        'a mug�[31m'
    """
    steering = ("Cc", "Cf", "Cs")  # controls, directions, halves of characters
    return "".join(x if x in "\n\t" or unicodedata.category(x) not in steering else "\ufffd" for x in text)


def counting_bar() -> "ProgressBar":
    """A bar for work of so many things: what is at hand, how many are done, and the time."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return ProgressBar(*columns, console=answers_console())
