"""The figures of grasps with something around the object: a table beneath it, a part that is left free.

usage: python benchmarks/surroundings.py table DATA/ycb_dev [--num 10] [--objects pear spoon]  share free, physics
       python benchmarks/surroundings.py avoid              [--num 10] [--objects knife]       contact on that part

`table` makes grasps of each scan twice, without a table and standing on one (`--table auto`), and says of how many of
both a hand or forearm is below that table, how deep, and the physics of each. What is below is measured on the results
alone: skin by its vertices, the forearm as a capsule from the wrist. `avoid` makes grasps of things that
`datasets/procedural` has made with a seed that no training has seen, told to avoid a part by its name, and says which
share of the skin that touches (is within 5 mm) touches that part, with and without (--told: only with). A JSON of all
rows so far goes to --out.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

import hoprior
from hoprior.datasets.procedural.source import family_named
from hoprior.language.phrases import with_article
from hoprior.metrics.grasp import grasp_metrics
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.physics.surroundings import FOREARM_LENGTH, FOREARM_RADIUS
from hoprior.results.grasps import GraspResults

UNSEEN_SEED = 20_291_128
PARTS = (
    ("knife", "blade"),
    ("scissors", "blades"),
    ("mug", "rim"),
    ("wine glass", "rim"),
    ("pitcher", "spout"),
    ("teapot", "spout"),
)
"""Families of things, and the part of each that is avoided."""
TOUCH = 0.005
"""Distance (m) up to which skin touches."""
PHYSICS = ("max_depth_cm", "volume_cm3", "contact_area", "displacement_cm")


def below(results: GraspResults, up: np.ndarray, height: float) -> np.ndarray:
    """How deep (cm) each hand or forearm is below a table; 0 if it is not."""
    deep = []
    for grasp in results:
        elbow = grasp.T_object_hand[:3, 3] - FOREARM_LENGTH * grasp.T_object_hand[:3, 0]
        arm = min(up @ grasp.T_object_hand[:3, 3], up @ elbow) - FOREARM_RADIUS
        deep.append(max(0.0, height - min(float((grasp.verts_object @ up).min()), float(arm))))
    return 100 * np.array(deep)


def physics_of(results: GraspResults) -> dict[str, float]:
    """The mean of each metric over the grasps."""
    verts = np.stack([grasp.verts_object for grasp in results])
    metrics = grasp_metrics(verts, results.faces, results.object_mesh, simulate=simulator_missing() is None)
    values = [m.as_dict() for m in metrics]
    return {name: float(np.mean([v[name] for v in values])) for name in PHYSICS if values[0].get(name) is not None}


def on_tables(meshes: list[Path], num: int, seed: int, save: Path | None) -> Iterator[dict[str, Any]]:
    """Two rows an object: with a table, and without, measured at the same table."""
    for mesh in meshes:
        found = {}
        for table in ("auto", "none"):
            began = time.perf_counter()
            found[table] = hoprior.grasp(mesh, num=num, seed=seed, table=table)
            seconds = time.perf_counter() - began
            if save:
                found[table].save(save / f"{mesh.stem}_{table}")
            plane = found["auto"].config["table"]
            deep = below(found[table], np.array(plane["up"]), plane["height"])
            row = {"object": mesh.stem, "table": table, "grasps": len(deep), "below": int((deep > 0).sum())}
            row |= {"deepest_cm": float(deep.max()), "seconds": seconds} | physics_of(found[table])
            yield row


def on_part(results: GraspResults, mesh: trimesh.Trimesh, labels: np.ndarray, part: int) -> float:
    """The share of the skin that touches the object which touches a part of it, mean over grasps."""
    points, faces = trimesh.sample.sample_surface(mesh, 40_000, seed=0)
    tree, of_part = cKDTree(points), labels[faces] == part
    shares = []
    for grasp in results:
        gap, nearest = tree.query(grasp.verts_object)
        touching = gap < TOUCH
        shares.append(float(of_part[nearest[touching]].mean()) if touching.any() else 0.0)
    return float(np.mean(shares))


def avoiding(
    names: list[str] | None, num: int, seed: int, told: bool = False, save: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Two rows a thing: told to avoid its part, and not; the second only where not all is to be `told`."""
    for family, part in PARTS:
        if names and not any(word in family for word in names):
            continue
        design = family_named(family).make(np.random.default_rng(UNSEEN_SEED))
        mesh, labels = design.labelled_mesh()
        for avoid in (f"the {part}",) if told else (f"the {part}", None):
            began = time.perf_counter()
            results = hoprior.grasp(mesh, with_article(family), num=num, seed=seed, avoid=avoid)
            if save:
                results.save(save / f"{family.replace(' ', '_')}_{'told' if avoid else 'not_told'}")
            share = on_part(results, mesh, labels, design.part_names().index(part))
            row = {"object": family, "avoid": avoid, "part": part, "contact_there": share}
            yield row | {"seconds": time.perf_counter() - began} | physics_of(results)


def show(rows: list[dict[str, Any]], by: str) -> None:
    """The mean of all numbers over objects, a line for each of what was told."""
    names = [name for name, value in rows[0].items() if isinstance(value, float)]
    names += ["below", "grasps"] if "below" in rows[0] else []
    table = Table(by, *names, box=None)
    for group in dict.fromkeys(str(row[by]).split()[0] for row in rows):
        mine = [row for row in rows if str(row[by]).split()[0] == group]
        cells = [[row[name] for row in mine if name in row] for name in names]
        counted = [sum(c) if n in ("below", "grasps") else np.mean(c) for n, c in zip(names, cells, strict=True)]
        table.add_row(group, *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in counted))
    Console(width=200).print(table)


def main() -> None:
    """Run one of the two and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "avoid"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--num", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--objects", nargs="*", help="only those whose names hold one of these words")
    parser.add_argument("--told", action="store_true", help="no grasps without the option")
    parser.add_argument("--save", type=Path, help="a folder for all grasps, to look at")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.what == "avoid":
        found = avoiding(args.objects, args.num, args.seed, args.told, args.save)
    else:
        if args.folder is None:
            parser.error("table asks for a folder of meshes")
        meshes = sorted(path for path in args.folder.iterdir() if path.suffix in (".ply", ".obj"))
        meshes = [m for m in meshes if not args.objects or any(word in m.stem for word in args.objects)]
        found = on_tables(meshes, args.num, args.seed, args.save)
    rows = []
    for row in found:
        rows.append(row)
        Console(stderr=True).print(row)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=1))
    show(rows, "table" if args.what == "table" else "avoid")


if __name__ == "__main__":
    main()
