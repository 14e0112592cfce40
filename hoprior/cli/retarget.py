"""`hoprior retarget`: a person's grasps on a robot's hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import notes_console, progress_bar
from hoprior.errors import HopriorError
from hoprior.physics.robots.measures import GOOD_DEPTH
from hoprior.results.grasps import GraspResults
from hoprior.results.robot_grasps import ROBOT_GRASPS
from hoprior.tasks.retarget import load_robot, retarget

USAGE = "hoprior retarget: say which grasps, and on which hand: hoprior retarget OUT --robot hand.urdf"


def run_retarget(
    grasps: Path,
    robot: Path,
    fingers: Path | None = None,
    num: int | None = None,
    mass: float = 0.3,
    no_lift: bool = False,
    seed: int = 0,
    out: Path | None = None,
    no_report: bool = False,
) -> dict[str, Any]:
    """A person's grasps on any robot hand: base pose, joints, pre-grasp and lift for each, robot_grasps.json, a sheet.

    Args:
        grasps: folder that `hoprior run grasp` wrote.
        robot: the hand's URDF; its meshes lie where it names them.
        fingers: a YAML file that says which link is which fingertip, lines like "thumb: LINK"; without it names tell.
        num: only so many grasps, the best.
        mass: of the object, kg.
        no_lift: leave out the trial in simulation, by which the pose is chosen that holds.
        seed: the same seed gives the same poses.
        out: folder for the results; without it beside the grasps: OUT_NAME, by the URDF's name.
        no_report: leave out report.html, the page to look at the results.

    Example:
        hoprior retarget out/mug_grasps --robot allegro_hand_right.urdf
        hoprior retarget out/mug_grasps --robot hand.urdf --fingers fingers.yaml --num 3
    """
    folder = out or robot_folder(grasps, robot)
    ROBOT_GRASPS.check_writable(folder)
    hand = load_robot(robot, fingers)
    results = GraspResults.load(grasps)
    if num is not None and num < 1:
        raise HopriorError(f"--num {num}: ask for at least one grasp")
    return write_robot_grasps(results[:num], grasps, hand, folder, mass, not no_lift, seed, not no_report)


def robot_folder(grasps: Path, robot: Path) -> Path:
    """Where a robot's grasps go when nobody says: beside the person's.

    Example:
        >>> robot_folder(Path("out/mug_grasps"), Path("hands/allegro.urdf")).as_posix()
        'out/mug_grasps_allegro'
    """
    return grasps.parent / f"{grasps.name}_{robot.stem}"


def write_robot_grasps(
    results: GraspResults,
    grasps: Path,
    hand: Any,
    folder: Path,
    mass: float = 0.3,
    lift: bool = True,
    seed: int = 0,
    report: bool = True,
) -> dict[str, Any]:
    """Retargets grasps that lie in the folder `grasps`, writes what comes of it, and tells."""
    from hoprior.results.report import write_report

    console = notes_console()
    with progress_bar(console) as progress:
        found = retarget(results, hand, lift=lift, mass=mass, seed=seed, progress=progress)
        progress("writing", 1.0)
        replace(found, grasps_from=str(grasps)).save(folder)
        seen = write_report(folder).name if report else ROBOT_GRASPS.sheet_name
    tried = [grasp.held for grasp in found if grasp.held is not None]
    free = sum(grasp.way.free for grasp in found)
    lifted = f"{sum(tried)} of {len(tried)} lift it, " if tried else ""
    console.print(f"{lifted}the way to {free} of {len(found)} is free of collisions", highlight=False)
    around = [grasp.metrics["around_depth_mm"] for grasp in found if "around_depth_mm" in grasp.metrics]
    if around:
        off = sum(depth <= 1e3 * GOOD_DEPTH for depth in around)
        console.print(f"{off} of {len(around)} keep off what is around the object", highlight=False)
    for note in found.config.get("notes", ()):
        console.print(note, highlight=False, markup=False)
    name = found.robot["name"]
    console.print(f"{len(found)} grasps of {name} in {folder}: look at {folder / seen}", highlight=False, markup=False)
    made: dict[str, Any] = {"out": folder, "index": folder / ROBOT_GRASPS.index_name, "grasps": len(found)}
    return {**made, "held": sum(tried) if tried else None, "free_ways": free}


def main(args: Sequence[str]) -> Any:
    """The command line of `hoprior retarget`."""
    given = list(args)
    if not given:
        raise HopriorError(USAGE)
    if not given[0].startswith("-"):
        given = ["--grasps", *given]
    return call_with_arguments(run_retarget, "hoprior retarget", given)
