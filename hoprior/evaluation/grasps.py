"""`hoprior eval grasp`: the metrics of grasps that lie in folders, as a table, as JSON and as CSV.

Folders that `hoprior run grasp` wrote, folders of such folders, or GLBs from anywhere with the geometries `hand` and
`object`. docs/metrics.md says what each column is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hoprior.common.io import rounded, strict_json, write_atomically, write_table
from hoprior.evaluation.grasp_sets import GraspSet
from hoprior.evaluation.lifts import CALIBRATED_ON, PEOPLE, lifted_share, some_of, which_lift
from hoprior.evaluation.set_measures import of_set
from hoprior.geometry.mesh import prepare_mesh
from hoprior.metrics import GraspMetrics, grasp_metrics
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
    "volume_share": ("share of\nobject ↓", "{:.4f}"),
    "exact_volume_cm3": ("exact\ncm³ ↓", "{:.2f}"),
    "displacement_cm": ("displaced\ncm ↓", "{:.2f}"),
    "survival": ("survival\n↑", "{:.2f}"),
    "lift": ("lifted\n↑", "{:.2f}"),
    "contact_ratio": ("contact\nratio ↑", "{:.2f}"),
    "contact_area": ("contact\narea ↑", "{:.2f}"),
    "tips_mm": ("tips\nmm ↓", "{:.1f}"),
    "epsilon": ("epsilon\n↑", "{:.3f}"),
    "epsilon_volume": ("wrenches'\nvolume ↑", "{:.3f}"),
    "diversity_object_cm": ("diversity\nobject, cm ↑", "{:.2f}"),
    "diversity_hand_cm": ("diversity\nhand, cm ↑", "{:.2f}"),
    "entropy": ("entropy\nnats ↑", "{:.2f}"),
    "cluster_size_cm": ("clusters\ncm ↑", "{:.1f}"),
    "nearest_cm": ("nearest\ncm ↓", "{:.1f}"),
    "precision": ("precision\n4 cm ↑", "{:.2f}"),
    "coverage": ("coverage\n4 cm ↑", "{:.2f}"),
    "fingers_cm": ("fingers\ncm ↓", "{:.1f}"),
    "frechet_cm": ("Fréchet\ncm ↓", "{:.1f}"),
    "contact_iou": ("contact\nIoU ↑", "{:.2f}"),
    "contact_f1": ("contact\nF1 ↑", "{:.2f}"),
    "score_displacement_spearman": ("Spearman\nscore, displ.", "{:.2f}"),
}
"""Field -> title and format in the table; columns without a value are left out."""

Row = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found: a row an object, means over objects, rows by rank, and each grasp's own metrics.

    `people` is the oracle's row of the lift test, with the name of what it was measured on.
    """

    rows: dict[str, Row]
    mean: Row
    ranking: dict[str, Row]
    grasps: dict[str, list[GraspMetrics]]
    people: tuple[str, Row] | None = None


def evaluate(
    sets: Sequence[GraspSet],
    *,
    simulate: bool = True,
    survival: bool = False,
    contacts: bool = False,
    lift: bool = False,
    recorded: Mapping[str, np.ndarray] | None = None,
    decomposition: str = "coacd",
    progress: Any = None,
) -> Evaluation:
    """The metrics of sets of grasps; means are over objects, each counting once.

    Args:
        contacts: also measure by the points that touch: epsilon and, with `recorded`, agreement with people's contact.
        lift: also lift each grasp's object off a table in MuJoCo, and people's grasps of it where there are `recorded`.
        recorded: object's name -> joints (n,21,3) of recorded grasps of it, metres, in the object's frame.
        progress: called with each object's name before it is measured.

    Raises:
        HopriorError: a simulator is missing, an object is no solid, or hands to lift with have no joints.
    """
    rows: dict[str, Row] = {}
    by_rank: dict[str, list[Row]] = {"top 10 %": [], "all": [], "bottom 10 %": []}
    grasps: dict[str, list[GraspMetrics]] = {}
    people: list[Row] = []
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
        theirs = (recorded or {}).get(item.name)
        row = _summary(found) | of_set(item, solid, found, theirs, contacts)
        if lift:
            row["lift"] = lifted_share(item, solid.solid)
            if theirs is not None:
                chosen = some_of(theirs)
                share = float(which_lift(chosen, solid.solid).mean())
                people.append({"grasps": float(len(chosen)), "lift": share})
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
        people=_oracle(people) if lift else None,
    )


def _oracle(people: Sequence[Row]) -> tuple[str, Row]:
    """What people's grasps reach in the lift test: those of the same objects, or those that it was calibrated on."""
    return ("people", _mean(people)) if people else (f"people ({CALIBRATED_ON})", dict(PEOPLE))


def _summary(found: Sequence[GraspMetrics]) -> Row:
    """Means over grasps of one object."""
    row: Row = {"grasps": float(len(found))}
    for name, value in _mean([one.as_dict() for one in found]).items():
        row["contact_ratio" if name == "contact" else name] = value
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
    """Label -> row, in the table's order: objects, their mean, people's, and the ranks."""
    rows = dict(evaluation.rows)
    if len(evaluation.rows) > 1:
        rows["mean of objects"] = evaluation.mean
    if evaluation.people is not None:
        rows[evaluation.people[0]] = evaluation.people[1]
    return rows | {f"by score: {label}": row for label, row in evaluation.ranking.items()}


def save(evaluation: Evaluation, out: Path, about: Mapping[str, Any]) -> None:
    """Writes metrics.json (everything) and metrics.csv (the table) into a folder, each whole or not at all."""
    document: dict[str, Any] = {
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
    if evaluation.people is not None:
        document["people"] = {"of": evaluation.people[0], **evaluation.people[1]}
    write_atomically(out / "metrics.json", lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    table = table_rows(evaluation).items()
    rows = [(label, *(rounded(row.get(name)) for name in COLUMNS)) for label, row in table]
    write_table(out / "metrics.csv", ("object", *COLUMNS), rows)


def _versions() -> dict[str, str]:
    found = package_versions()
    for name in ("pybullet", "coacd", "mujoco", "manifold3d"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
