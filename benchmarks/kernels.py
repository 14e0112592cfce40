"""Compiled kernels beside the torch code that they stand for: the same searches by both, in one run.

usage: python benchmarks/kernels.py searches MESH... [--num 10] [--seed 0] [--threads 1]
       python benchmarks/kernels.py descents MESH... [--num 96] [--seed 0] [--threads 1]

searches: each mesh is searched twice from the same seed, by torch and by kernels, after a search that loads and
compiles what is needed. Told are the processor's seconds of each stage and of the whole search, and the metrics of the
grasps found. Ten grasps tell little: simulations scatter.
descents: `num` random hands at each mesh refine their contact by both, without priors. Told are the seconds, and the
energies at the end with their difference, hand by hand, and its standard error.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

import hoprior
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import OpenHand
from hoprior.hand.placement import random_placements
from hoprior.kernels.choice import SWITCH
from hoprior.metrics.grasp import grasp_metrics
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.tasks.grasp.config import SHALLOW, WRAPPING
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.guided import descend_guided
from hoprior.tasks.grasp.search import GraspSearch
from hoprior.tasks.grasp.terms import HeldGuidance

STAGES = ("shortlist", "guide", "refine", "rank")
METRICS = ("max_depth_cm", "mean_depth_cm", "volume_cm3", "displacement_cm", "contact", "contact_area")


def timed(spent: dict[str, float], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A stage that adds the processor's seconds it takes to `spent`."""

    def stage(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        result = method(*args, **kwargs)
        spent[name] = spent.get(name, 0.0) + time.process_time() - began
        return result

    return stage


def searched(path: Path, num: int, seed: int) -> dict[str, float]:
    """Seconds of each stage, and the means of the grasps' metrics."""
    spent: dict[str, float] = {}
    methods = {name: getattr(GraspSearch, name) for name in (*STAGES, "run")}
    for name, method in methods.items():
        setattr(GraspSearch, name, timed(spent, name, method))
    try:
        found = hoprior.grasp(path, path.stem.split("_", 1)[-1].replace("_", " "), num, seed=seed)
    finally:
        for name, method in methods.items():
            setattr(GraspSearch, name, method)
    verts = torch.stack([torch.from_numpy(one.verts_object) for one in found])
    rows = [one.as_dict() for one in grasp_metrics(verts, found.faces, found.object_mesh)]
    return spent | {name: sum(row[name] for row in rows) / len(rows) for name in METRICS}


def descended(path: Path, num: int, seed: int) -> tuple[list[float], list[Float[Tensor, " n"]]]:
    """Seconds, and each hand's energy at the end, by torch and by kernels."""
    mesh, hand = load_mesh(path), OpenHand()
    mesh = mesh.moved(-mesh.mesh.bounds.mean(axis=0))
    sdf = SdfGrid.from_mesh(mesh)
    energy, walls = FleshEnergy(hand, sdf, SHALLOW), CollisionGuard(hand, sdf)
    placed = random_placements(mesh.solid, num, torch.Generator().manual_seed(seed))
    hands = GraspBatch(hand.relaxed_angles.repeat(num, 1, 1), placed)
    seconds, ended = [], []
    for switch in ("off", "on"):
        os.environ[SWITCH] = switch
        began = time.process_time()
        end = descend_guided(hands, energy, HeldGuidance([]), unasked, WRAPPING, walls)
        seconds.append(time.process_time() - began)
        ended.append(energy(end.angles, end.T_object_hand))
    return seconds, ended


def unasked(hands: GraspBatch) -> Any:
    """There is no prior that would look at hands."""
    raise AssertionError


def compare_searches(meshes: Sequence[Path], num: int, seed: int) -> Table:
    """A row for each mesh and way."""
    searched(meshes[0], 1, seed)
    table = Table("object", "by", *STAGES, "search", *METRICS)
    for path in meshes:
        for by, switch in (("torch", "off"), ("kernels", "on")):
            os.environ[SWITCH] = switch
            row = searched(path, num, seed)
            times = [f"{row[name]:.2f}" for name in (*STAGES, "run")]
            table.add_row(path.stem, by, *times, *(f"{row[name]:.3f}" for name in METRICS))
    return table


def compare_descents(meshes: Sequence[Path], num: int, seed: int) -> Table:
    """A row for each mesh."""
    descended(meshes[0], 1, seed)
    table = Table("object", "torch s", "kernels s", "torch's energy", "kernels'", "difference", "+-")
    for path in meshes:
        seconds, (torchs, kernels) = descended(path, num, seed)
        apart = kernels - torchs
        error = apart.std() / math.sqrt(num)
        figures = (*seconds, torchs.mean(), kernels.mean(), apart.mean(), error)
        table.add_row(path.stem, *(f"{float(figure):.3f}" for figure in figures))
    return table


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["searches", "descents"])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--num", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    compare, usual = (compare_searches, 10) if arguments.what == "searches" else (compare_descents, 96)
    Console(width=180).print(compare(arguments.meshes, arguments.num or usual, arguments.seed))


if __name__ == "__main__":
    main()
