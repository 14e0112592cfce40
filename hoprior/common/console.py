"""What tasks tell a person at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as ProgressBar

Progress: TypeAlias = Callable[[str, float], None]
"""Told the stage and the share of all the work that is done."""


@contextmanager
def progress_bar(console: "Console") -> Iterator[Progress]:
    """A bar that shows the stage and the time, full where the work ends well."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    with ProgressBar(TextColumn("{task.description:<22}"), BarColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("loading", total=1.0)
        yield lambda stage, share: bar.update(task, description=stage, completed=share)
        bar.update(task, description="done", completed=1.0)


def saying(console: "Console", before: str = "") -> Callable[[str], None]:
    """Prints sentences as they are, one a line, above a bar if there is one."""
    return lambda text: console.print(before + text, markup=False, highlight=False, soft_wrap=True)


def counting_bar() -> "ProgressBar":
    """A bar for work of so many things: what is at hand, how many are done, and the time."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    return ProgressBar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
