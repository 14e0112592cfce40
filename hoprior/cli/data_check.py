"""`hoprior data check NAME ROOT`: what is there of a dataset, what is missing or damaged, and a picture of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hoprior.cli.arguments import call_with_arguments, named
from hoprior.common.console import answers_console, counting_bar
from hoprior.common.io import check_place, write_atomically
from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.check import SHOWN, CheckReport, check_dataset
from hoprior.datasets.recordings.registry import ADAPTERS, open_dataset
from hoprior.datasets.recordings.sheet import sheet_of
from hoprior.errors import HopriorError
from hoprior.geometry.units import number_text


def check_data(
    name: str,
    root: Path,
    num: int | None = None,
    protocol: str | None = None,
    mano_dir: Path | None = None,
    out: Path = Path("."),
) -> dict[str, Any]:
    """Say what is there of a dataset, what is missing or damaged, and whether its numbers can be right.

    Args:
        name: of the dataset; `hoprior data list` names them.
        root: the folder that it was unpacked into.
        num: open only so many frames, evenly spread; all of them without.
        protocol: which of the dataset's official splits to count by.
        mano_dir: folder of your MANO files; without it the environment's HOPRIOR_MANO_DIR.
        out: folder for the picture, check_NAME.png.

    Example:
        hoprior data check dexycb /data/dexycb
    """
    check_place(out)
    if num is not None and num < 1:
        raise HopriorError(f"--num {num}: give 1 or more")
    adapter = open_dataset(name, root, mano_dir, protocol)
    console = answers_console()
    with counting_bar() as bar:
        task = bar.add_task(f"reading {adapter.title}", total=None)
        report = check_dataset(adapter, num, lambda done, total: bar.update(task, completed=done, total=total))
    show(console, adapter, report)
    if report.samples and not report.unmeasured:
        picture = sheet_of(f"{adapter.title} in {root}", report.samples)
        path = out / f"check_{name}.png"
        write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))
        console.print(f"{path}", markup=False, soft_wrap=True)
    if problems := report.problems():
        raise HopriorError(f"{adapter.title} in {root}: {'; '.join(problems)}")
    return {
        "dataset": adapter.title,
        "licence": adapter.licence,
        "frames": report.frames,
        "sequences": report.sequences,
        "sides": dict(report.sides),
        "splits": dict(report.splits),
        "opened": report.read,
        "samples": report.good,
        "skipped": dict(report.skipped),
        "geometry": {m.name: {"value": m.value, "unit": m.unit, "good": m.good} for m in report.geometry.measures},
    }


def show(console: Console, adapter: Adapter, report: CheckReport) -> None:
    """Prints a report."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"{adapter.title} ({adapter.homepage}), licence: {adapter.licence}")
    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
    sides = ", ".join(f"{count:,} {side}" for side, count in report.sides.items() if count)
    say(f"there: {report.frames:,} frames ({sides or 'no hands'}) in {report.sequences:,} sequences")
    say(f"split '{adapter.protocol}': {splits or 'nothing'}")
    for remark in adapter.remarks():
        say(f"note: {remark}")
    say(f"opened: {report.read:,}; samples: {report.good:,}; objects: {len(report.objects)}")
    for image, (there, of) in report.images.items():
        say(f"pictures '{image}': {there:,} of {of:,}")
    for rule, count in report.skipped.most_common():
        say(f"skipped: {count:,} ({rule})")
    _name(say, "missing", report.missing)
    _name(say, "mesh", [f"{name}: {reason}" for name, reason in report.meshes.items()])
    _name(say, "damaged", [reason for _, reason in report.damaged])
    if report.unmeasured:
        say(f"geometry not measured: {report.unmeasured}")
    elif report.geometry.measures:
        table = Table(title=f"geometry of {report.geometry.samples} samples", title_justify="left")
        for heading in ("measured", "value", "should be", ""):
            table.add_column(heading)
        for m in report.geometry.measures:
            value = f"{number_text(m.value)} {m.unit}".strip()
            table.add_row(m.name, value, m.expected, "good" if m.good else m.suspect)
        console.print(table)


def _name(say, kind: str, items: Sequence[str]) -> None:  # type: ignore[no-untyped-def]
    for item in items[:SHOWN]:
        say(f"{kind}: {item}")
    if len(items) > SHOWN:
        say(f"{kind}: and {len(items) - SHOWN:,} more")


def list_data() -> dict[str, Any]:
    """Name the datasets that hoprior reads, with where to get them, what their folders hold and how they are split.

    Example:
        hoprior data list
    """
    console = answers_console()
    for name, adapter in sorted(ADAPTERS.items()):
        lines = [f"{name}: {adapter.title}, {adapter.homepage}", f"    licence: {adapter.licence}"]
        lines.append(f"    folder: {adapter.layout}")
        if len(adapter.protocols) > 1:
            lines.append(f"    --protocol: {', '.join(adapter.protocols)}")
        if adapter.needs_mano:
            lines.append("    needs your MANO files: --mano-dir, or HOPRIOR_MANO_DIR")
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return {
        name: {
            "title": adapter.title,
            "homepage": adapter.homepage,
            "licence": adapter.licence,
            "layout": adapter.layout,
            "protocols": list(adapter.protocols),
            "needs_mano": adapter.needs_mano,
        }
        for name, adapter in sorted(ADAPTERS.items())
    }


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data check`."""
    return call_with_arguments(check_data, "hoprior data check", named(args))


def list_main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data list`."""
    return call_with_arguments(list_data, "hoprior data list", args)
