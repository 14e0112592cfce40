"""What came of many things, as they end, and what there is of them in the end."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoprior.common.console import shares_bar
from hoprior.errors import SomeFailed
from hoprior.tasks.many import MANIFEST_NAME, Outcome

if TYPE_CHECKING:
    from rich.console import Console


def tell_many(
    outcomes: Iterable[Outcome], total: int, out: Path, things: str, made: str, console: "Console"
) -> dict[str, Any]:
    """Shows how many are done, and the time that is left; what failed is told at once.

    Args:
        total: how many outcomes there will be.
        things: what they are, "meshes".
        made: what is made of each, "grasps".

    Returns:
        Counts, and where everything is.

    Raises:
        SomeFailed: some have no results; the others are there.
    """
    counts: Counter[str] = Counter()
    failed: list[str] = []
    with shares_bar(console) as bar:
        task = bar.add_task("loading", total=total)
        try:
            for outcome in outcomes:
                counts[outcome.status] += 1
                if outcome.error is not None:
                    failed.append(outcome.error)
                    console.print(outcome.error, style="yellow", highlight=False, markup=False, soft_wrap=True)
                # What was there already says nothing of the time that is left.
                if outcome.status == "kept":
                    total -= 1
                    bar.reset(task, total=total, description="loading")
                else:
                    bar.update(task, advance=1, description=outcome.name[:22])
        except BaseException:
            done = counts["done"] + counts["kept"]
            console.print(f"stopped: {done} are done and stay; the same command goes on from there", highlight=False)
            raise
    done = counts["done"] + counts["kept"]
    manifest = out / MANIFEST_NAME
    console.print(f"{made} of {done} {things} in {out}: {manifest.name} says what came of each", highlight=False)
    result = {
        "out": out,
        "manifest": manifest,
        things: done + len(failed),
        "done": done,
        "kept": counts["kept"],
        "failed": len(failed),
    }
    if failed:
        more = "" if len(failed) == 1 else f", the first: {failed[0]}"
        said = failed[0] if len(failed) == 1 else f"{len(failed)} of {done + len(failed)} {things} failed{more}"
        raise SomeFailed(f"{said}; {manifest} has all of them", result)
    return result
