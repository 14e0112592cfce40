"""`hoprior run grasp`: ranked human grasps of an object mesh."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.places import results_folder
from hoprior.common.console import notes_console, progress_bar
from hoprior.errors import ArgumentError
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.results.grasps import GRASPS
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.task import DEFAULT_PRIORS, grasp, up_notes
from hoprior.tasks.objects import load_object

DEFAULT_PRIOR_TEXT = ",".join(f"{name}:{weight:g}" for weight, name in DEFAULT_PRIORS)
"""The default priors as they are told on the command line."""
DEFAULT_CONFIG = GraspConfig()
RENAMED = {
    "search": "config",
    "search.climbs": "config.local_search.iterations",
    "search.climb_tries": "config.local_search.proposals",
    "search.climb_move": "config.local_search.move",
    "search.climb_turn": "config.local_search.turn",
    "search.contact.penetration": "config.contact.penetration_weight",
    "search.contact.near_weight": "config.contact.hand_weight",
    "search.contact.near": "config.contact.hand_reach",
    "search.contact.near_gap": "config.contact.hand_gap",
    "search.contact.close_weight": "config.contact.finger_weight",
    "search.contact.close": "config.contact.finger_reach",
    "search.contact.press": "config.contact.press_depth",
    "search.contact.limits": "config.contact.limit_weight",
    "search.contact.aside": "config.contact.spread_weight",
    "search.contact.alike": "config.contact.coupling_weight",
    "search.contact.crossing": "config.contact.crossing_weight",
    "search.flesh.touching": "config.flesh.contact_weight",
    "search.flesh.gap": "config.flesh.contact_gap",
    "search.flesh.softness": "config.flesh.contact_softness",
    "search.flesh.penetration": "config.flesh.penetration_weight",
    "search.flesh.cut": "config.flesh.sphere_weight",
    "search.flesh.yields": "config.flesh.compliance",
    "search.faults.pierced": "config.faults.bone_penetration",
    "search.faults.dropped": "config.faults.unsupported_weight",
    "search.faults.slipped": "config.faults.displacement",
    "search.faults.fallen": "config.faults.falls",
}
"""Former names of options -> today's."""


def run_grasp(
    mesh: Path,
    text: str | None = None,
    num: int = 10,
    hand: str = "open",
    side: str = "right",
    hand_length: str | None = None,
    betas: str | None = None,
    prior: str = DEFAULT_PRIOR_TEXT,
    up: str = "auto",
    mesh_unit: str | None = None,
    size: str | None = None,
    scale: float | None = None,
    part: str | None = None,
    table: str = "none",
    scene: Path | None = None,
    avoid: str | None = None,
    avoid_mesh: Path | None = None,
    contact_on: str | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    simulate: bool = False,
    reach: bool = False,
    no_report: bool = False,
    config: GraspConfig = DEFAULT_CONFIG,
) -> dict[str, Any]:
    """Ranked human grasps of an object mesh: one GLB a grasp, grasps.json, a contact sheet, and the settings.

    Args:
        mesh: the object's file: .ply, .obj, .stl, .off, .glb, .gltf, .dae, .3mf, .step, .urdf and others.
        text: what it is, or what it is held for: "a mug".
        num: how many grasps.
        hand: open (embedded) or mano (your own MANO files, in HOPRIOR_MANO_DIR).
        side: right or left.
        hand_length: whose hand it is, from the wrist to the middle finger's tip: 16.5cm; an average hand has 18.7cm.
        betas: or its shape in the hand model's own coefficients, up to ten: 1,-0.5.
        prior: priors and their weights: name:weight,name:weight; a name may be a file. "none" for no prior.
        up: which way up the object stands when it is reached for: auto, any, x, y, z, -x, -y or -z.
        mesh_unit: of the file: m, cm, mm or in; without it what the file says, else m.
        size: instead of a unit, how long the object's longest side is: 12cm.
        scale: one unit of the file counts for so many: 0.3.
        part: name of the part of a scene that is the object; without it, all but floors and shapes for collisions.
        table: what the object stands on, off which hand and forearm are kept: none, auto (a plane beneath it, as it is
            likeliest to stand; see up), or where the table's top is in the mesh's frame: z=0.75, in m, or z=75cm.
        scene: a mesh file of whatever else must not be touched, in the object's frame, without the object.
        avoid: a part of the object that is left free: "the blade".
        avoid_mesh: a mesh file, likewise, in which that part of the object lies.
        contact_on: a part that is to be held: "the handle", or a mesh file in which it lies.
        seed: the same seed gives the same grasps.
        device: auto, cpu, cuda, mps.
        out: folder for the results; without it out/mug_grasps, by the mesh's name.
        simulate: also measure displacement in pybullet (needs the extras "sim" and "bullet"); the ranking
            simulates with whatever is installed.
        reach: also find a way to each grasp, free of collisions, and up with the object: numbers and an animated GLB.
        no_report: leave out report.html, the page to look at the results.
        config: how grasps are searched, guided and refined.

    Example:
        hoprior run grasp --mesh mug.obj --text "a mug" --num 10
        hoprior run grasp --mesh part.stl --mesh-unit mm --prior contrastive:1,grid:0.5 --num 3
    """

    from hoprior.metrics.grasp import grasp_metrics
    from hoprior.results.report import write_report

    if simulate and (missing := simulator_missing()):
        raise ArgumentError("simulate", None, f"cannot be done: {missing}")
    out = results_folder(out, mesh, "grasps")
    GRASPS.check_writable(out)
    console = notes_console()
    with progress_bar(console) as progress:
        # Mending a scan takes seconds: the search and the metrics share what is made of it once.
        object_mesh = load_object(mesh, text, mesh_unit, size, scale, part)
        results = grasp(
            object_mesh,
            text,
            num,
            hand=hand,
            side=side,
            hand_length=hand_length,
            betas=betas,
            priors=parse_priors(prior),
            up=up,
            mesh_unit=mesh_unit,
            size=size,
            scale=scale,
            part=part,
            table=table,
            scene=scene,
            avoid=avoid,
            avoid_mesh=avoid_mesh,
            contact_on=contact_on,
            seed=seed,
            device=device,
            config=config,
            progress=progress,
        )
        if reach:
            progress("reaching", 1.0)
            results = results.with_reach(object_mesh)
        progress("measuring", 1.0)
        verts = [item.verts_object for item in results]
        measured = grasp_metrics(
            np.stack(verts), results.faces, object_mesh, simulate=simulate, workers=torch.get_num_threads()
        )
        known = [{name: value for name, value in m.as_dict().items() if value is not None} for m in measured]
        results = replace(results, grasps=tuple(replace(g, metrics=m) for g, m in zip(results, known, strict=True)))
        results.save(out)
        seen = GRASPS.sheet_name if no_report else write_report(out).name
    for note in (*object_mesh.notes, *up_notes(object_mesh, up)):
        console.print(f"{Path(mesh).name}: {note}", style="dim", highlight=False, markup=False)
    if reach:
        free = sum(item.reach is not None and item.reach.free for item in results)
        console.print(f"the way to {free} of {len(results)} grasps is free of collisions", highlight=False)
    console.print(f"{len(results)} grasps in {out}: look at {out / seen}", highlight=False)
    return {"out": out, "index": out / GRASPS.index_name, "grasps": len(results)}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior run grasp`."""
    return call_with_arguments(run_grasp, "hoprior run grasp", args, RENAMED)
