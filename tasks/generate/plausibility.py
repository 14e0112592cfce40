"""What makes a sampled hand and object plausible: the object's pieces and size, the hand's bones, how the two meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.regions import Regions
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.skeletal import FIELD_JOINTS
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel, HandPose, fit_joints
from hoprior.metrics.grasp import inside_voxels, voxel_intersection_cm3
from hoprior.metrics.hand_validity import bone_lengths
from hoprior.physics.bone_crossings import bones_through

CM_PER_M = 100.0
ANGLE_PRIOR = 0.003
"""Of the fit to sampled joints, m/rad: they are good to millimetres, where recorded ones are good to less."""


@dataclass(frozen=True)
class Plausible:
    """Limits beyond which a draw is thrown away.

    Attributes:
        max_bone_error: mean over the bones of |length / the fitted hand's - 1|.
        max_ik_error_cm: mean distance that a hand within its joint limits leaves to the sampled joints.
        min_size_cm, max_size_cm: longest side of the object's bounding box.
        crumb_share: pieces with a smaller share of the largest one's volume are removed from the object.
        max_piece_gap_cm: other pieces may be this far from the largest one: thin objects break on a coarse grid.
        max_gap_cm: distance from the hand to an object that it holds.
        max_depth_cm: how deep the hand may be in the object.
    """

    max_bone_error: float = 0.15
    max_ik_error_cm: float = 1.0
    min_size_cm: float = 2.0
    max_size_cm: float = 30.0
    crumb_share: float = 0.05
    max_piece_gap_cm: float = 2.0
    max_gap_cm: float = 1.0
    max_depth_cm: float = 2.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """One draw, measured: a right hand and its object in the hand frame, metres.

    `fault` says in a few words what is wrong with it; None where nothing is. What cannot be made of a bad draw is None.
    """

    fault: str | None
    measures: dict[str, float]
    joints_hand: Float[Tensor, "21 3"]
    pose: HandPose | None = None
    object_mesh: trimesh.Trimesh | None = None


SEEN_CELLS = 80
"""Of an object that was drawn as a mesh, or that a hand is brought to."""
Finish = Callable[
    [int, trimesh.Trimesh, SdfGrid, Float[Tensor, "15 3"]], tuple[Float[Tensor, "15 3"], Float[Tensor, "4 4"]]
]
"""Which draw, its object and distances, how its hand is bent -> how it is bent, and where it is at it, finished."""


@torch.no_grad()
def examine(
    grid: InteractionGrid,
    residual: Float[Tensor, " n"],
    hand: HandModel,
    limits: Plausible,
    field_joints: int = 20,
    fit_betas: bool = False,
    meshes: Sequence[trimesh.Trimesh] | None = None,
    hand_pose: Float[Tensor, "n 15 3"] | None = None,
    finish: Finish | None = None,
) -> list[Candidate]:
    """Fits a hand to each of n draws, extracts its object, and measures both.

    Args:
        grid: the draws, on the CPU.
        residual: of each draw's hand field, see `field_residual`.
        hand: a right hand.
        limits: beyond which a draw is at fault.
        field_joints: how many joints the field holds; the fingertips that it does not hold are the fitted hand's.
        fit_betas: also fit the hand's shape.
        meshes: the objects (hand frame, m), of a prior that draws them finer than the grid.
        hand_pose: how the hands are bent (radians), of a prior that draws it for this hand model; nothing is fitted.
        finish: brings a hand with an object together before they are measured.
    """
    known = torch.zeros(21, dtype=torch.bool)
    known[0] = known[FIELD_JOINTS[field_joints]] = True
    finite = grid.joints_hand[:, known].isfinite().flatten(1).all(dim=1)
    joints = torch.where(known[:, None] & finite[:, None, None], grid.joints_hand, 0.0)
    # A draw that is not finite has a hand of its own making; it is at fault whatever comes of it.
    targets = torch.where(finite[:, None, None], joints, hand.joints_only(torch.zeros(1, 15, 3)))
    if hand_pose is None:
        fit = fit_joints(hand, targets, known.float(), fit_betas=fit_betas, angle_prior=ANGLE_PRIOR)
        pose, fitted, error = fit.pose, fit.joints, fit.error
    else:
        pose = HandPose.of(hand.angles_to_pose(hand.pose_to_angles(hand_pose)))
        fitted = hand.joints_only(pose.hand_pose)
        error = (fitted - targets).norm(dim=-1).mean(dim=1)
    joints = torch.where(known[:, None], joints, fitted)
    bone_error = (bone_lengths(joints) / bone_lengths(fitted) - 1).abs().mean(dim=1)
    verts = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).verts
    candidates = []
    for i in range(len(joints)):
        measures = {
            "field_residual": float(residual[i]),
            "bone_error": float(bone_error[i]),
            "ik_error_cm": CM_PER_M * float(error[i]),
        }
        fault = hand_fault(bool(finite[i]), measures, limits)
        mesh, here, bent, seen = None, joints[i], pose[i], verts[i]
        if fault is None:
            mesh, sdf, fault = _object(grid, None if meshes is None else meshes[i], i, measures, limits)
            if mesh is not None and fault is None:
                if sdf is not None and finish is None:
                    cleaned = InteractionGrid(torch.from_numpy(sdf)[None, None], here[None], grid.spec)
                    distance = cleaned.state().sdf(seen[None])[0]
                else:
                    whole = SdfGrid.from_mesh(mesh, SEEN_CELLS)
                    distance = whole(seen)
                    if finish is not None:
                        angles, T = finish(i, mesh, whole, bent.hand_pose[0])
                        bent = replace(HandPose.of(angles[None]), betas=bent.betas)
                        output = hand(bent.hand_pose, bent.betas, bent.global_orient, bent.transl)
                        here, seen = output.joints[0], output.verts[0]
                        distance = whole(transform_points(T[None], seen[None])[0])
                        mesh = mesh.copy().apply_transform(torch.linalg.inv(T).double().numpy())
                fault = meeting_fault(distance, seen, hand, mesh, measures, limits)
                measures["bones_through"] = float(bones_through(mesh, here[None])[0])
        candidates.append(Candidate(fault, measures, here, bent, mesh))
    return candidates


def _object(
    grid: InteractionGrid, mesh: trimesh.Trimesh | None, i: int, measures: dict[str, float], limits: Plausible
) -> tuple[trimesh.Trimesh | None, Float[np.ndarray, "D H W"] | None, str | None]:
    """Draw i's object, its distances where it was drawn as such, and what is wrong with it."""
    if mesh is None:
        return object_of(grid.object_sdf[i, 0].numpy(), grid.spec, measures, limits)
    whole, fault = whole_object(mesh, measures, limits)
    return whole, None, fault


def whole_object(
    mesh: trimesh.Trimesh, measures: dict[str, float], limits: Plausible
) -> tuple[trimesh.Trimesh | None, str | None]:
    """An object that was drawn as a mesh (m) without crumbs, and what is wrong with it; adds its `measures`.

    Example:
        >>> measures = {}
        >>> ball, crumb = trimesh.creation.icosphere(radius=0.04), trimesh.creation.icosphere(radius=0.002)
        >>> kept, fault = whole_object(ball + crumb.apply_translation((0.1, 0, 0)), measures, Plausible())
        >>> fault, measures["object_pieces"], round(measures["object_size_cm"])
        (None, 1.0, 8)
    """
    parts = mesh.split(only_watertight=False)
    pieces = [part for part in parts if part.volume > 0]
    if not pieces:
        return None, "without an object"
    largest = max(pieces, key=lambda piece: piece.volume)
    kept = [piece for piece in pieces if piece.volume >= limits.crumb_share * largest.volume]
    tree = KDTree(largest.vertices)
    gap = max(float(tree.query(piece.vertices)[0].min()) if piece is not largest else 0.0 for piece in kept)
    measures["object_pieces"], measures["object_cut"] = float(len(kept)), 0.0
    if CM_PER_M * gap > limits.max_piece_gap_cm:
        return mesh, "broken into far pieces"
    # Pieces within others are hollows, which have no volume of their own.
    hollows = [part for part in parts if part.volume < 0 and len(kept) == 1]
    whole = sum(hollows, start=sum(kept[1:], start=kept[0]))
    return whole, size_fault(whole, measures, limits)


def hand_fault(finite: bool, measures: dict[str, float], limits: Plausible) -> str | None:
    """What is wrong with a hand, if anything.

    Example:
        >>> hand_fault(True, {"bone_error": 0.3, "ik_error_cm": 0.2}, Plausible())
        'with bones of wrong lengths'
    """
    if not finite:
        return "without a hand"
    if not measures["bone_error"] <= limits.max_bone_error:
        return "with bones of wrong lengths"
    if not measures["ik_error_cm"] <= limits.max_ik_error_cm:
        return "with joints beyond their limits"
    return None


def object_of(
    sdf: Float[np.ndarray, "D H W"], spec: GridSpec, measures: dict[str, float], limits: Plausible
) -> tuple[trimesh.Trimesh | None, Float[np.ndarray, "D H W"], str | None]:
    """The object's closed mesh, its distances without crumbs, and what is wrong with it; adds its `measures`."""
    if not np.isfinite(sdf).all() or sdf.min() >= 0:
        return None, sdf, "without an object"
    sdf, pieces, gap = without_crumbs(sdf, spec.cell, limits.crumb_share)
    faces_of_cube = (sdf[[0, -1]], sdf[:, [0, -1]], sdf[:, :, [0, -1]])
    measures["object_pieces"] = float(pieces)
    measures["object_cut"] = float(any((face < 0).any() for face in faces_of_cube))
    # A layer of outside closes an object that reaches the end of the grid.
    lower = tuple(corner - spec.cell for corner in spec.lower)
    mesh = extract_surface(np.pad(sdf, 1, constant_values=spec.cell), (lower[0], lower[1], lower[2]), spec.cell)
    mesh.merge_vertices()
    fault = size_fault(mesh, measures, limits)
    return mesh, sdf, "broken into far pieces" if CM_PER_M * gap > limits.max_piece_gap_cm else fault


def size_fault(mesh: trimesh.Trimesh, measures: dict[str, float], limits: Plausible) -> str | None:
    """What is wrong with an object's size, which it adds to `measures`."""
    size = CM_PER_M * float(mesh.extents.max())
    measures["object_size_cm"], measures["object_volume_cm3"] = size, float(mesh.volume) * CM_PER_M**3
    if size < limits.min_size_cm:
        return "with an object too small"
    if size > limits.max_size_cm:
        return "with an object too large"
    return None


def without_crumbs(
    sdf: Float[np.ndarray, "D H W"], cell: float, crumb_share: float
) -> tuple[Float[np.ndarray, "D H W"], int, float]:
    """A grid of distances without its smallest pieces, how many are left, and how far the farthest is from the largest.

    Pieces are cells of negative distance that touch, corners included; the gap is in the unit of `cell`.

    Example:
        >>> sdf = np.full((8, 8, 8), 0.01)
        >>> sdf[1:5, 1:5, 1:5] = sdf[7, 7, 7] = -0.01
        >>> cleaned, pieces, gap = without_crumbs(sdf, cell=0.01, crumb_share=0.05)
        >>> bool(cleaned[7, 7, 7] > 0), pieces, gap
        (True, 1, 0.0)
    """
    parts = Regions.of(sdf < 0, corners=True)
    away = cell * ndimage.distance_transform_edt(~parts.largest)
    is_crumb = parts.cells < crumb_share * parts.cells.max()
    kept = np.flatnonzero(~is_crumb) + 1
    gap = max(float(away[parts.label == k].min()) for k in kept)
    crumb = np.isin(parts.label, np.flatnonzero(is_crumb) + 1)
    return np.where(crumb, -sdf, sdf), len(kept), gap


def meeting_fault(
    distance: Float[Tensor, " v"],
    verts: Float[Tensor, "v 3"],
    hand: HandModel,
    mesh: trimesh.Trimesh,
    measures: dict[str, float],
    limits: Plausible,
) -> str | None:
    """What is wrong with how hand and object meet, from the object's distance at the hand's vertices; measures it."""
    measures["gap_cm"] = CM_PER_M * max(0.0, float(distance.min()))
    measures["max_depth_cm"] = CM_PER_M * max(0.0, -float(distance.min()))
    points, faces = verts.double().numpy(), hand.faces.numpy()
    measures["volume_cm3"] = voxel_intersection_cm3(points, faces, inside_voxels(mesh))
    if measures["gap_cm"] > limits.max_gap_cm:
        return "with a hand away from the object"
    if measures["max_depth_cm"] > limits.max_depth_cm:
        return "with a hand deep in the object"
    return None


def count_faults(candidates: Sequence[Candidate]) -> dict[str, int]:
    """How many candidates have which fault.

    Example:
        >>> joints = torch.zeros(21, 3)
        >>> count_faults([Candidate(fault, {}, joints) for fault in ("too small", None, "too small")])
        {'too small': 2}
    """
    faults = [candidate.fault for candidate in candidates if candidate.fault is not None]
    return {fault: faults.count(fault) for fault in dict.fromkeys(faults)}
