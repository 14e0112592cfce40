"""The lift test on people's recorded grasps, on ours, and on hands that are beside where they should be.

usage: python benchmarks/lift.py people DATA/dexycb_dev [--num 0]    all recorded grasps (or so many of each object)
       python benchmarks/lift.py beside DATA/dexycb_dev [--num 4]    the same, moved by 3 cm, and by 5 cm and 30 degrees
       python benchmarks/lift.py ours   DATA/dexycb_dev [--num 8]    grasps that hoprior finds, and people's as many

DATA/dexycb_dev has meshes and `grasps.npz` (`joints_object` in metres, `object`). Objects are shared by --workers
processes (--objects: only those whose names hold one of these words); each row is printed as it is there, and all so
far are written to --out as JSON.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

import hoprior
from hoprior.evaluation.grasp_sets import read_recorded
from hoprior.evaluation.lifts import some_of, which_lift
from hoprior.geometry.mesh import load_mesh, prepare_mesh

BESIDE = {"as they are": (0.0, 0.0), "3 cm beside": (0.03, 0.0), "5 cm and 30 degrees": (0.05, 30.0)}
"""How far recorded hands are moved (m) and turned (degrees), each in a direction of its own."""


def beside(joints: np.ndarray, by: float, degrees: float) -> np.ndarray:
    """Hands (n, 21, 3; m) that are moved, and turned about the middle finger's knuckle."""
    found = np.empty_like(joints)
    for k, hand in enumerate(joints):
        draw = np.random.default_rng(k)
        move, axis = (vector / np.linalg.norm(vector) for vector in draw.normal(size=(2, 3)))
        turn = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
        found[k] = (hand - hand[4]) @ turn.T + hand[4] + by * move
    return found


def row(what: str, num: int, recorded: dict[str, np.ndarray], mesh: Path) -> dict[str, Any]:
    """One object's shares that are lifted."""
    torch.set_num_threads(1)
    solid = prepare_mesh(load_mesh(mesh).mesh, mesh.stem).solid
    people = recorded[mesh.stem]
    people = some_of(people, num or len(people))
    sets = {"people": people}
    if what == "beside":
        sets = {name: beside(people, *how) for name, how in BESIDE.items()}
    elif what == "ours":
        sets["ours"] = np.stack([one.joints_object for one in hoprior.grasp(mesh, num=num or 8)])
    return {"object": mesh.stem, **{name: which_lift(joints, solid).tolist() for name, joints in sets.items()}}


def main() -> None:
    """Prints a row an object and the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["people", "beside", "ours"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--num", type=int)
    parser.add_argument("--objects", nargs="*", help="only those whose names hold one of these words")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    num = {"people": 0, "beside": 4, "ours": 8}[chosen.what] if chosen.num is None else chosen.num
    one = partial(row, chosen.what, num, read_recorded(chosen.data / "grasps.npz"))
    meshes = sorted(chosen.data.glob("*.ply"))
    meshes = [m for m in meshes if not chosen.objects or any(word in m.stem for word in chosen.objects)]
    rows = []
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(one, meshes):
            rows.append(found)
            print(
                found["object"],
                *(f"{name} {sum(held)}/{len(held)}" for name, held in found.items() if name != "object"),
                flush=True,
            )
            if chosen.out:
                chosen.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for name in rows[0]:
        if name != "object":
            every = [held for found in rows for held in found[name]]
            means = [np.mean(found[name]) for found in rows]
            print(f"{name}: {sum(every)} of {len(every)}, {np.mean(every):.3f}; mean of objects {np.mean(means):.3f}")


if __name__ == "__main__":
    main()
