"""What a scene is asked to agree with: masks, contours, keypoints, smoothness, contact, and the estimates it began at.

Each function gives one number; lengths are in metres unless it says otherwise. `LossWeights` says how much each counts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.geometry.camera import project_pinhole
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel
from hoprior.rendering.volume import VolumeMask, composite
from hoprior.tasks.reconstruct.observations import Rays
from hoprior.tasks.reconstruct.scene import NEAREST_SEEN, PosedScene, Scene

CONTACT_REACH = 0.012
"""Pads within this distance of the surface are drawn to it, metres."""
SMOOTH_THICKNESS = 0.012
"""Half the thickness (m) of the first guess from which curvature counts in full."""
RELATION_SLACK = 0.003
"""An object that is held stays within about so much (m) of its mean place in the hand; beyond, its pull is constant."""
JOLT = 0.004
"""Accelerations before the camera (m a frame²) beyond which hands are moved on purpose: their cost grows linearly."""
SURFACE_BAND = 0.02
"""Distance from the surface (m) within which distances must grow as distances do."""
CONTOUR_REACH = 0.05
"""Rays that pass the surface by more (m) pull no more."""
KEYPOINT_SLACK = 0.02
"""Joints that are seen farther off (in sides of the crop) pull with a constant force."""
PENETRATION_VERTICES = 50
"""About so many of the skin's sampled vertices lie in an object where fingers sink into it; their depths are added."""
USUAL_TURN, USUAL_SHIFT, USUAL_BEND = 0.15, 0.03, 0.25
"""By how much estimators err: a hand's turn (rad), its place (m), and fingers' angles (rad)."""
LIMIT_WEIGHT = 20.0
"""How much joint limits count beside the estimate."""


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts.

    Attributes:
        mask: of the object's visible mask; per pixel, 0 to 1.
        contour: of how far the surface passes the rays through the mask's contour, per metre.
        hand_mask: of the hand's mask.
        keypoints: of the joints' miss in the picture, in units of the crop's side.
        estimate: of leaving the estimated finger angles (rad²) and shape.
        eikonal: of gradients of the distances that are not of length one.
        smooth_surface: of the distances' curvature.
        smooth_relation: of the object's motion in the hand, per m² from frame to frame.
        firm_relation: of the object's distance from its mean place in the hand, per metre (see `RELATION_SLACK`).
        smooth_camera: of accelerations of hand and object before the camera, per m².
        smooth_fingers: of the finger angles' change, rad².
        contact: of pads that are near the surface and do not touch it, per metre.
        penetration: of the hand's skin inside the object, per metre.
        focal: of the focal length's relative change, squared.
        prior: of the guidance loss (`guidance_loss`, its mean over the frames) of priors of hands at objects, a
            hundredth of it.
        pose_prior: of the guidance loss, likewise, of priors that look at nothing but how the fingers are bent.
    """

    mask: float = 1.0
    contour: float = 30.0
    hand_mask: float = 1.0
    keypoints: float = 20.0
    estimate: float = 0.05
    eikonal: float = 0.02
    smooth_surface: float = 20.0
    smooth_relation: float = 20_000.0
    firm_relation: float = 20.0
    smooth_camera: float = 2000.0
    smooth_fingers: float = 0.2
    contact: float = 2.0
    penetration: float = 10.0
    focal: float = 100.0
    prior: float = 0.3
    pose_prior: float = 0.001


def mask_loss(
    seen: VolumeMask,
    hand_alpha: Float[Tensor, "b r"],
    hand_depth: Float[Tensor, "b r"],
    rays: Rays,
) -> Float[Tensor, ""]:
    """Mean difference of the object's visible mask.

    Where the picture shows a hand that the scene has elsewhere, nobody knows which of the two is in front: no loss.
    """
    visible = composite(seen.alpha, seen.depth, hand_alpha, hand_depth)
    known = rays.known * (1 - rays.hand_mask * (1 - hand_alpha))
    return ((visible - rays.object_mask).abs() * known).mean()


def contour_loss(nearest: Float[Tensor, "b r"], on_contour: Bool[Tensor, "b r"]) -> Float[Tensor, ""]:
    """How far rays through the contour pass the surface, metres: a pull that does not fade with distance.

    Example:
        >>> contour_loss(torch.tensor([[0.01, -0.03, 0.5]]), torch.tensor([[True, True, False]]))
        tensor(0.0200)
    """
    return (nearest.abs().clamp(max=CONTOUR_REACH) * on_contour).sum() / on_contour.sum().clamp(min=1)


def keypoint_loss(
    placed: PosedScene, keypoints: Float[Tensor, "b 21 2"], confidence: Float[Tensor, "b 21"], size: int
) -> Float[Tensor, ""]:
    """Miss of the joints in the picture, in units of its side; linear beyond `KEYPOINT_SLACK`."""
    miss = (project_pinhole(placed.joints_camera, placed.intrinsics, NEAREST_SEEN) - keypoints) / size
    each = (
        F.huber_loss(miss, torch.zeros_like(miss), delta=KEYPOINT_SLACK, reduction="none").sum(dim=-1) / KEYPOINT_SLACK
    )
    return (each * confidence).sum() / confidence.sum().clamp(min=1)


def hand_mask_loss(
    alpha: Float[Tensor, "b s s"],
    target: Float[Tensor, "b s s"],
    object_target: Float[Tensor, "b s s"],
    known: Float[Tensor, "b s s"],
) -> Float[Tensor, ""]:
    """Mean difference of the hand's mask, over what it covers; behind the object's mask there may be hand or not.

    Beyond an edge of the picture that cuts through them, where `known` is 0, there may be both.
    """
    weight = (1 - object_target) * known
    return ((alpha - target).abs() * weight).sum() / target.sum().clamp(min=1)


def surface_losses(scene: Scene, values: Float[Tensor, "D H W"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Eikonal loss near the surface, and the mean squared curvature of the distances (per cell), everywhere.

    A thin thing bends more than a thick one of the same form: its curvature counts less, by the square of its size.
    """
    along = [values.diff(dim=k)[tuple(slice(None, -1) if j != k else slice(None) for j in range(3))] for k in range(3)]
    gradient = (torch.stack(along).square().sum(dim=0) + 1e-12).sqrt() / scene.cell
    near = (values[:-1, :-1, :-1].detach().abs() < SURFACE_BAND).to(values)
    eikonal = ((gradient - 1).square() * near).sum() / near.sum().clamp(min=1)
    curvature = sum((values.diff(n=2, dim=k) / scene.cell).square().mean() for k in range(3))
    size = (-scene.base.min() / SMOOTH_THICKNESS).clamp(max=1.0)
    return eikonal, size.square() * torch.as_tensor(curvature)


class Motion(NamedTuple):
    """How things move from frame to frame; means."""

    relation: Float[Tensor, ""]
    """Squared change of the object's place in the hand, m²."""
    firm: Float[Tensor, ""]
    """Distance of the object from its mean place in the hand, m; squared where it is small."""
    camera: Float[Tensor, ""]
    """Squared acceleration of hand and object before the camera, m²; linear where it is large (`JOLT`)."""
    fingers: Float[Tensor, ""]
    """Squared change of the finger angles, rad²."""


def motion_losses(scene: Scene) -> Motion:
    """Places are those of the corners of the object's box, and of the hand's joints.

    A picture hardly shows how deep a thing lies. What shows it is that the object turns with the hand, and only if it
    cannot slide in the hand meanwhile: small steps that add up would hide it. What `Scene.put` took for its motion in
    the hand is no slip.
    """
    placed = scene.place(mesh=False)
    corners = _box_points(scene).expand(len(scene), -1, -1)
    moved = transform_points(scene.corrections(), corners)
    none = moved.sum() * 0
    relation, fingers = none, none
    if len(scene) > 1:
        relation = moved.diff(dim=0).square().sum(dim=-1).mean()
        fingers = scene.hand_angles().diff(dim=0).square().sum(dim=(1, 2)).mean()
    away = ((moved - moved.mean(dim=0)).square().sum(dim=-1) + 1e-12).sqrt()
    firm = F.huber_loss(away, torch.zeros_like(away), delta=RELATION_SLACK) / RELATION_SLACK
    if len(scene) < 3:
        return Motion(relation, firm, none, fingers)
    object_camera = transform_points(placed.T_camera_hand @ placed.T_hand_object, corners)
    both = torch.cat([object_camera, placed.joints_camera], dim=1)
    jolt = (both.diff(n=2, dim=0).square().sum(dim=-1) + 1e-12).sqrt()
    camera = 2 * F.huber_loss(jolt, torch.zeros_like(jolt), delta=JOLT)
    return Motion(relation, firm, camera, fingers)


def contact_losses(
    scene: Scene, values: Float[Tensor, "D H W"], placed: PosedScene, model: HandModel, every: int = 3
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How far pads near the object are from touching it, and how deep the skin is in it; metres, means."""
    T_object_hand = placed.T_object_camera @ placed.T_camera_hand
    skin = transform_points(T_object_hand, placed.hand.verts)
    pads = scene.sdf(values, skin[:, model.pad_ids[::every]])
    near = (pads.detach() < CONTACT_REACH) & (pads.detach() > 0)
    contact = (pads * near).sum() / near.sum().clamp(min=1)
    depth = torch.relu(-scene.sdf(values, skin[:, ::every]))
    return contact, depth.sum() / len(skin) / PENETRATION_VERTICES


def estimate_loss(scene: Scene, has_hand: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """Square distance from the estimated fingers and shape, joint limits, and turns and shifts in their usual sizes."""
    known = has_hand.to(scene.angles)[:, None]
    turned = (scene.hand_turn * known / USUAL_TURN).square().mean()
    usual = turned + (scene.hand_shift * known / USUAL_SHIFT).square().mean()
    bent = (scene.angles / USUAL_BEND).square().mean()
    limits = scene.model.limit_energy(scene.hand_angles()).mean()
    shape = (scene.betas_start + scene.betas).square().mean()
    return usual + bent + LIMIT_WEIGHT * limits + shape


def _box_points(scene: Scene) -> Float[Tensor, "8 3"]:
    """Corners of the middle half of the object's box."""
    signs = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return (scene.lower + scene.upper) / 2 + signs.to(scene.lower) * (scene.upper - scene.lower) / 4
