"""Hands that hold something, from joints that are right at the fingertips and doubtful elsewhere.

Motion that was retargeted to another skeleton by its fingertips has these where they were, while knuckles bend too much
and middle joints too little, around a palm that is tilted. What tells the rest is how hands hold things: near the
position of function, the palm where that has it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.hand.base import HandModel
from hoprior.hand.ik import PALM, fit_joints
from hoprior.hand.joint_order import THUMB_CMC, TIPS


@dataclass(frozen=True)
class HoldingFit:
    """Inverse kinematics that follows fingertips, and bends fingers as hands that hold something do.

    joint_weight, palm_weight: of squared misses of a finger's joints, and of the wrist's and the knuckles', beside 1 of
        a fingertip's.
    angle_prior: pull of angles to `HandModel.holding_angles`, metres per radian.
    """

    joint_weight: float = 0.1
    palm_weight: float = 0.01
    angle_prior: float = 0.03

    def __call__(
        self, hand: HandModel, joints: Float[Tensor, "b 21 3"]
    ) -> tuple[Float[Tensor, "b 15 3"], Float[Tensor, "b 4 4"]]:
        """Joint angles, and the hand's pose in the frame of `joints` (m).

        Example:
            >>> from hoprior.hand import load_hand
            >>> hand = load_hand()
            >>> joints = hand.joints_only(hand.angles_to_pose(hand.holding_angles[None]))
            >>> angles, pose = HoldingFit()(hand, joints)
            >>> bool((angles - hand.holding_angles).abs().max() < 1e-3), bool((pose - torch.eye(4)).abs().max() < 1e-3)
            (True, True)
        """
        weights = torch.full((21,), self.joint_weight)
        weights[list(PALM)] = self.palm_weight
        weights[TIPS], weights[THUMB_CMC] = 1.0, 0.0
        rest = hand.holding_angles
        pose = fit_joints(hand, joints, weights=weights, angle_prior=self.angle_prior, rest=rest).pose
        return hand.pose_to_angles(pose.hand_pose), pose.T_target_hand
