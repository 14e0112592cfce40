"""Mouths of vessels: which fingers are in one, and that the way out is downhill."""

import math

import numpy as np
import pytest
import torch
import trimesh

import hoprior
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.physics.mouths import ALLOWED, CORK, VesselMouths
from hoprior.tasks.grasp.faults import FaultWeights, GraspFaults

HEIGHT = 0.1


@pytest.fixture(scope="module")
def cup() -> trimesh.Trimesh:
    """7 cm wide inside, standing on z = 0."""
    inner = trimesh.creation.cylinder(0.035, HEIGHT)
    inner.apply_translation([0, 0, 0.003])
    body = trimesh.boolean.difference([trimesh.creation.cylinder(0.038, HEIGHT), inner])
    body.apply_translation([0, 0, HEIGHT / 2])
    return body


@pytest.fixture(scope="module")
def sdf(cup: trimesh.Trimesh) -> SdfGrid:
    return SdfGrid.from_mesh(cup, resolution=64)


def pointing_down(x: float, z: float) -> torch.Tensor:
    """A flat hand at (x, 0, z) whose fingers point down."""
    T = torch.eye(4)
    T[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    T[:3, 3] = torch.tensor([x, 0.0, z])
    return T


def joints_at(T_object_hand: torch.Tensor) -> torch.Tensor:
    hand = hoprior.load_hand()
    return transform_points(T_object_hand[None], hand.joints_only(hand.angles_to_pose(torch.zeros(1, 15, 3))))


def test_fingers_in_a_cup_are_counted_and_those_beside_it_are_not(sdf: SdfGrid) -> None:
    mouths = VesselMouths(sdf)
    assert mouths.any
    assert mouths.fingers_inside(joints_at(pointing_down(0.0, HEIGHT + 0.12))).item() >= 2
    assert mouths.fingers_inside(joints_at(pointing_down(0.07, HEIGHT + 0.12))).item() == 0
    assert mouths.fingers_inside(joints_at(pointing_down(0.0, HEIGHT + 0.4))).item() == 0


def test_a_plugged_mouth_is_solid_and_leads_out(sdf: SdfGrid) -> None:
    mouths = VesselMouths(sdf)
    inside = torch.tensor([[[0.0, 0.0, 0.06], [0.01, 0.01, HEIGHT + CORK / 2]]]).requires_grad_()
    assert (sdf(inside) > 0.005).all()
    plugged = mouths.plugged(inside)
    assert (plugged < 0).all()
    plugged.sum().backward()
    assert inside.grad is not None and (inside.grad[..., 2] > 0.5).all()
    beside = torch.tensor([[[0.06, 0.0, 0.05], [0.0, 0.0, HEIGHT + 2 * CORK]]])
    assert torch.equal(mouths.plugged(beside).clamp(max=0.005), sdf(beside).clamp(max=0.005))


def test_vessels_stand_with_the_mouth_up_and_palms_beneath_them_are_told(cup: trimesh.Trimesh, sdf: SdfGrid) -> None:
    rest = rest_poses(cup)
    unknown, mouths = VesselMouths(sdf), VesselMouths(sdf, rest)
    assert rest is not None and mouths.way_out is not None
    assert torch.allclose(mouths.way_out, torch.tensor([0.0, 0.0, 1.0]), atol=0.1)
    beside, below = pointing_down(0.09, HEIGHT), torch.eye(4)
    below[:3, 3] = torch.tensor([-0.08, 0.0, -0.03])
    assert unknown.beneath(joints_at(below)).item() == 0  # nobody said how it stands
    stood = mouths.rest
    up = rest.up_object[:, 2] > 0.95
    assert stood is not None and stood.log_prob[up].exp().sum().item() == pytest.approx(0.95, abs=1e-4)
    assert stood.log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-4)
    assert mouths.beneath(joints_at(below)).item() == 1
    assert mouths.beneath(joints_at(beside)).item() == 0
    assert unknown.rest is None


def test_a_ball_has_no_mouth() -> None:
    ball = SdfGrid.from_mesh(trimesh.creation.icosphere(3, 0.04), resolution=48)
    assert not VesselMouths(ball).any


def test_a_hand_in_a_cup_ranks_below_the_same_hand_beside_it(cup: trimesh.Trimesh, sdf: SdfGrid) -> None:
    hand = hoprior.load_hand()
    judge = GraspFaults(prepare_mesh(cup), hand, sdf, FaultWeights(simulate=False), VesselMouths(sdf))
    at = torch.stack([pointing_down(0.0, HEIGHT + 0.13), pointing_down(0.09, HEIGHT + 0.13)])
    faults = judge(torch.zeros(2, 15, 3), at)
    total = torch.stack(list(faults.values())).sum(dim=0)
    assert faults["fingers_in_mouth"][0] >= 12 and faults["fingers_in_mouth"][1] == 0
    assert total[0] > total[1] + 10


@pytest.mark.parametrize("wall", [0.0005, 0.003, 0.008])
@pytest.mark.parametrize("base", [0.04, 0.025])
def test_a_finger_that_touches_a_rim_from_outside_is_not_in_the_mouth(wall: float, base: float) -> None:
    """Bones lie half a centimetre under the skin or deeper: what is 3 mm outside a wall, or beside its rim, is free."""
    outer = [(0.0, 0.0), (base, 0.0), (0.045, HEIGHT)]
    inner = [(0.045 - wall, HEIGHT), (base - wall, 0.004), (0.0, 0.004)]
    body = prepare_mesh(trimesh.creation.revolve(np.array(outer + inner), sections=96))
    mouths = VesselMouths(SdfGrid.from_mesh(body))
    assert mouths.any
    height = torch.linspace(0.0, HEIGHT + CORK, 66)
    out = base + (0.045 - base) * (height / HEIGHT).clamp(max=1.0)
    for turn in (0.0, 0.4, 0.785):
        beside = (out + 0.003)[:, None] * torch.tensor([math.cos(turn), math.sin(turn)])
        assert mouths.depth(torch.cat([beside, height[:, None]], dim=1)).max() < ALLOWED
    assert mouths.depth(torch.tensor([[0.0, 0.0, HEIGHT - 0.01], [0.0, 0.0, HEIGHT + CORK / 2]])).min() > ALLOWED
