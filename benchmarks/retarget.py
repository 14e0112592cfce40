"""Robots' hands on people's grasps, beside dex-retargeting on the same ones: the table of docs/robots.md.

usage: python benchmarks/retarget.py DATA/dexycb_dev --hands HANDS [--dex PYTHON] [--objects 10] [--grasps 5]

HANDS is a folder with the hands: pip install --no-deps --target HANDS dexi-rs dexmate-urdf (Allegro, BSD; Fourier's
of six motors and Dexmate's F5D6, Apache-2.0; both of the latter have mimic joints). PYTHON is one where dex-retargeting
and torch are installed: python -m venv dex && dex/bin/pip install dex-retargeting torch. It is started at the starts
that ours has, and the result that is nearest to its own goal is taken.

held        share of the grasps that lift the object by 30 cm in MuJoCo (300 g, friction 1), of ours the chosen pose
depth       of the hand's deepest point in the object, mm, mean; overlap: of the hand's convex shapes with it, cm³
self        how deep links are in each other at worst, mm, mean
kept        of grasps in which three or more of the person's fingers touch that the hand has: share in which contacts
            of three or more are within 1 cm of the person's
way         share whose way there is free of collisions
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hoprior.evaluation.set_measures import fitted_to
from hoprior.geometry.mesh import load_mesh
from hoprior.hand import load_hand
from hoprior.physics.contact_map import contact_map
from hoprior.physics.robots.fit import RobotPose, fit_starts
from hoprior.physics.robots.goals import goals_of
from hoprior.physics.robots.kinematics import RobotHand
from hoprior.physics.robots.measures import RobotMeasures, measure
from hoprior.results.grasps import GraspResult, GraspResults
from hoprior.tasks.retarget import HeldObject, load_robot, retarget_one

HANDS = {
    "allegro": "dexi_rs/resources/assets/robots/hands/allegro_hand/allegro_hand_right.urdf",
    "fourier": "dexi_rs/resources/assets/robots/hands/fourier_hand/base_urdf/fourier_right_hand_6dof.urdf",
    "f5d6": "dexmate_urdf/robots/hands/f5d6_hand/f5d6_right.urdf",
}
LINKS = {
    "allegro": (
        *("link_15.0_tip", "link_3.0_tip", "link_7.0_tip", "link_11.0_tip"),
        *("link_14.0", "link_2.0", "link_6.0", "link_10.0"),
    ),
    "fourier": tuple(
        f"R_{finger}_{bone}_link"
        for bone in ("tip", "intermediate")
        for finger in ("thumb", "index", "middle", "ring", "pinky")
        if (finger, bone) != ("thumb", "intermediate")
    ),
    "f5d6": tuple(
        f"R_{finger}_{link}"
        for link in ("tip", "l2")
        for finger in ("th", "ff", "mf", "rf", "lf")
        if (finger, link) != ("th", "l2")
    ),
}
"""What dex-retargeting lays to joints of the person's hand, as its own configuration of the Allegro does."""
TIPS, SECOND = (16, 17, 18, 19, 20), (2, 5, 11, 8)
"""Our joints: fingertips from the thumb on, and the second joints of index, middle, ring and pinky."""
JOINTS = {"allegro": (16, 17, 18, 19, 14, 2, 5, 11), "fourier": (*TIPS, *SECOND), "f5d6": (*TIPS, *SECOND)}
LEAST_FINGERS = 3


def recorded(folder: Path, mesh: Path, count: int) -> GraspResults:
    """People's grasps of one object, evenly out of all, the open hand fitted to them."""
    arrays = np.load(folder / "grasps.npz")
    joints = arrays["joints_object"][arrays["object"] == mesh.stem]
    joints = joints[np.linspace(0, len(joints) - 1, count).round().astype(int)]
    hand = load_hand()
    found = fitted_to(joints, hand)
    still, average = np.zeros((15, 3)), np.zeros(10)
    grasps = tuple(
        GraspResult(0.0, "open", "right", still, average, np.eye(4), j.double().numpy(), v.double().numpy())
        for j, v in zip(found.joints, found.verts, strict=True)
    )
    return GraspResults(grasps, hand.faces.numpy(), load_mesh(mesh).mesh, mesh.stem)


def row_of(measures: RobotMeasures, held: bool | None, seconds: float, way: bool | None = None) -> dict[str, Any]:
    """One grasp's figures."""
    enough = len(measures.kept) >= LEAST_FINGERS
    return {
        "held": held,
        "depth": 1e3 * measures.depth,
        "overlap": 1e6 * measures.overlap,
        "self": 1e3 * measures.self_depth,
        "kept": bool(measures.fingers_kept >= LEAST_FINGERS) if enough else None,
        "way": way,
        "seconds": seconds,
    }


def by_dex(python: str, hand: RobotHand, name: str, targets: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Poses by dex-retargeting, computed by another Python."""
    with tempfile.TemporaryDirectory() as folder:
        asked, made = Path(folder) / "asked.npz", Path(folder) / "made.npz"
        about = {"links": LINKS[name], "driven": hand.description.driven, "urdf": hand.description.source}
        np.savez(asked, targets=targets, starts=starts, **{key: np.array(value) for key, value in about.items()})
        script = Path(__file__).with_name("dex_retargeting_poses.py")
        subprocess.run([python, str(script), str(asked), str(made)], check=True)
        with np.load(made) as arrays:
            return dict(arrays)


def compare(folder: Path, name: str, urdf: Path, dex: str | None, objects: int, count: int) -> list[dict[str, Any]]:
    """Rows of all grasps, ours and dex-retargeting's."""
    hand: RobotHand = load_robot(urdf)
    rows: list[dict[str, Any]] = []
    for mesh in sorted(folder.glob("*.ply"))[:objects]:
        results = recorded(folder, mesh, count)
        item = HeldObject.of(results, hand)
        about = {"hand": name, "object": mesh.stem}
        goals, starts = [], []
        for number, grasp in enumerate(results):
            began = time.perf_counter()
            ours = retarget_one(hand, item, grasp, results.faces)
            row = row_of(ours.measures, ours.grasp.held, time.perf_counter() - began, ours.grasp.way.free)
            rows.append({**about, "number": number, "by": "hoprior", **row})
            joints = grasp.joints_object - item.place
            touch = contact_map(grasp.verts_object - item.place, results.faces, joints, item.item.mesh)
            goals.append(goals_of(touch, joints, item.sdf, [finger.name for finger in hand.fingers]))
            starts.append(np.stack([start.T_object_base for start in fit_starts(hand, item.sdf, goals[-1])]))
        if dex is not None:
            targets = np.stack([grasp.joints_object[list(JOINTS[name])] - item.place for grasp in results])
            made = by_dex(dex, hand, name, targets, np.stack(starts))
            order = [made["names"].tolist().index(joint) for joint in hand.description.driven]
            for number, (T, joints) in enumerate(zip(made["T_object_base"], made["joints"], strict=True)):
                pose = RobotPose(T, np.clip(joints[order], hand.low, hand.high))
                held = item.carrier.lift(pose).held if item.carrier else None
                row = row_of(measure(hand, item.sdf, pose, goals[number]), held, float(made["seconds"][number]))
                rows.append({**about, "number": number, "by": "dex-retargeting", **row})
        Console(stderr=True).print(mesh.stem, [(row["by"], row["held"]) for row in rows if row["object"] == mesh.stem])
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """A line for each hand and method."""
    names = ("held", "depth", "overlap", "self", "kept", "way", "seconds")
    table = Table("hand", "by", "n", *names, box=None)
    for hand, by in dict.fromkeys((row["hand"], row["by"]) for row in rows):
        mine = [row for row in rows if (row["hand"], row["by"]) == (hand, by)]
        cells = []
        for name in names:
            values = [float(row[name]) for row in mine if row[name] is not None]
            cells.append(f"{np.mean(values):.2f} ({len(values)})" if values else "")
        table.add_row(hand, by, str(len(mine)), *cells)
    Console(width=160).print(table)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hands", type=Path, required=True)
    parser.add_argument("--hand", choices=list(HANDS), action="append", help="one of them; all without it")
    parser.add_argument("--dex", help="a Python that has dex-retargeting")
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--grasps", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write all rows there, as JSON")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.hand or HANDS:
        rows += compare(args.folder, name, args.hands / HANDS[name], args.dex, args.objects, args.grasps)
    if args.out:
        args.out.write_text(json.dumps(rows))
    show(rows)


if __name__ == "__main__":
    sys.exit(main())
