"""Gradients are what the values say: every differentiable piece of geometry, hand, guidance and metrics, in double.

Each piece is looked at where it has a gradient; where one is cut on purpose (the contact of fingertips moves no hand),
what is left of it is looked at. Score distillation's is no slope: tests/priors/test_guidance.py says what it is.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from hoprior.geometry import camera
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.lookup import trilinear, trilinear_distance
from hoprior.geometry.skeletal import joints_from_field, skeletal_field
from hoprior.geometry.state import HandObjectState, rigid, transform_points
from hoprior.geometry.transforms import invert, mirrored_transform, rotate_about
from hoprior.hand import load_hand
from hoprior.hand.kinematics import bone_vectors, forward_kinematics
from hoprior.metrics.hand_validity import bone_lengths
from hoprior.metrics.joint_faults import palm_side
from hoprior.physics.contact import (
    ContactEnergy,
    ContactWeights,
    bone_penetration,
    finger_crossing,
    finger_gaps,
    imbalance,
    penetration,
    posture,
    saturating,
    soft_closest,
)
from hoprior.physics.posed import SkinZones, pose_hands
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.priors.guidance import guidance_loss
from hoprior.rendering.soft import render_soft_mask

DRAW = torch.Generator().manual_seed(0)
HAND = deepcopy(load_hand("open")).double()
K = camera.intrinsics((64, 48), 60.0)[None].double()
SPEC = GridSpec(center=(0.06, 0.0, 0.02), half_extent=0.12, resolution=6)


def some(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=DRAW)


def before_camera(*shape: int) -> Tensor:
    return some(*shape, 3, scale=0.05) + torch.tensor([0.0, 0.0, 0.6], dtype=torch.float64)


def ball(points: Tensor) -> Tensor:
    """Signed distance (m) to a ball in the hand's palm, which it enters a little."""
    return (points - points.new_tensor([0.09, 0.01, 0.045])).norm(dim=-1) - 0.032


def turns(count: int) -> Tensor:
    return rotate_about(torch.zeros(3, dtype=torch.float64), some(count, 3, scale=0.5))


def bent(count: int = 1) -> Tensor:
    return HAND.relaxed_angles[None] + some(count, 15, 3, scale=0.1)


def placed(shift: Tensor) -> Tensor:
    """Hands moved by b shifts, turned a little."""
    return rotate_about(torch.zeros(3, dtype=torch.float64), 2 * shift, shift)


def posed(angles: Tensor, shift: Tensor) -> Any:
    return pose_hands(HAND, ball, angles, placed(shift))


class Liking:
    """A prior with an energy."""

    def energy(self, state: Tensor, cond: Tensor | None = None) -> Tensor:
        return (state.sin() + state.square()).sum(dim=1)


JOINTS, POINTS = some(1, 21, 3), some(3, 3)

GEOMETRY: dict[str, tuple[Callable[..., Tensor], list[Tensor]]] = {
    "project": (lambda p: camera.project(p, K), [before_camera(2, 4)]),
    "project by any camera": (camera.project, [before_camera(1, 4), K.clone()]),
    "project_pinhole": (camera.project_pinhole, [before_camera(4), some(4).abs() + 5]),
    "back_project": (camera.back_project, [some(1, 4, 2) * 9 + 30, some(1, 4).abs() + 0.5, K.clone()]),
    "mirrored_camera": (camera.mirrored_camera, [K.clone()]),
    "translation_from_pixels": (
        lambda p, uv: camera.translation_from_pixels(p, uv, K, torch.ones(1, 5, dtype=torch.float64)),
        [some(1, 5, 3, scale=0.05), some(1, 5, 2) * 9 + 30],
    ),
    "rotate_about": (rotate_about, [some(3), some(2, 3), some(2, 3)]),
    "rigid": (rigid, [some(2, 3, 3), some(2, 3)]),
    "transform_points": (transform_points, [some(2, 4, 4), some(2, 5, 3)]),
    "invert": (
        lambda turn, shift: invert(rotate_about(torch.zeros(3).double(), turn, shift)),
        [some(2, 3), some(2, 3)],
    ),
    "mirrored_transform": (mirrored_transform, [some(2, 4, 4)]),
    "trilinear": (trilinear, [some(1, 2, 3, 3, 3), some(1, 4, 3, scale=0.2)]),
    "trilinear_distance": (
        lambda f, p: trilinear_distance(f, p.clone(), torch.ones(3, dtype=torch.float64)),
        [some(1, 1, 3, 3, 3), some(1, 4, 3, scale=0.2)],
    ),
    "skeletal_field": (lambda j: skeletal_field(j, SPEC, clamp=1.0), [some(1, 21, 3, scale=0.05)]),
    "joints_from_field": (
        lambda f: joints_from_field(f, SPEC, clamp=1.0, refinements=2),
        [skeletal_field(some(1, 21, 3, scale=0.03) + SPEC.points().double().mean(0), SPEC, clamp=1.0)[:, :15]],
    ),
    "object_sdf_at": (
        lambda shift: HandObjectState(ball, placed(shift), JOINTS).object_sdf_at(POINTS),
        [some(1, 3, scale=0.05)],
    ),
}
HANDS: dict[str, tuple[Callable[..., Tensor], list[Tensor]]] = {
    "forward_kinematics": (lambda r, j: forward_kinematics(r, j)[1], [some(2, 16, 3, 3), some(1, 16, 3)]),
    "bone_vectors": (bone_vectors, [some(2, 16, 3)]),
    "angles_to_pose": (HAND.angles_to_pose, [bent()]),
    "pose_to_angles": (HAND.pose_to_angles, [HAND.angles_to_pose(bent()).detach()]),
    "limit_energy": (HAND.limit_energy, [bent() + 0.8]),
    "bone_lengths": (bone_lengths, [some(2, 21, 3)]),
    "palm_side": (palm_side, [HAND.joints_only(HAND.angles_to_pose(bent())).detach()]),
}
SHIFT = torch.tensor([[0.003, -0.002, 0.004]], dtype=torch.float64)
WEIGHTS = ContactWeights()
SKIN = SkinZones(HAND)
CONTACT: dict[str, tuple[Callable[..., Tensor], list[Tensor]]] = {
    "penetration": (lambda d: penetration(d, 0.001), [some(2, 6, scale=0.01)]),
    "saturating": (lambda d: saturating(d, 0.01), [some(2, 6, scale=0.01)]),
    "soft_closest": (lambda d: soft_closest(d, (2, 4)), [some(2, 6, scale=0.01)]),
    "posture": (lambda a: posture(HAND, a, WEIGHTS), [bent() + 0.5]),
    "finger_crossing": (
        lambda j: finger_crossing(j, 0.013),
        [0.3 * HAND.joints_only(HAND.angles_to_pose(bent())).detach()],
    ),
    "bone_penetration": (lambda a, s: bone_penetration(ball, posed(a, s), 0.02), [bent(), SHIFT.clone()]),
    "imbalance": (lambda a, s: imbalance(ball, posed(a, s), SKIN.fingers), [bent(), SHIFT.clone()]),
    # The hand's place is held still: it is fingers that are to bend.
    "finger_gaps": (lambda a: finger_gaps(ball, posed(a, SHIFT), SKIN, WEIGHTS), [bent()]),
    "ContactEnergy": (lambda a: ContactEnergy(HAND, ball)(a, placed(SHIFT)), [bent()]),
    "FleshEnergy": (lambda a, s: FleshEnergy(HAND, ball)(a, placed(s)), [bent(), SHIFT.clone()]),
    "guidance_loss": (lambda x: guidance_loss(Liking(), x), [some(2, 5)]),
}


@pytest.mark.parametrize("name", [*GEOMETRY, *HANDS, *CONTACT])
def test_the_gradient_is_the_slope_of_the_value(name: str) -> None:
    function, inputs = {**GEOMETRY, **HANDS, **CONTACT}[name]
    inputs = [one.detach().clone().requires_grad_() for one in inputs]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True, atol=1e-4, rtol=1e-3)


def test_a_soft_mask_s_gradient_is_its_slope() -> None:
    """Depth has none, and which pixels a triangle may cover is no matter of degree."""
    corners = torch.tensor([[[-0.4, -0.4, 1.0], [0.5, -0.3, 1.1], [0.1, 0.5, 0.9]]], dtype=torch.float64)
    faces, view = torch.tensor([[0, 2, 1]]), torch.tensor([[8.0, 8.0, 8.0, 8.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda verts: render_soft_mask(verts, faces, view, 16).alpha, [corners.requires_grad_()], fast_mode=True
    )
