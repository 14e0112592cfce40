"""`hoprior eval grasp`: the metrics of grasps that lie in folders, as a table, as JSON and as CSV."""

import argparse
import os
from pathlib import Path
from typing import Any

from hoprior.common.io import check_place
from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import load_sets, read_recorded
from hoprior.evaluation.grasps import COLUMNS, Evaluation, _versions, evaluate, save, table_rows
from hoprior.geometry.units import METRES_PER_UNIT
from hoprior.physics.simulation.extras import simulator_missing


def show(evaluation: Evaluation, console: Any) -> None:
    """Prints the table, with the columns that have a value."""
    from rich.table import Table

    rows = table_rows(evaluation)
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows.values())]
    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column("object")
    for name in shown:
        table.add_column(COLUMNS[name][0], justify="right")
    for k, (label, row) in enumerate(rows.items()):
        values = [row.get(name) for name in shown]
        cells = ["-" if v is None else COLUMNS[n][1].format(v) for n, v in zip(shown, values, strict=True)]
        table.add_row(label, *cells, style="bold" if label == "mean of objects" else "", end_section=k == len(rows) - 1)
    console.print(table)


def main(args: list[str]) -> None:
    """The command line of `hoprior eval grasp`."""
    given = _parser().parse_args(args)
    recorded = read_recorded(given.likeness) if given.likeness else {}
    sets = [item for folder in given.folder for item in load_sets(folder, given.unit)]
    if recorded and not any(item.name in recorded for item in sets):
        raise HopriorError(
            f"{given.likeness}: has no grasps of {', '.join(sorted({item.name for item in sets}))}, only of "
            f"{', '.join(sorted(recorded))}: the mesh's file must be named as the object there."
        )
    out = given.out or Path(os.path.commonpath([folder.resolve() for folder in given.folder]))
    check_place(out)

    from rich.console import Console
    from rich.progress import Progress

    console = Console()
    simulate, note = _whether_to_simulate(given.simulate)
    if given.survival and (missing := simulator_missing(survival=True)):
        raise HopriorError(f"--survival: {missing}")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(sets))
        evaluation = evaluate(
            sets,
            simulate=simulate,
            survival=given.survival,
            recorded=recorded,
            decomposition=given.decomposition,
            progress=lambda name: bar.update(task, description=name, advance=1),
        )
    about = {
        "folders": [str(folder) for folder in given.folder],
        "seeds": {item.name: item.seed for item in sets},
        "counts": {"objects": len(evaluation.rows), "grasps": sum(len(item.verts) for item in sets)},
        "settings": {
            "simulate": simulate,
            "survival": given.survival,
            "decomposition": given.decomposition,
            "likeness": str(given.likeness) if given.likeness else None,
        },
        "versions": _versions(),
    }
    save(evaluation, out, about)
    show(evaluation, console)
    if note:
        console.print(note, highlight=False, markup=False)
    console.print(f"{out / 'metrics.json'}, metrics.csv", highlight=False, markup=False, soft_wrap=True)


def _whether_to_simulate(wanted: bool | None) -> tuple[bool, str]:
    """Simulates where nobody said otherwise and the packages are there; with a note where they are not."""
    missing = simulator_missing() if wanted is not False else None
    if missing and wanted:
        raise HopriorError(f"--simulate: {missing}")
    return (wanted is not False and not missing), f"no displacement: {missing}" if missing else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hoprior eval grasp", description="Depth, volume, contact, stability and diversity of grasps."
    )
    parser.add_argument("folder", type=Path, nargs="+", help="with grasps.json or .glb files, or a folder of such")
    parser.add_argument(
        "--out", type=Path, help="where metrics.json and metrics.csv go; the folder itself unless given"
    )
    parser.add_argument(
        "--simulate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="displacement in pybullet; done where pybullet and coacd are installed",
    )
    parser.add_argument("--survival", action="store_true", help="gravity from six sides, in MuJoCo")
    parser.add_argument("--decomposition", choices=("coacd", "vhacd"), default="coacd", help="of the object")
    parser.add_argument("--likeness", type=Path, metavar="NPZ", help="recorded grasps: joints_object and object")
    parser.add_argument("--unit", choices=tuple(METRES_PER_UNIT), default="m", help="of .glb files without grasps.json")
    return parser
