"""The figures of the grasp task: physics on scans, and human-likeness against recorded grasps, with and without priors.

usage: python benchmarks/grasps.py physics  DATA/ycb_dev    [--num 10]   depth, volume, contact, displacement, survival
       python benchmarks/grasps.py likeness DATA/dexycb_dev [--num 100]  nearest, precision, coverage, Spearman
       python benchmarks/grasps.py people   DATA/dexycb_dev              contact and depth of the recorded grasps

Scores are judged by the tenth that they rank best and worst: the median distance (cm) to the nearest recorded grasp.

DATA is the folder of development data. `--priors` names what to compare: none, contrastive, grid, both, pose (all if
it is not given for `likeness`), and with `--open FOLDER` open: the default priors, those for research replaced by the
folder's open weights (docs/priors.md), or left out where it has none. `--text right` tells each object's name, `--text
wrong` another object's (likeness). A JSON of every number is written to --out. `--seed` is that of every search.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import hoprior
from hoprior.evaluation.set_measures import fitted_to
from hoprior.geometry.mesh import load_mesh
from hoprior.hand import load_hand
from hoprior.language.phrases import with_article
from hoprior.metrics.grasp import GraspMetrics, grasp_metrics
from hoprior.metrics.likeness import COMPARED_JOINTS, distances, likeness
from hoprior.metrics.walls import fingers_through
from hoprior.priors.installed import COMPANIONS
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.task import DEFAULT_PRIORS

PRIORS: dict[str, Sequence[tuple[float, str]]] = {
    "none": [],
    "contrastive": [(1.0, "contrastive")],
    "grid": [(1.0, "grid")],
    "both": DEFAULT_PRIORS,
    "pose": [*DEFAULT_PRIORS, (1.0, "pose")],
}
"""What is compared, by name; `both` is what ships, `pose` adds the prior of how hands are bent."""
PHYSICS = ("max_depth_cm", "mean_depth_cm", "volume_cm3", "displacement_cm", "contact", "contact_area")
THROUGH = "fingers_through"


def open_priors(folder: Path) -> list[tuple[float, str]]:
    """The default priors that anyone may use, with the open weights of a folder in place of the others."""
    chosen = []
    for weight, name in DEFAULT_PRIORS:
        file = folder / f"{name}-open.safetensors"
        if f"{name}-open" not in COMPANIONS:
            chosen.append((weight, name))
        elif file.is_file():
            chosen.append((weight, str(file)))
    return chosen


def measured(results: GraspResults, simulate: bool = True, survival: bool = False) -> list[dict[str, float]]:
    verts = np.stack([g.verts_object for g in results])
    workers = torch.get_num_threads()
    values = grasp_metrics(
        verts, results.faces, results.object_mesh, simulate=simulate, survival=survival, workers=workers
    )
    return known(values)


def known(metrics: Sequence[GraspMetrics]) -> list[dict[str, float]]:
    """What was measured of each grasp, by name."""
    return [{k: v for k, v in m.as_dict().items() if v is not None} for m in metrics]


def physics(meshes: list[Path], num: int, priors: str, seed: int) -> list[dict[str, Any]]:
    """One row an object: the mean of each metric over its grasps; and of those ranked in the upper half, the share
    that gravity from no side takes out of the hand."""
    rows = []
    for mesh in meshes:
        began = time.perf_counter()
        results = hoprior.grasp(mesh, num=num, seed=seed, priors=PRIORS[priors])
        seconds = time.perf_counter() - began
        metrics = measured(results, survival=True)
        row = {name: float(np.mean([m[name] for m in metrics])) for name in PHYSICS}
        row["upper_half_survives"] = float(np.mean([m["survival"] == 1.0 for m in metrics[: -(-num // 2)]]))
        joints = np.stack([g.joints_object for g in results])
        row[THROUGH] = float(fingers_through(joints, results.object_mesh).mean())
        rows.append({"object": mesh.stem, "priors": priors, "seconds": seconds, **row})
        Console(stderr=True).print(rows[-1])
    return rows


def recorded_beside(meshes: list[Path]) -> dict[str, np.ndarray]:
    """The joints (n, 21, 3) of people's grasps of each object, by its name."""
    with np.load(meshes[0].parent / "grasps.npz") as data:
        return {name: data["joints_object"][data["object"] == name] for name in np.unique(data["object"])}


def told(meshes: list[Path], text: str) -> list[str | None]:
    """What is said of each object: nothing, its name (of 003_cracker_box: a cracker box), or that of another."""
    names = [with_article(mesh.stem.split("_", 1)[1].replace("_", " ")) for mesh in meshes]
    away = len(names) // 2
    return {"none": [None] * len(names), "right": names, "wrong": names[away:] + names[:away]}[text]


def human(meshes: list[Path], num: int, priors: str, simulate: bool, text: str, seed: int) -> list[dict[str, Any]]:
    """One row an object: likeness to what people did, and what each score has to do with it."""
    recorded = recorded_beside(meshes)
    rows = []
    for mesh, said in zip(meshes, told(meshes, text), strict=True):
        began = time.perf_counter()
        results = hoprior.grasp(mesh, said, num, seed=seed, priors=PRIORS[priors])
        seconds = time.perf_counter() - began
        joints, people = np.stack([g.joints_object for g in results]), recorded[mesh.stem]
        row: dict[str, Any] = {"object": mesh.stem, "priors": priors, "told": said, "seconds": seconds}
        row |= likeness(joints, people)._asdict()
        distance = distances(joints, people).min(axis=1)
        metrics = measured(results, simulate)
        row |= {name: float(np.mean([m[name] for m in metrics])) for name in PHYSICS if name in metrics[0]}
        asked = [name for _, name in PRIORS[priors] if name in results[0].scores]
        by_score = {name: [g.scores[name] for g in results] for name in asked}
        for name, score in [("ranking", [g.score for g in results]), *by_score.items()]:
            order, tenth = np.argsort(score)[::-1], -(-num // 10)
            row[f"best_tenth_{name}"] = 100 * float(np.median(distance[order[:tenth]]))
            row[f"worst_tenth_{name}"] = 100 * float(np.median(distance[order[-tenth:]]))
        for name, score in by_score.items():
            row[f"rho_{name}_nearest"] = float(spearmanr(score, distance)[0])
            if simulate:
                row[f"rho_{name}_displacement"] = float(spearmanr(score, [m["displacement_cm"] for m in metrics])[0])
        rows.append(row)
        Console(stderr=True).print(row)
    return rows


def people(meshes: list[Path]) -> list[dict[str, Any]]:
    """One row an object: contact and depth of the open hand, fitted to the joints that were recorded."""
    recorded, hand, rows = recorded_beside(meshes), load_hand(), []
    for mesh in meshes:
        found = fitted_to(recorded[mesh.stem], hand)
        off = (found.joints - torch.from_numpy(recorded[mesh.stem]).float()).norm(dim=-1)[:, COMPARED_JOINTS].mean()
        metrics = grasp_metrics(found.verts, hand.faces.numpy(), load_mesh(mesh), simulate=False)
        values = known(metrics)
        row = {name: float(np.mean([m[name] for m in values])) for name in PHYSICS if name in values[0]}
        rows.append({"object": mesh.stem, "priors": "people", "fitted_to_cm": 100 * float(off), **row})
    return rows


def show(rows: list[dict[str, Any]], by: str) -> None:
    """A line for each group, the mean over its rows."""
    names = list(dict.fromkeys(k for row in rows for k in row if k not in ("object", "priors", "told")))
    ranks = [name for name in names if name.startswith("rho_")]
    tenths = [name for name in names if "_tenth_" in name]
    for part in ([name for name in names if name not in ranks + tenths], tenths, ranks):
        table = Table(by, *part, box=None)
        for group in dict.fromkeys(row[by] for row in rows):
            mine = [row for row in rows if row[by] == group]
            cells = [[row[name] for row in mine if name in row] for name in part]
            table.add_row(str(group), *(f"{np.nanmean(cell):.3f}" if cell else "" for cell in cells))
        if part:
            Console(width=200).print(table)


def main() -> None:
    """Run one of the three and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["physics", "likeness", "people"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--priors", nargs="*", choices=sorted([*PRIORS, "open"]))
    parser.add_argument("--open", type=Path, metavar="FOLDER", help="open weights, to be compared as `open`")
    parser.add_argument("--objects", nargs="*", help="only meshes whose names hold one of these words")
    parser.add_argument("--text", choices=["none", "right", "wrong"], default="none")
    parser.add_argument("--no-simulate", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.open is not None:
        PRIORS["open"] = open_priors(args.open)
    elif "open" in (args.priors or []):
        parser.error("--priors open asks for --open FOLDER")
    meshes = sorted(path for path in args.folder.iterdir() if path.suffix in (".ply", ".obj"))
    meshes = [m for m in meshes if not args.objects or any(word in m.stem for word in args.objects)]
    rows: list[dict[str, Any]] = []
    if args.what == "physics":
        for priors in args.priors or ["both"]:
            rows += physics(meshes, args.num or 10, priors, args.seed)
        show(rows, "object")
    elif args.what == "people":
        rows = people(meshes)
        show(rows, "object")
    else:
        for priors in args.priors or list(PRIORS):
            rows += human(meshes, args.num or 100, priors, not args.no_simulate, args.text, args.seed)
    show(rows, "priors")
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
