"""Fingers through walls (hoprior/metrics/walls.py)."""

import numpy as np
import torch
import trimesh

from hoprior.hand import load_hand
from hoprior.metrics import fingers_through


def test_fingers_through_a_wall_count_and_fingers_in_a_block_do_not() -> None:
    joints = load_hand().joints_only(torch.zeros(2, 15, 3))
    joints[1] += torch.tensor([0.0, 0.0, 0.5])  # far from everything
    middle = 0.5 * (joints[0, 1] + joints[0, 2])  # of the index finger's first bone

    def wall(thickness: float) -> trimesh.Trimesh:
        box = trimesh.creation.box((thickness, 0.3, 0.3))
        box.apply_translation(middle.numpy() + np.array([thickness / 2, 0, 0]))
        return box

    through = fingers_through(joints, wall(0.003))
    assert through[0] >= 3 and through[1] == 0
    assert fingers_through(joints, wall(0.3)).tolist() == [0, 0]


def test_no_finger_goes_through_what_no_bone_meets() -> None:
    joints = load_hand().joints_only(torch.zeros(1, 15, 3))
    assert fingers_through(joints, trimesh.creation.icosphere(radius=0.01).apply_translation([0.0, 0.0, -1.0])) == [0]
