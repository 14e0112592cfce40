"""Flesh: what fills a hand, what cuts it, how much of it touches; and the descent that makes it touch more."""

import pytest
import torch
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.state import SignedDistance, rigid
from hoprior.hand import load_hand
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.soft_tissue import FleshEnergy, FleshSpheres, FleshWeights
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch, descend

HAND = load_hand()
FLAT = torch.zeros(1, 15, 3)


def at(height: float) -> Tensor:
    """The hand, raised by `height` (m) along its palm's normal."""
    return rigid(torch.eye(3)[None], torch.tensor([[0.0, 0.0, height]]))


def sheet(thickness: float) -> SignedDistance:
    """A sheet of metal through z = 0, without end."""

    def sdf(points: Tensor) -> Tensor:
        return points[..., 2].abs() - thickness / 2

    return sdf


def flesh(sdf: SignedDistance, weights: FleshWeights | None = None) -> FleshEnergy:
    return FleshEnergy(HAND, sdf, weights=weights)


def test_spheres_fill_the_fingers_and_stay_in_the_skin() -> None:
    spheres = FleshSpheres(HAND)
    centres, part = spheres.centres(HAND.v_template[None])[0], HAND.vertex_part[spheres.skin]
    assert torch.equal(spheres.radius, torch.cdist(centres, HAND.v_template).amin(dim=1))
    for middle in (2, 5, 8, 11):
        inside = spheres.radius[part == middle]
        assert 0.004 < inside.median().item() < 0.010, "half of a finger's thickness"
    below, above = HAND.v_template[:, 2].min(), HAND.v_template[:, 2].max()
    assert (centres[:, 2] > below).all() and (centres[:, 2] < above).all()


def test_spheres_follow_the_pose() -> None:
    spheres = FleshSpheres(HAND)
    bent = HAND(HAND.angles_to_pose(HAND.relaxed_angles[None])).verts
    still_inside = torch.cdist(spheres.centres(bent)[0], bent[0]).amin(dim=1)
    assert (still_inside > 0.6 * spheres.radius).float().mean() > 0.95


def test_what_goes_through_a_thin_sheet_is_cut_though_no_vertex_is_deep() -> None:
    thin = sheet(0.0005)
    energy = flesh(thin)
    verts = HAND(HAND.angles_to_pose(FLAT)).verts
    middle = verts[0, HAND.pad_ids, 2].mean().item() - 0.005
    through, beside = (verts - torch.tensor([0.0, 0.0, z]) for z in (middle, middle - 0.1))
    assert thin(through).min() > -0.0003
    assert energy.sphere_penetration(beside).item() == 0
    assert energy.sphere_penetration(through).item() > 100 * 0.001**2


def test_touching_is_a_share_of_the_skin() -> None:
    energy = flesh(sheet(0.01))
    assert (energy.contact_share(torch.full((2, 50), -0.01)) > 0.99).all()
    assert (energy.contact_share(torch.full((2, 50), 0.05)) < 1e-6).all()
    half = torch.cat([torch.full((1, 25), -0.05), torch.full((1, 25), 0.05)], dim=1)
    assert abs(energy.contact_share(half).item() - 0.5) < 1e-5


def ball_in_the_palm(points: Tensor) -> Tensor:
    return (points - torch.tensor([0.085, 0.0, 0.045])).norm(dim=-1) - 0.03


def test_descent_widens_contact_and_keeps_it_shallow() -> None:
    energy = flesh(ball_in_the_palm)
    began = GraspBatch(HAND.relaxed_angles[None], at(0.0))
    ended = descend(began, lambda hands, share: energy(hands.angles, hands.T_object_hand), DescentConfig(80))

    def distances(hands: GraspBatch) -> Tensor:
        verts = HAND(HAND.angles_to_pose(hands.angles)).verts + hands.T_object_hand[:, None, :3, 3]
        return ball_in_the_palm(verts)

    def touching(hands: GraspBatch) -> float:
        return (distances(hands) < 0.005).float().mean().item()

    assert touching(ended) > touching(began) + 0.03
    assert distances(ended).min() > -0.003


def test_a_hand_that_is_held_fast_moves_only_its_fingers() -> None:
    energy = flesh(ball_in_the_palm)
    began = GraspBatch(HAND.relaxed_angles[None], at(0.0))
    shares: list[float] = []
    held = DescentConfig(10, rate_move=0.0, rate_turn=0.0)
    ended = descend(began, lambda hands, share: energy(hands.angles, hands.T_object_hand), held, report=shares.append)
    assert torch.allclose(ended.T_object_hand, began.T_object_hand, atol=1e-6)
    assert not torch.equal(ended.angles, began.angles)
    assert shares == [(k + 1) / 10 for k in range(10)]


def test_bones_stay_clear_of_walls_whatever_pulls() -> None:
    """Pulled through a sheet: without the guard the hand goes, with it no bone passes."""
    walls = CollisionGuard(HAND, sheet(0.002))
    began = GraspBatch(HAND.relaxed_angles[None].repeat(2, 1, 1), at(-0.09).repeat(2, 1, 1))
    assert walls.clear(began.angles, began.T_object_hand).all()

    def pulled(hands: GraspBatch, share: float) -> Tensor:
        return -1000 * hands.T_object_hand[:, 2, 3]

    config = DescentConfig(100, rate_move=0.002, hold_position=0.0, hold_rotation=0.0, clearance=0.001)
    free, kept = descend(began, pulled, config), descend(began, pulled, config, walls)
    assert (free.T_object_hand[:, 2, 3] > kept.T_object_hand[:, 2, 3] + 0.01).all()
    assert walls.clear(kept.angles, kept.T_object_hand, 0.001).all()
    assert (kept.T_object_hand[:, 2, 3] > began.T_object_hand[:, 2, 3]).all(), "as far as the wall it goes"


def test_no_steps_leave_hands_as_they_are_and_fewer_are_refused() -> None:
    began = GraspBatch(HAND.relaxed_angles[None], at(0.0))
    ended = descend(began, lambda hands, share: hands.angles.sum(dim=(1, 2)), DescentConfig(0))
    assert torch.equal(ended.angles, began.angles)
    assert torch.allclose(ended.T_object_hand, began.T_object_hand)
    with pytest.raises(HopriorError, match="a descent of -3 steps"):
        DescentConfig(-3)
