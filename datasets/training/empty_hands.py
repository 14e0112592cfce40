"""Hands that hold nothing: recorded joints of a moving hand, and hands at rest by rule.

A prior that has only seen grasps takes every hidden thumb for one that opposes something.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hoprior.common.array_files import read_arrays
from hoprior.common.reading import interpreting
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.hand import HandModel, fit_joints, reorder_joints
from hoprior.language.template import NOTHING
from hoprior.metrics.hand_validity import bone_lengths

TEXT = "a hand holding nothing"
FRAMES_A_BLOCK = 32
"""Frames of a recording that count as one object: about a second, held out together."""
RESTING = "Apache-2.0 (made by hoprior)"
CURL, SLOPE = (-0.15, 0.5), 0.15
"""Flexion (rad) beyond the relaxed hand that a resting hand's fingers share, and how much more the little finger's is
than the index finger's."""
PIP_SHARE, DIP_SHARE = 1.2, 0.6
"""Flexion of the middle and last joints, in those of the knuckles."""
OWN = 0.08
"""Standard deviation (rad) of every flexion beyond that; a third of it for the other angles, all of it for the
thumb's."""
FLEXION = 1
FINGER_ORDER = (0, 1, 3, 2)
"""Places of the fingers of hoprior's order (index, middle, pinky, ring) from the thumb's side."""


@dataclass(frozen=True)
class FreeHands:
    """Joints of free right hands in a file: an .npz with `joints` (n, 21, 3), metres, in MediaPipe's order.

    The recording is cut into blocks, which stand for objects where some are held out.

    Raises:
        HopriorError: on use, if the file cannot be read.
    """

    path: Path
    name: str = "free"

    def blocks(self, hand: HandModel) -> list[GraspSet]:
        """The hand model fitted to the joints, block by block; hands are brought to the average size."""
        joints = reorder_joints(self._joints(), "mediapipe")
        average = bone_lengths(hand.joints_only(hand.axes.new_zeros(1, 15, 3))).sum()
        joints = joints * (average / bone_lengths(joints).sum(dim=1))[:, None, None]
        pose = fit_joints(hand, joints).pose
        angles = hand.pose_to_angles(pose.hand_pose)
        return [
            posed_set(
                ObjectInfo(f"{self.path.stem}_{k}", NOTHING, self.name, "of the file", "", TEXT),
                hand,
                part,
                torch.eye(4).expand(len(part), 4, 4),
                recorded=True,
                sequences=(self.path.stem,),
            )
            for k, part in enumerate(angles.split(FRAMES_A_BLOCK))
        ]

    def _joints(self) -> torch.Tensor:
        if not Path(self.path).is_file():
            raise HopriorError(f"{self.path}: there is no such file")
        advice = "give an .npz file with `joints`"
        found = read_arrays(self.path, ["joints"], advice=advice)
        with interpreting(self.path, advice):
            joints = torch.from_numpy(np.asarray(found["joints"], dtype=np.float32))
        if joints.ndim != 3 or joints.shape[1:] != (21, 3) or not bool(joints.isfinite().all()):
            raise HopriorError(f"{self.path}: joints have the shape {tuple(joints.shape)}: give (n, 21, 3), finite")
        return joints


def resting_hands(num: int, hand: HandModel, seed: int = 0) -> list[GraspSet]:
    """`num` relaxed hands within the joint limits: fingers curl together, the little finger most, the thumb lies aside.

    Human by rule, in blocks as of a recording.
    """
    generator = torch.Generator().manual_seed(seed)
    curl = CURL[0] + (CURL[1] - CURL[0]) * torch.rand(num, 1, generator=generator)
    knuckles = curl + SLOPE * torch.tensor(FINGER_ORDER) / 3
    shares = torch.tensor([1.0, PIP_SHARE, DIP_SHARE])
    angles = hand.relaxed_angles.expand(num, -1, -1).clone()
    angles[:, :12, FLEXION] += (knuckles[..., None] * shares).flatten(1)
    own = OWN * torch.randn(angles.shape, generator=generator)
    own[:, :12, [0, 2]] /= 3
    angles = (angles + own).clamp(hand.angle_low, hand.angle_high)
    return [
        posed_set(
            ObjectInfo(f"rest_{seed}_{k}", NOTHING, "resting", RESTING, "", TEXT),
            hand,
            part,
            torch.eye(4).expand(len(part), 4, 4),
            recorded=False,
        )
        for k, part in enumerate(angles.split(FRAMES_A_BLOCK))
    ]
