"""Compiled kernels beside the torch code that they stand for: the same searches by both, in one run.

usage: python benchmarks/kernels.py MESH... [--num 10] [--seed 0] [--threads 1]

Each mesh is searched twice from the same seed, by torch and by kernels, after a search that loads and compiles what is
needed. Told are the processor's seconds of each stage and of the whole search, and the metrics of the grasps found.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import hoprior
from hoprior.kernels.choice import SWITCH
from hoprior.metrics.grasp import grasp_metrics
from hoprior.tasks.grasp.search import GraspSearch

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


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--num", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    searched(arguments.meshes[0], 1, arguments.seed)
    table = Table("object", "by", *STAGES, "search", *METRICS)
    for path in arguments.meshes:
        for by, switch in (("torch", "off"), ("kernels", "on")):
            os.environ[SWITCH] = switch
            row = searched(path, arguments.num, arguments.seed)
            times = [f"{row[name]:.2f}" for name in (*STAGES, "run")]
            table.add_row(path.stem, by, *times, *(f"{row[name]:.3f}" for name in METRICS))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
