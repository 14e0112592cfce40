"""Joints of UmeTrack's hand (Han et al., SIGGRAPH Asia 2022), a skeleton that each person's profile brings along.

Five fingers from the thumb on have four hinges each, one after the other from the palm: two at the knuckle (of the
thumb, at its root), one at each of the two joints beyond. A profile gives a left hand: where the hinges are at rest and
about which axes they turn, in the wrist's frame, millimetres. A right hand is its mirror image.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.recordings.files import read_mapping
from hoprior.datasets.recordings.hands import vector
from hoprior.datasets.samples.sample import Side
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import reorder_joints

FINGERS, HINGES = 5, 4
WRIST_LANDMARK = 5
"""Landmarks: five fingertips from the thumb's on, the wrist, and joints of fingers."""
MILLIMETRE = 0.001


class UmeTrackHand:
    """One person's hand: hinges (20, 3) and their axes, fingertips (5, 3) and wrist (3,) at rest, metres."""

    def __init__(self, profile: dict[str, Any]) -> None:
        model = profile["hand_model"]
        hinges = np.asarray(model["joint_rest_positions"], dtype=np.float64)[: FINGERS * HINGES]
        axes = np.asarray(model["joint_rotation_axes"], dtype=np.float64)[: FINGERS * HINGES]
        landmarks = np.asarray(model["landmark_rest_positions"], dtype=np.float64)[: WRIST_LANDMARK + 1]
        self.hinges = vector(hinges * MILLIMETRE, 60, "joint_rest_positions").view(FINGERS, HINGES, 3)
        self.axes = vector(axes, 60, "joint_rotation_axes").view(FINGERS, HINGES, 3)
        rest = vector(landmarks * MILLIMETRE, 18, "landmark_rest_positions").view(WRIST_LANDMARK + 1, 3)
        self.tips, self.wrist = rest[:WRIST_LANDMARK], rest[WRIST_LANDMARK]

    @classmethod
    def read(cls, path: Path) -> "UmeTrackHand":
        """The hand in a profile's file, umetrack_hand_user_profile.json."""
        return cls(read_mapping(path))

    def joints(
        self, angles: Float[Tensor, " n"], T_world_wrist: Float[Tensor, "4 4"], side: Side
    ) -> Float[Tensor, "21 3"]:
        """The 21 joints in the world, MANO's order, metres; `angles` (rad) of the hinges, finger by finger."""
        T_root = T_world_wrist.clone()
        if side == "right":
            T_root[:, 0] = -T_root[:, 0]
        bends = rotvec_to_rotmat(angles[: FINGERS * HINGES].view(FINGERS, HINGES, 1) * self.axes)
        points = [transform_points(T_root, self.wrist[None])]
        for finger in range(FINGERS):
            T = T_root
            for hinge in range(HINGES):
                place, bend = self.hinges[finger, hinge], bends[finger, hinge]
                if hinge > 0:
                    points.append(transform_points(T, place[None]))
                T = T @ rigid(bend, place - bend @ place)
            points.append(transform_points(T, self.tips[finger][None]))
        return reorder_joints(torch.cat(points), "openpose")
