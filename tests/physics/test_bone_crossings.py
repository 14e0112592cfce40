"""Bones through surfaces: walls of any thinness, bodies, and things beside the hand."""

import numpy as np
import pytest
import torch
import trimesh

from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand
from hoprior.hand.bones import BONE_ENDS, BONE_STARTS
from hoprior.physics.bone_crossings import bone_segments, bones_through
from hoprior.physics.bone_samples import BoneSamples

HAND = load_hand()
JOINTS = HAND.joints_only(torch.zeros(1, 15, 3))


@pytest.mark.parametrize("thickness", [1e-5, 1e-3])
def test_every_finger_that_goes_through_a_wall_is_counted_whatever_its_thickness(thickness: float) -> None:
    """A sheet across the four fingers' middle bones: as many bones are cut as have their ends on its two sides."""
    x = float(JOINTS[0, [1, 2], 0].mean())
    sheet = trimesh.creation.box((thickness, 0.3, 0.3)).apply_translation((x, 0.0, 0.0))
    starts, ends = bone_segments(JOINTS)
    cut = (np.minimum(starts, ends)[0, :, 0] < x) & (np.maximum(starts, ends)[0, :, 0] > x)
    assert bones_through(sheet, JOINTS).tolist() == [cut.sum()] and cut.sum() >= 4


def test_points_along_bones_miss_a_thin_wall_that_crossings_find() -> None:
    points = BoneSamples.of(JOINTS).points
    between = points[0, 11:13, 0].mean()  # two neighbours along one bone
    wall = trimesh.creation.box((0.0003, 0.3, 0.3)).apply_translation((float(between), 0.0, 0.0))
    assert (SdfGrid.from_mesh(wall, resolution=80)(points) > 0).all()
    assert bones_through(wall, JOINTS)[0] > 0


def test_each_hand_is_counted_by_itself_and_a_thing_beside_it_is_nothing() -> None:
    ball = trimesh.creation.icosphere(3, 0.02)
    tip = JOINTS[:, BONE_ENDS[2]]  # an index finger that ends in the ball
    hands = torch.cat([JOINTS - tip, JOINTS - tip + torch.tensor([0.0, 0.0, 0.1]), JOINTS + 1])
    assert bones_through(ball, hands).tolist() == [1, 0, 0]
    assert bones_through(trimesh.Trimesh(), hands).tolist() == [0, 0, 0]


def test_a_fingertip_may_be_pressed_in_as_flesh_is() -> None:
    """The last bone ends a quarter before the tip's skin: what reaches no deeper is no bone's."""
    start, tip = JOINTS[0, BONE_STARTS[2]], JOINTS[0, BONE_ENDS[2]]
    along = (tip - start) / (tip - start).norm()
    turn = trimesh.geometry.align_vectors([0, 0, 1], along.double().numpy())
    for share, crossed in ((0.85, 0), (0.6, 1)):
        wall = trimesh.creation.box((0.02, 0.02, 0.05)).apply_translation((0, 0, 0.025)).apply_transform(turn)
        wall.apply_translation((start + share * (tip - start)).numpy())
        assert bones_through(wall, JOINTS)[0] == crossed
