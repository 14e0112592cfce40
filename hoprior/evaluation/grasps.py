"""`hoprior eval grasp`: the metrics of grasps that lie in folders, as a table, as JSON and as CSV.

Folders that `hoprior run grasp` wrote, folders of such folders, or GLBs from anywhere with the geometries `hand` and
`object`. docs/metrics.md says what each column is.
"""

import argparse
import csv
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import GraspSet, load_sets, read_recorded
from hoprior.geometry.mesh import METRES_PER_UNIT, prepare_mesh
from hoprior.geometry.state import transform_points
from hoprior.metrics import GraspMetrics, diversity_cm, grasp_metrics, likeness
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.results.folder import package_versions

logger = logging.getLogger(__name__)

RANKED_FROM = 20
"""Fewer grasps of an object have no tenth that would say anything."""
TENTH = 0.1

COLUMNS = {
    "grasps": ("grasps", "{:.0f}"),
    "max_depth_cm": ("max depth\ncm ↓", "{:.2f}"),
    "mean_depth_cm": ("mean depth\ncm ↓", "{:.2f}"),
    "volume_cm3": ("volume\ncm³ ↓", "{:.2f}"),
    "exact_volume_cm3": ("exact\ncm³ ↓", "{:.2f}"),
    "displacement_cm": ("displaced\ncm ↓", "{:.2f}"),
    "survival": ("survival\n↑", "{:.2f}"),
    "contact_ratio": ("contact\nratio ↑", "{:.2f}"),
    "contact_area": ("contact\narea ↑", "{:.2f}"),
    "diversity_object_cm": ("diversity\nobject, cm ↑", "{:.2f}"),
    "diversity_hand_cm": ("diversity\nhand, cm ↑", "{:.2f}"),
    "nearest_cm": ("nearest\ncm ↓", "{:.1f}"),
    "precision": ("precision\n4 cm ↑", "{:.2f}"),
    "coverage": ("coverage\n4 cm ↑", "{:.2f}"),
    "fingers_cm": ("fingers\ncm ↓", "{:.1f}"),
    "score_displacement_spearman": ("Spearman\nscore, displ.", "{:.2f}"),
}
"""Field -> title and format in the table; columns without a value are left out."""

Row = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found: a row an object, means over objects, rows by rank, and each grasp's own metrics."""

    rows: dict[str, Row]
    mean: Row
    ranking: dict[str, Row]
    grasps: dict[str, list[GraspMetrics]]


def evaluate(
    sets: Sequence[GraspSet],
    *,
    simulate: bool = True,
    survival: bool = False,
    recorded: Mapping[str, np.ndarray] | None = None,
    decomposition: str = "coacd",
    progress: Any = None,
) -> Evaluation:
    """The metrics of sets of grasps; means are over objects, each counting once.

    Args:
        recorded: object's name -> joints (n,21,3) of recorded grasps of it, metres, in the object's frame.
        progress: called with each object's name before it is measured.

    Raises:
        HopriorError: a simulator is missing, or an object is no solid.
    """
    rows: dict[str, Row] = {}
    by_rank: dict[str, list[Row]] = {"top 10 %": [], "all": [], "bottom 10 %": []}
    grasps: dict[str, list[GraspMetrics]] = {}
    for item in sets:
        name = item.name if item.name not in rows else str(item.folder / item.name)
        if progress:
            progress(name)
        solid = prepare_mesh(item.mesh, item.name)
        found = grasp_metrics(
            item.verts,
            item.faces,
            solid,
            simulate=simulate,
            survival=survival,
            decomposition=decomposition,
            workers=torch.get_num_threads(),
        )
        grasps[name] = found
        row = _summary(found) | _of_set(item, recorded or {})
        if item.scores is not None and len(found) > 2 and simulate:
            row["score_displacement_spearman"] = _spearman(item.scores, [one.displacement_cm for one in found])
        rows[name] = row
        if item.scores is not None and len(found) >= RANKED_FROM:
            best = np.argsort(-item.scores, kind="stable")
            count = max(1, round(TENTH * len(found)))
            for label, chosen in zip(by_rank, (best[:count], best, best[-count:]), strict=True):
                by_rank[label].append(_summary([found[k] for k in chosen]))
    return Evaluation(
        rows=rows,
        mean=_mean(list(rows.values())),
        ranking={label: _mean(kept) for label, kept in by_rank.items() if kept},
        grasps=grasps,
    )


def _summary(found: Sequence[GraspMetrics]) -> Row:
    """Means over grasps of one object."""
    row: Row = {"grasps": float(len(found))}
    for name, value in _mean([one.as_dict() for one in found]).items():
        row["contact_ratio" if name == "contact" else name] = value
    return row


def _of_set(item: GraspSet, recorded: Mapping[str, np.ndarray]) -> Row:
    """What only a set of grasps has: diversity and likeness."""
    row: Row = {}
    verts = torch.as_tensor(item.verts, dtype=torch.float32)
    if len(verts) > 1:
        row["diversity_object_cm"] = diversity_cm(verts)
        if item.T_object_hand is not None:
            T_hand_object = torch.linalg.inv(torch.as_tensor(item.T_object_hand, dtype=torch.float32))
            row["diversity_hand_cm"] = diversity_cm(transform_points(T_hand_object, verts))
    if item.joints is not None and item.name in recorded:
        row |= likeness(item.joints, recorded[item.name])._asdict()
    return row


def _mean(rows: Sequence[Row]) -> Row:
    """Mean of each column over the rows that have it; the number of grasps is their sum."""
    names = dict.fromkeys(name for row in rows for name in row)
    result: Row = {}
    for name in names:
        values = [value for row in rows if (value := row.get(name)) is not None]
        total = sum(values)
        result[name] = None if not values else total if name == "grasps" else total / len(values)
    return result


def _spearman(scores: np.ndarray, displacements: Sequence[float | None]) -> float | None:
    """Rank correlation; None where one of the two is the same for all."""
    moved = np.array(displacements, dtype=float)
    if np.ptp(scores) == 0 or np.ptp(moved) == 0:
        return None
    return float(spearmanr(scores, moved).statistic)


def table_rows(evaluation: Evaluation) -> dict[str, Row]:
    """Label -> row, in the table's order: objects, their mean, and the ranks."""
    rows = dict(evaluation.rows)
    if len(evaluation.rows) > 1:
        rows["mean of objects"] = evaluation.mean
    return rows | {f"by score: {label}": row for label, row in evaluation.ranking.items()}


def save(evaluation: Evaluation, out: Path, about: Mapping[str, Any]) -> None:
    """Writes metrics.json (everything) and metrics.csv (the table) into a folder, each whole or not at all."""
    document = {
        "format": "hoprior-metrics/1",
        **about,
        "units": "a name's ending is its unit; shares and correlations have none",
        "objects": {
            name: {"mean": row, "grasps": [one.as_dict() for one in evaluation.grasps[name]]}
            for name, row in evaluation.rows.items()
        },
        "mean": evaluation.mean,
        "by_score": evaluation.ranking,
    }
    write_atomically(out / "metrics.json", lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    def write_csv(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["object", *COLUMNS])
            for label, row in table_rows(evaluation).items():
                values = [row.get(name) for name in COLUMNS]
                writer.writerow([label, *("" if value is None else f"{value:.6g}" for value in values)])

    write_atomically(out / "metrics.csv", write_csv)


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


def _versions() -> dict[str, str]:
    found = package_versions()
    for name in ("pybullet", "coacd", "mujoco", "manifold3d"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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
