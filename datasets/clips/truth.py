"""Reconstructions against the truth of their clips, where it is known."""

import numpy as np
import torch
import trimesh
from jaxtyping import Float

from hoprior.datasets.clips.clip import Clip
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.metrics.object_pose import object_pose_errors
from hoprior.metrics.reconstruction import (
    ALIGN_SEED,
    POINTS,
    align,
    joint_errors,
    motion_errors,
    one_way_cm2,
    relation_cm2,
    surface_errors,
)
from hoprior.rendering.pinhole import visible_faces
from hoprior.results.reconstructions import Reconstruction

SAME_FRAME = 0.002
"""Boxes of two meshes differ by less (m) if both are the object, in the same frame."""


def measure(result: Reconstruction, clip: Clip) -> dict[str, float]:
    """All metrics of a reconstruction of a clip whose truth is known, and what its hands' estimates were to begin with.

    Raises:
        HopriorError: the clip has no ground truth.
    """
    frames, joints = result.T_hand_object, result.joints_camera
    return compare(result.object_mesh, frames, joints, clip)


def measure_known_object(result: Reconstruction, clip: Clip) -> dict[str, float]:
    """How far the object is from its true place in the hand, where its own mesh was given; nothing of another mesh.

    Raises:
        HopriorError: the clip has no ground truth.
    """
    truth = clip.truth
    if truth is None:
        raise HopriorError(f"{clip.name}: has no ground truth: it needs oObj.obj and eval_poses.npz")
    if np.abs(result.object_mesh.bounds - truth.mesh.bounds).max() > SAME_FRAME:
        return {}
    return object_pose_errors(truth.mesh, result.T_hand_object, truth.T_hand_object.numpy())._asdict()


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
        **motion_errors(T_hand_object, truth.T_hand_object.numpy(), truth.mesh.bounds.mean(axis=0))._asdict(),
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


def mask_overlaps(result: Reconstruction, clip: Clip) -> Float[np.ndarray, " n"]:
    """How well the object that is drawn covers its mask in each frame: intersection over union; NaN without a mask.

    Where the mask of the hand is, or nothing is known, a picture says nothing of the object, and neither counts.
    """
    found = np.full(len(clip), np.nan)
    flip = clip.side == "left"
    for i in clip.has_object.nonzero()[:, 0].tolist():
        seen, free = (mask.numpy() > 0.5 for mask in (clip.object_mask[i], (1 - clip.hand_mask[i]) * clip.known[i]))
        if flip:
            seen, free = seen[:, ::-1], free[:, ::-1]
        T = result.T_camera_hand[i] @ result.T_hand_object[i]
        verts = np.asarray(result.object_mesh.vertices) @ T[:3, :3].T + T[:3, 3]
        drawn = visible_faces(verts, np.asarray(result.object_mesh.faces), result.intrinsics[i], seen.shape[::-1]) >= 0
        found[i] = (drawn & seen).sum() / max(((drawn & free) | seen).sum(), 1)
    return found


def estimated_joints(clip: Clip) -> np.ndarray:
    """The joints (n, 21, 3) that the estimates began with, before the camera, of the side that was filmed."""
    from hoprior.hand import load_hand

    pose = clip.hand_pose
    joints = load_hand(clip.hand).joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    if clip.side == "left":
        joints = joints * torch.tensor([-1.0, 1.0, 1.0])
    return joints.numpy()
