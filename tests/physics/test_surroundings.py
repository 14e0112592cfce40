"""What hands and forearms keep off: tables, things, parts of the object."""

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.surface_parts import distances_to
from hoprior.hand import load_hand
from hoprior.hand.base import HandModel
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.posed import PosedHands, pose_hands
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.physics.surroundings import FOREARM_LENGTH, FOREARM_RADIUS, Part, Surroundings, Table, Thing

UP = torch.tensor([0.0, 0.0, 1.0])
FAR = 10.0


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_hand()


def nothing(points: Tensor) -> Tensor:
    """No object at all."""
    return points[..., 2] + FAR


def posed_at(hand: HandModel, heights: list[float], turned: bool = False) -> PosedHands:
    """Relaxed hands whose wrists are so high; turned, their forearms point down."""
    T = torch.eye(4).repeat(len(heights), 1, 1)
    if turned:
        T[:, :3, :3] = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    T[:, 2, 3] = torch.tensor(heights)
    return pose_hands(hand, nothing, hand.relaxed_angles.expand(len(heights), -1, -1), T)


def test_depth_in_a_table_is_that_of_the_lowest_of_hand_and_forearm(hand: HandModel) -> None:
    around = Surroundings([Table(UP, 0.0)])
    flat = posed_at(hand, [0.5, 0.03, -0.1])
    lowest = flat.verts_object[..., 2].amin(dim=1)
    expected = torch.maximum(-lowest, FOREARM_RADIUS - torch.tensor([0.5, 0.03, -0.1])).clamp(min=0)
    torch.testing.assert_close(around.depth(flat), expected, atol=1e-5, rtol=0)
    down = posed_at(hand, [0.2], turned=True)
    assert bool((down.verts_object[..., 2] > 0).all())  # the hand itself is free
    assert float(around.depth(down)) == pytest.approx(FOREARM_LENGTH + FOREARM_RADIUS - 0.2, abs=1e-5)


def test_the_forearm_goes_on_where_the_hand_ends(hand: HandModel) -> None:
    T = torch.eye(4)[None]
    points = Surroundings([Table(UP, 0.0)]).forearm(T)[0]
    middle_knuckle = hand.joints_template[4]
    assert torch.equal(points[0], torch.zeros(3))
    assert float(torch.nn.functional.cosine_similarity(points[-1], middle_knuckle, dim=0)) < -0.999
    assert float(points[-1].norm()) == pytest.approx(FOREARM_LENGTH)
    child = Surroundings([Table(UP, 0.0)], size=0.7).forearm(T)[0]
    assert float(child[-1].norm()) == pytest.approx(0.7 * FOREARM_LENGTH)


def test_the_energy_is_nothing_for_free_hands_and_brings_others_out(hand: HandModel) -> None:
    around = Surroundings([Table(UP, 0.0)])
    assert float(around.energy(posed_at(hand, [0.3]))) == 0.0
    height = torch.tensor([0.0], requires_grad=True)
    T = torch.eye(4)[None].clone()
    T = T + height * torch.tensor([[[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]])
    energy = around.energy(pose_hands(hand, nothing, hand.relaxed_angles[None], T))
    energy.sum().backward()
    assert float(energy.detach()) > 1.0
    assert height.grad is not None
    assert float(height.grad) < 0.0  # up is downhill


def test_without_surroundings_energies_are_equal_to_the_bit(hand: HandModel) -> None:
    ball = SdfGrid.from_mesh(trimesh.creation.icosphere(radius=0.04), resolution=24)
    T = torch.eye(4).repeat(2, 1, 1)
    T[:, 2, 3] = torch.tensor([-0.06, 0.5])
    angles = hand.relaxed_angles.expand(2, -1, -1)
    high = Surroundings([Table(UP, -FAR)])
    for kind in (ContactEnergy, FleshEnergy):
        alone = kind(hand, ball)(angles, T)
        assert torch.equal(alone, kind(hand, ball, surroundings=high)(angles, T))


def test_a_board_thinner_than_a_finger_is_in_the_way(hand: HandModel) -> None:
    """It hides no vertex of a hand that goes through it."""
    board = trimesh.creation.box((0.4, 0.4, 0.001))
    board.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [0, 1, 0]))
    board.apply_translation([0.12, 0.0, 0.0])
    around = Surroundings([Thing(board, SdfGrid.from_mesh(board, resolution=64))])
    posed = posed_at(hand, [0.0])
    assert float(around.depth(posed)) > 0.002
    board.apply_translation([0.2, 0.0, 0.0])
    free = Surroundings([Thing(board, SdfGrid.from_mesh(board, resolution=64))])
    assert float(free.depth(posed)) == 0.0


def test_what_is_cropped_is_as_far_as_the_whole(hand: HandModel) -> None:
    shelf = trimesh.util.concatenate(
        [trimesh.creation.box((2.0, 2.0, 0.02)).apply_translation([0, 0, z]) for z in (-0.3, 0.3, 2.0)]
    )
    bounds = np.array([[-0.4, -0.4, -0.4], [0.4, 0.4, 0.4]])
    grid = SdfGrid.from_mesh(shelf, resolution=64, bounds=bounds)
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.1, 0.2, 0.25], [0.0, 0.0, 0.305], [-0.3, 0.1, -0.28]]])
    thing = Thing(shelf, grid)
    expected = torch.tensor([[0.29, 0.04, -0.005, 0.01]])
    torch.testing.assert_close(thing(points), expected, atol=3e-3, rtol=0)
    torch.testing.assert_close(thing.exact(points), expected, atol=1e-5, rtol=0)


def test_hands_with_a_palm_or_a_forearm_in_the_way_count_as_worse(hand: HandModel) -> None:
    around = Surroundings([Table(UP, 0.0)])
    posed = posed_at(hand, [0.5, 0.045, 0.02, -0.2])
    misplaced = around.misplaced(posed.T_object_hand, posed.joints_hand)
    room = around.room_for_palm(posed.T_object_hand, posed.joints_hand)
    assert float(misplaced[0]) == 0.0
    assert bool((misplaced.diff() >= 0).all())
    assert float(misplaced[-1]) >= 15.0  # five fingers, palm and forearm
    assert room.tolist() == [True, True, False, False]


def test_a_part_is_left_free_with_what_is_next_to_it() -> None:
    part = Part(distances_to(np.array([[0.0, 0.0, 0.0], [0.01, 0.0, 0.0]])), margin=0.006)
    points = torch.tensor([[[0.0, 0.0, 0.004], [0.01, 0.0, 0.02]]])
    torch.testing.assert_close(part(points), torch.tensor([[-0.002, 0.014]]), atol=1.5e-3, rtol=0)
