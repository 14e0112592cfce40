"""What only a set of grasps has: diversity, likeness to people's; and what its contacts tell."""

from collections.abc import Sequence

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int

from hoprior.evaluation.grasp_sets import GraspSet
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.repair import place_of
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel, HandOutput, fit_joints, load_hand
from hoprior.metrics import GraspMetrics, diversity_cm, likeness
from hoprior.metrics.diversity import CLUSTERS, cluster_diversity
from hoprior.metrics.frechet import LEAST_GRASPS, frechet_distance
from hoprior.metrics.likeness import COMPARED_JOINTS, distances
from hoprior.metrics.quality import contact_agreement, grasp_quality
from hoprior.metrics.tips import tip_errors_mm
from hoprior.physics.contact_map import contact_map

CM3_PER_M3 = 1e6
POINTS, TOUCHED = 4000, 0.0025
"""Points of the object's surface, and the distance (m) to the hand within which one is touched."""


def of_set(
    item: GraspSet,
    solid: ObjectMesh,
    found: Sequence[GraspMetrics],
    recorded: Float[np.ndarray, "m 21 3"] | None,
    contacts: bool,
) -> dict[str, float | None]:
    """A row's values that are of the set; those that it cannot have are left out.

    Args:
        solid: the object, mended.
        found: each grasp's own metrics.
        recorded: joints of people's grasps of the object, metres.
        contacts: also measure what touches, a second a grasp.
    """
    row: dict[str, float | None] = {}
    if found:
        volume = CM3_PER_M3 * float(solid.solid.volume)
        row["volume_share"] = float(np.mean([one.volume_cm3 for one in found])) / volume
    verts = torch.as_tensor(item.verts, dtype=torch.float32)
    if len(verts) > 1:
        row["diversity_object_cm"] = diversity_cm(verts)
        if item.T_object_hand is not None:
            T_hand_object = torch.linalg.inv(torch.as_tensor(item.T_object_hand, dtype=torch.float32))
            row["diversity_hand_cm"] = diversity_cm(transform_points(T_hand_object, verts))
    if item.joints is None:
        return row
    row["tips_mm"] = float(np.mean(tip_errors_mm(item.joints, solid)))
    if len(item.joints) >= CLUSTERS:
        row |= cluster_diversity(torch.as_tensor(item.joints))._asdict()
    if recorded is not None:
        row |= likeness(item.joints, recorded)._asdict()
        if min(len(item.joints), len(recorded)) >= LEAST_GRASPS:
            row["frechet_cm"] = frechet_distance(item.joints, recorded)
    return row | (_by_contacts(item, solid, recorded) if contacts else {})


def _by_contacts(
    item: GraspSet, solid: ObjectMesh, recorded: Float[np.ndarray, "m 21 3"] | None
) -> dict[str, float | None]:
    """Means over grasps of epsilon and its volume and, where there is a recording, of agreement with the nearest."""
    assert item.joints is not None
    # Winding numbers are counted in single precision, which far from the origin is too coarse.
    place = place_of(solid.mesh)
    near = solid.moved(-place)
    surface, center = near.mesh, np.asarray(near.solid.center_mass)
    arm = float(np.linalg.norm(np.asarray(surface.vertices) - center, axis=1).max())
    verts, joints = item.verts - place, item.joints - place
    maps = [contact_map(hand, item.faces, bones, surface) for hand, bones in zip(verts, joints, strict=True)]
    qualities = [grasp_quality(one.contacts, center, arm) for one in maps]
    row: dict[str, float | None] = {
        "epsilon": float(np.mean([one.epsilon for one in qualities])),
        "epsilon_volume": float(np.mean([one.volume for one in qualities])),
    }
    if recorded is None:
        return row
    points = np.asarray(trimesh.sample.sample_surface(surface, POINTS, seed=0)[0])
    nearest = distances(item.joints, recorded).argmin(axis=1)
    hand = load_hand()
    theirs = {
        k: _touched(fitted_to(recorded[k][None] - place, hand).verts[0].double().numpy(), hand.faces.numpy(), points)
        for k in np.unique(nearest)
    }
    ours = [_touched(skin, item.faces, points) for skin in verts]
    agreements = [contact_agreement(one, theirs[k]) for one, k in zip(ours, nearest, strict=True)]
    shares = np.array([[one.iou, one.f1] for one in agreements])
    known = shares[np.isfinite(shares).all(axis=1)]
    if len(known):
        row["contact_iou"], row["contact_f1"] = map(float, known.mean(axis=0))
    return row


def _touched(
    verts: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], points: Float[np.ndarray, "n 3"]
) -> Bool[np.ndarray, " n"]:
    near = ((points > verts.min(axis=0) - TOUCHED) & (points < verts.max(axis=0) + TOUCHED)).all(axis=1)
    found = np.zeros(len(points), dtype=bool)
    found[near] = signed_distance(trimesh.Trimesh(verts, faces, process=False), points[near]) < TOUCHED
    return found


def fitted_to(joints: Float[np.ndarray, "n 21 3"], hand: HandModel) -> HandOutput:
    """The open hand, fitted to recorded joints (m); the thumb's first, of which hands differ, is not heeded."""
    weights = torch.zeros(21)
    weights[COMPARED_JOINTS] = 1.0
    pose = fit_joints(hand, torch.from_numpy(joints).float(), weights=weights).pose
    return hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
