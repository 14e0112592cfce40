"""`hoprior run grasp`: ranked human grasps of an object mesh."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.places import results_folder
from hoprior.cli.told_many import tell_many
from hoprior.common.console import notes_console, progress_bar, saying
from hoprior.errors import ArgumentError, HopriorError
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.results.grasps import GRASPS, GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.many import grasp_many
from hoprior.tasks.grasp.measured import measured_grasps
from hoprior.tasks.grasp.meshes import is_many, mesh_items
from hoprior.tasks.grasp.task import DEFAULT_PRIORS, up_notes

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
    robot: Path | None = None,
    fingers: Path | None = None,
    no_report: bool = False,
    workers: int = 1,
    engine: str = "local",
    cluster: str = "auto",
    config: GraspConfig = DEFAULT_CONFIG,
) -> dict[str, Any]:
    """Ranked human grasps of an object mesh: one GLB a grasp, grasps.json, a contact sheet, and the settings.

    Args:
        mesh: the object's file: .ply, .obj, .stl, .off, .glb, .gltf, .dae, .3mf, .step, .urdf and others. Or many: a
            folder, a pattern in quotes ("meshes/**/*.obj"), or a list: .txt of paths, .csv or .tsv with a heading.
        text: what it is, or what it is held for: "a mug"; of many, "{name}" in it is what each file is called.
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
        out: folder for the results; without it out/mug_grasps, by the mesh's name. Of many, each has a folder in it.
        simulate: also measure displacement in pybullet (needs the extras "sim" and "bullet"); the ranking
            simulates with whatever is installed.
        reach: also find a way to each grasp, free of collisions, and up with the object: numbers and an animated GLB.
        robot: a robot hand's URDF: the same grasps on it, too, in OUT_NAME by the URDF's name; see hoprior retarget.
        fingers: of a robot, a YAML file that says which link is which fingertip; without it names tell.
        no_report: leave out report.html, the page to look at the results.
        workers: of many meshes: processes, of one thread each where they are several.
        engine: of many meshes: local, or ray for the machines of a Ray cluster.
        cluster: address of that cluster; auto is the one that this machine belongs to.
        config: how grasps are searched, guided and refined.

    Example:
        hoprior run grasp --mesh mug.obj --text "a mug" --num 10
        hoprior run grasp --mesh part.stl --mesh-unit mm --prior contrastive:1,grid:0.5 --num 3
        hoprior run grasp --mesh meshes --text "a {name}" --out grasps --workers 2
    """

    from hoprior.results.report import write_report

    if simulate and (missing := simulator_missing()):
        raise ArgumentError("simulate", None, f"cannot be done: {missing}")
    out = results_folder(out, mesh, "grasps")
    settings: dict[str, Any] = {
        **{"hand": hand, "side": side, "hand_length": hand_length, "betas": betas},
        **{"priors": parse_priors(prior), "up": up, "mesh_unit": mesh_unit, "size": size, "scale": scale},
        **{"part": part, "table": table, "scene": scene, "avoid": avoid, "avoid_mesh": avoid_mesh},
        **{"contact_on": contact_on, "seed": seed, "device": device, "config": config},
        **{"simulate": simulate, "reach": reach},
    }
    if is_many(mesh):
        if robot is not None:
            raise HopriorError("--robot is for one mesh: run hoprior retarget FOLDER --robot for each folder of grasps")
        return _run_many(mesh, out, text, num, workers, engine, cluster, not no_report, settings)
    if workers != 1 or engine != "local":
        raise HopriorError("--workers and --engine share many meshes out: this is one, give a folder or a list of them")
    GRASPS.check_writable(out)
    if fingers is not None and robot is None:
        raise HopriorError("--fingers is for a robot: give its hand as --robot hand.urdf")
    machine = None if robot is None else _Machine.of(robot, fingers, out)
    console = notes_console()
    with progress_bar(console) as progress:
        results, object_mesh = measured_grasps(mesh, text, num, progress=progress, **settings)
        progress("writing", 1.0)
        results.save(out)
        seen = GRASPS.sheet_name if no_report else write_report(out).name
    for note in (*object_mesh.notes, *up_notes(object_mesh, up)):
        console.print(f"{Path(mesh).name}: {note}", style="dim", highlight=False, markup=False)
    if reach:
        free = sum(item.reach is not None and item.reach.free for item in results)
        console.print(f"the way to {free} of {len(results)} grasps is free of collisions", highlight=False)
    console.print(f"{len(results)} grasps in {out}: look at {out / seen}", highlight=False)
    made: dict[str, Any] = {"out": out, "index": out / GRASPS.index_name, "grasps": len(results)}
    return made if machine is None else {**made, "robot": machine.retarget(results, out, seed, not no_report)}


class _Machine(NamedTuple):
    """A robot's hand, and the folder for its grasps; both are sure before the search begins."""

    hand: Any
    folder: Path

    @classmethod
    def of(cls, robot: Path, fingers: Path | None, out: Path) -> "_Machine":
        """Loads it."""
        from hoprior.cli.retarget import robot_folder
        from hoprior.results.robot_grasps import ROBOT_GRASPS
        from hoprior.tasks.retarget import load_robot

        folder = robot_folder(out, robot)
        ROBOT_GRASPS.check_writable(folder)
        return cls(load_robot(robot, fingers), folder)

    def retarget(self, results: GraspResults, out: Path, seed: int, report: bool) -> dict[str, Any]:
        """Carries grasps over, writes them, and tells."""
        from hoprior.cli.retarget import write_robot_grasps

        return write_robot_grasps(results, out, self.hand, self.folder, seed=seed, report=report)


def _run_many(
    mesh: Path,
    out: Path,
    text: str | None,
    num: int,
    workers: int,
    engine: str,
    cluster: str,
    report: bool,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Grasps of many meshes, told.

    Raises:
        SomeFailed: some have none; the others are there.
    """
    console = notes_console()
    kind: dict[str, Any] = {"workers": workers, "engine": engine, "cluster": cluster, "report": report}
    outcomes = grasp_many(mesh, out, text, num, say=saying(console), **kind, **settings)
    return tell_many(outcomes, len(mesh_items(mesh)), out, "meshes", "grasps", console)


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior run grasp`."""
    return call_with_arguments(run_grasp, "hoprior run grasp", args, RENAMED)
