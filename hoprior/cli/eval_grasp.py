"""`hoprior eval grasp`: the metrics of grasps that lie in folders, as a table, as JSON and as CSV."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hoprior.cli.arguments import call_with_arguments, with_leading
from hoprior.common.console import answers_console, notes_console
from hoprior.common.io import check_place
from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import GraspSet, load_sets, read_recorded
from hoprior.evaluation.grasps import COLUMNS, Evaluation, _versions, evaluate, save, table_rows
from hoprior.evaluation.judging import Pair, pairs_of
from hoprior.evaluation.judging import judge as judged
from hoprior.evaluation.lifts import check_joints
from hoprior.evaluation.pages import grasps_metrics_page
from hoprior.language.describe.endpoint import Endpoint
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.results.report.tables import write_page_beside

FEW_OBJECTS = 4
"""So many have a column each, so that every measure has a line of its own; of more, each has a line."""


def show(evaluation: Evaluation, console: Any) -> None:
    """Prints the table, with the columns that have a value."""
    from rich.table import Table

    rows = table_rows(evaluation)
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows.values())]
    table = Table(box=None, header_style="bold", padding=(0, 1))
    if len(rows) <= FEW_OBJECTS:
        table.add_column("")
        for label in rows:
            table.add_column(label, justify="right")
        for name in shown:
            title, form = COLUMNS[name]
            values = [row.get(name) for row in rows.values()]
            table.add_row(title.replace("\n", " "), *("-" if v is None else form.format(v) for v in values))
        console.print(table)
        return
    table.add_column("object")
    for name in shown:
        table.add_column(COLUMNS[name][0], justify="right")
    for k, (label, row) in enumerate(rows.items()):
        values = [row.get(name) for name in shown]
        cells = ["-" if v is None else COLUMNS[n][1].format(v) for n, v in zip(shown, values, strict=True)]
        table.add_row(label, *cells, style="bold" if label == "mean of objects" else "", end_section=k == len(rows) - 1)
    console.print(table)


def evaluate_grasps(
    folder: list[Path],
    out: Path | None = None,
    simulate: bool | None = None,
    survival: bool = False,
    contacts: bool = False,
    lift: bool = False,
    decomposition: Literal["coacd", "vhacd"] = "coacd",
    likeness: Path | None = None,
    unit: Literal["m", "cm", "mm", "in"] = "m",
    judge: str | None = None,
    judge_model: str | None = None,
    against: Path | None = None,
    no_report: bool = False,
) -> dict[str, Any]:
    """Depth, volume, contact, stability and diversity of grasps.

    Args:
        folder: folders with grasps.json or .glb files, or folders of such.
        out: folder for metrics.json and metrics.csv; the grasps' own without.
        simulate: displacement in pybullet, cm; without a word it is done where pybullet and coacd are installed.
        survival: also let gravity pull from six sides, in MuJoCo.
        contacts: also measure what touches (a second a grasp): epsilon and, with --likeness, agreement with people.
        lift: also have each hand lift the object off a table, in MuJoCo (two seconds a grasp); beside it stands what
            people reach: with the same objects where --likeness has them, else with those of the calibration.
        decomposition: what cuts the object into convex parts for the simulation.
        likeness: a file of recorded grasps to be like: .npz with joints_object (m) and object.
        unit: of .glb files without grasps.json.
        judge: URL of an OpenAI-compatible server, to which pairs of pictures are sent, ours and those of --against; its
            model says which hand is more like a person's.
        judge_model: the server's vision-language model.
        against: folder of others' grasps of the same objects, for --judge.
        no_report: leave out metrics.html, the page of the tables.

    Example:
        hoprior eval grasp out/mug_grasps
    """
    recorded = read_recorded(likeness) if likeness else {}
    sets = [item for folder in folder for item in load_sets(folder, unit)]
    if recorded and not any(item.name in recorded for item in sets):
        raise HopriorError(
            f"{likeness}: has no grasps of {', '.join(sorted({item.name for item in sets}))}, only of "
            f"{', '.join(sorted(recorded))}: the mesh's file must be named as the object there."
        )
    if lift:
        _check_lift(sets)
    pairs, judging = _to_judge(sets, judge, judge_model, against, unit)
    out = out or Path(os.path.commonpath([folder.resolve() for folder in folder]))
    check_place(out)

    from rich.progress import Progress

    console = answers_console()
    simulated, note = _whether_to_simulate(simulate)
    if survival and (missing := simulator_missing(survival=True)):
        raise HopriorError(f"--survival: {missing}")
    with Progress(console=notes_console(), transient=True) as bar:
        task = bar.add_task("", total=len(sets))
        evaluation = evaluate(
            sets,
            simulate=simulated,
            survival=survival,
            contacts=contacts,
            lift=lift,
            recorded=recorded,
            decomposition=decomposition,
            progress=lambda name: bar.update(task, description=name, advance=1),
        )
        judgement = None
        if judging is not None:
            task = bar.add_task("", total=len(pairs))
            judgement = judged(judging, pairs, lambda name: bar.update(task, description=name, advance=1))
    about = {
        "folders": [str(folder) for folder in folder],
        "seeds": {item.name: item.seed for item in sets},
        "counts": {"objects": len(evaluation.rows), "grasps": sum(len(item.verts) for item in sets)},
        "settings": {
            "simulate": simulated,
            "survival": survival,
            "contacts": contacts,
            "lift": lift,
            "decomposition": decomposition,
            "likeness": str(likeness) if likeness else None,
        },
        "versions": _versions(),
    }
    if judgement is not None and judging is not None:
        about["judge"] = {"model": judging.name, "against": str(against), **judgement._asdict()}
    save(evaluation, out, about)
    page = write_page_beside(out / "metrics.json", None if no_report else grasps_metrics_page(evaluation, about))
    show(evaluation, console)
    if judgement is not None:
        console.print(f"the judge prefers these {judgement}", highlight=False, markup=False)
    if note:
        console.print(note, highlight=False, markup=False)
    names = ["metrics.csv", *([page.name] if page else [])]
    console.print(f"{out / 'metrics.json'}, {', '.join(names)}", highlight=False, markup=False, soft_wrap=True)
    return {"out": out, "metrics": evaluation.rows}


def _check_lift(sets: list[GraspSet]) -> None:
    if missing := simulator_missing(survival=True):
        raise HopriorError(f"--lift: {missing}")
    for item in sets:
        check_joints(item)


def _to_judge(
    sets: list[GraspSet], url: str | None, model: str | None, against: Path | None, unit: str
) -> tuple[list[Pair], Endpoint | None]:
    """What a judge is to see, and the judge; nothing where none was asked for."""
    if url is None:
        if model is not None or against is not None:
            raise HopriorError("--judge-model and --against are for a judge: give its server's URL with --judge")
        return [], None
    if model is None or against is None:
        raise HopriorError("--judge asks for --judge-model (as its server calls it) and --against (others' grasps)")
    return pairs_of(sets, load_sets(against, unit)), Endpoint(url, model)


def _whether_to_simulate(wanted: bool | None) -> tuple[bool, str]:
    """Simulates where nobody said otherwise and the packages are there; with a note where they are not."""
    missing = simulator_missing() if wanted is not False else None
    if missing and wanted:
        raise HopriorError(f"--simulate: {missing}")
    return (wanted is not False and not missing), f"no displacement: {missing}" if missing else ""


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior eval grasp`."""
    return call_with_arguments(evaluate_grasps, "hoprior eval grasp", with_leading(args, "folder", many=True))
