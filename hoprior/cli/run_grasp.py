"""`hoprior run grasp`: ranked human grasps of an object mesh."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.common.console import progress_bar
from hoprior.errors import HopriorError
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.results.grasps import GRASPS
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.task import DEFAULT_PRIORS, grasp

DEFAULT_PRIOR_TEXT = ",".join(f"{name}:{weight:g}" for weight, name in DEFAULT_PRIORS)
"""The same as they are told on the command line."""

DEFAULT_SEARCH = GraspConfig()


def run_grasp(
    mesh: Path,
    text: str | None = None,
    num: int = 10,
    hand: str = "open",
    side: str = "right",
    prior: str = DEFAULT_PRIOR_TEXT,
    up: str = "auto",
    mesh_unit: str = "m",
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("out"),
    simulate: bool = False,
    search: GraspConfig = DEFAULT_SEARCH,
) -> None:
    """Ranked human grasps of an object mesh: one GLB a grasp, grasps.json, a contact sheet, and the settings.

    Args:
        mesh: the object's file, of any format that trimesh reads.
        text: what it is, or what it is held for: "a mug".
        num: how many grasps.
        hand: open (embedded) or mano (your own MANO files, in HOPRIOR_MANO_DIR).
        side: right or left.
        prior: priors and their weights: name:weight,name:weight; a name may be a file. "none" for no prior.
        up: which way up the object stands when it is reached for: auto, any, x, y, z, -x, -y or -z.
        mesh_unit: of the file: m, cm, mm or in.
        seed: the same seed gives the same grasps.
        device: auto, cpu, cuda, mps.
        out: folder for the results.
        simulate: also measure displacement in simulation (needs the extra "sim", with which the ranking simulates too).
        search: how the search is done.
    """
    from rich.console import Console

    from hoprior.metrics.grasp import grasp_metrics

    if simulate and (missing := simulator_missing()):
        raise HopriorError(f"--simulate: {missing}")
    GRASPS.check_writable(out)
    console = Console(stderr=True)
    with progress_bar(console) as progress:
        results = grasp(
            mesh,
            text,
            num,
            hand=hand,
            side=side,
            priors=parse_priors(prior),
            up=up,
            mesh_unit=mesh_unit,
            seed=seed,
            device=device,
            config=search,
            progress=progress,
        )
        progress("measuring", 1.0)
        verts = [item.verts_object for item in results]
        measured = grasp_metrics(
            np.stack(verts), results.faces, results.object_mesh, simulate=simulate, workers=torch.get_num_threads()
        )
        known = [{name: value for name, value in m.as_dict().items() if value is not None} for m in measured]
        results = replace(results, grasps=tuple(replace(g, metrics=m) for g, m in zip(results, known, strict=True)))
        results.save(out)
    for note in results.config["mesh_notes"]:
        console.print(f"{Path(mesh).name}: {note}", style="dim")
    console.print(f"{len(results)} grasps in {out}: look at {out / 'grasps.png'}", highlight=False)


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `hoprior run grasp`."""
    call_with_arguments(run_grasp, "hoprior run grasp", args)
