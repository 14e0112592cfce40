"""Estimates of hands as an estimator that errs by nothing would give them."""

import torch

from hoprior.geometry.camera import intrinsics, project
from hoprior.hand import HandPose, load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.vision.estimates import HandEstimate

SIZE = (640, 480)


def estimate(name: str = "a", side: str = "right", hidden: tuple[str, ...] = (), seed: int = 0) -> HandEstimate:
    hand = load_hand("open", side)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    angles = hand.relaxed_angles + 0.1 * torch.randn(1, 15, 3, generator=generator)
    pose = HandPose(
        hand.angles_to_pose(angles.clamp(hand.angle_low, hand.angle_high)),
        torch.zeros(1, 10),
        torch.tensor([[0.3, 2.0, 0.2]]),
        torch.tensor([[0.0, 0.0, 0.5]]),
    )
    K = intrinsics(SIZE, 500.0)
    joints = hand.joints_only(pose.hand_pose, None, pose.global_orient, pose.transl)
    occluded = torch.tensor([joint in hidden for joint in JOINT_NAMES])
    return HandEstimate(
        name=name,
        side=side,  # type: ignore[arg-type]
        pose=pose,
        K=K,
        size=SIZE,
        keypoints=project(joints, K[None])[0],
        confidence=torch.ones(21),
        occluded=occluded,
    )
