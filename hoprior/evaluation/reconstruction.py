"""`hoprior eval reconstruct`: a reconstruction against a clip's ground truth."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.metrics.reconstruction import (
    ALIGN_SEED,
    POINTS,
    align,
    joint_errors,
    one_way_cm2,
    relation_cm2,
    surface_errors,
)
from hoprior.results.folder import package_versions
from hoprior.results.reconstructions import INDEX, Reconstruction

COLUMNS = ("f5", "f10", "cd_cm2", "unseen_cm2", "cd_h_cm2", "mpjpe_cm", "mpjpe_scaled_cm", "mpjpe_pa_cm", "auc")
"""What is measured. `unseen_cm2`: mean squared distance from true surface that no frame shows to the aligned mesh."""


def measure(result: Reconstruction, clip: Clip) -> dict[str, float]:
    """All metrics of a reconstruction of a clip whose truth is known, and what its hands' estimates were to begin with.

    Raises:
        HopriorError: the clip has no ground truth.
    """
    frames, joints = result.T_hand_object, result.joints_camera
    return compare(result.object_mesh, frames, joints, clip)


def compare(
    mesh: trimesh.Trimesh, T_hand_object: np.ndarray, joints_camera: np.ndarray, clip: Clip
) -> dict[str, float]:
    """As `measure`, of the parts: a mesh, the object's place in each frame's hand, and the joints before the camera.

    All are of the side that was filmed, as is the truth.
    """
    truth = clip.truth
    if truth is None:
        raise HopriorError(f"{clip.name}: has no ground truth: it needs oObj.obj and eval_poses.npz")
    predicted = trimesh.sample.sample_surface(mesh, POINTS, seed=ALIGN_SEED)[0]
    true = trimesh.sample.sample_surface(truth.mesh, POINTS, seed=ALIGN_SEED)[0]
    # Both as the hand of the middle frame has them: there the start of the alignment that turns nothing is a good one.
    middle = len(T_hand_object) // 2
    in_hand, true_in_hand = (
        points @ T[:3, :3].T + T[:3, 3]
        for points, T in ((predicted, T_hand_object[middle]), (true, truth.T_hand_object[middle].numpy()))
    )
    move = align(in_hand, true_in_hand)
    aligned = move(in_hand)
    joints_true = transform_points(truth.T_camera_hand, truth.joints_hand).numpy()
    found = {
        **surface_errors(aligned, true_in_hand)._asdict(),
        "cd_h_cm2": relation_cm2(predicted, true, T_hand_object, truth.T_hand_object.numpy()),
        **joint_errors(joints_camera, joints_true)._asdict(),
        "scale": move.scale,
    }
    if truth.points is not None and truth.seen is not None:
        T = truth.T_hand_object[middle].numpy()
        points, seen = truth.points.numpy() @ T[:3, :3].T + T[:3, 3], truth.seen.numpy()
        found["unseen_cm2"] = one_way_cm2(points[~seen], aligned)
        found["seen_cm2"] = one_way_cm2(points[seen], aligned)
        found["unseen_share"] = float((~seen).mean())
    return found


def estimated_joints(clip: Clip) -> np.ndarray:
    """The joints (n, 21, 3) that the estimates began with, before the camera, of the side that was filmed."""
    from hoprior.hand import load_hand

    pose = clip.hand_pose
    joints = load_hand(clip.hand).joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    if clip.side == "left":
        joints = joints * torch.tensor([-1.0, 1.0, 1.0])
    return joints.numpy()


def evaluate_reconstruction(results: Path, clip: Path, out: Path | None = None) -> None:
    """Measure a reconstruction against its clip's ground truth.

    Args:
        results: folder that `hoprior run reconstruct` wrote.
        clip: the clip's folder, with oObj.obj and eval_poses.npz.
        out: file of the results, .json; a .csv stands beside it. metrics.json in the results' folder if not given.
    """
    out = out or results / "metrics.json"
    check_place(out.absolute().parent)
    poses, mesh = read_result(results)
    frame = [int(number) for number in poses["frame"]]
    source = read_clip(clip, max_frames=max(frame) + 1 if frame else 1)
    missing = set(frame) - set(source.frame)
    if missing:
        raise HopriorError(f"{results}: has frame {min(missing)}, {clip} has not: is it a result of this clip?")
    from dataclasses import replace

    assert source.truth is None or len(source.frame) == len(source.truth.joints_hand)
    keep = torch.tensor([source.frame.index(number) for number in frame])
    if source.truth is not None:
        names = ("T_hand_object", "T_camera_hand", "joints_hand")
        source = replace(source, truth=replace(source.truth, **{n: getattr(source.truth, n)[keep] for n in names}))
    found = compare(mesh, poses["T_hand_object"], poses["joints_camera"], source)
    document = {"clip": source.name, "points": POINTS, "seed": ALIGN_SEED, "metrics": found}
    document["versions"] = package_versions()
    write_atomically(out, lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    def write_csv(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["metric", "value"])
            writer.writerows((name, f"{value:.6g}") for name, value in found.items())

    write_atomically(out.with_suffix(".csv"), write_csv)
    show(found)


def show(found: dict[str, float]) -> None:
    """Prints what was measured."""
    from rich.console import Console
    from rich.table import Table

    table = Table("F5", "F10", "CD, cm²", "unseen, cm²", "CD_h, cm²", "MPJPE, cm", "scaled", "PA", "AUC", box=None)
    table.add_row(*(f"{found[name]:.3f}" if name in found else "-" for name in COLUMNS))
    Console().print(table)


def read_result(folder: Path) -> tuple[dict[str, Any], trimesh.Trimesh]:
    """Poses and object of a result folder.

    Raises:
        HopriorError: it is not one, or damaged.
    """
    if not (folder / INDEX).is_file():
        raise HopriorError(f"{folder}: is no result of `hoprior run reconstruct` (no {INDEX})")
    try:
        with np.load(folder / "poses.npz", allow_pickle=False) as file:
            poses = {name: file[name] for name in file.files}
        return poses, trimesh.load_mesh(folder / "object.ply")
    except (OSError, ValueError) as error:
        raise HopriorError(f"{folder}: is damaged ({error}): reconstruct the clip again") from error


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `hoprior eval reconstruct`."""
    args = list(args or [])
    if args and not args[0].startswith("-"):
        args = ["--results", *args]
    call_with_arguments(evaluate_reconstruction, "hoprior eval reconstruct", args)
