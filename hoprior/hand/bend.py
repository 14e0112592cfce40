"""Some rotations of a hand bent so that the joints beyond them come to where they are wanted."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from hoprior.hand.base import HandModel
from hoprior.hand.jacobian import ANGLES, joint_jacobian
from hoprior.hand.kinematics import forward_kinematics
from hoprior.hand.pose import HandPose

STIFFNESS = 0.01
"""Metres that joints may miss their targets by to spare a rotation one radian: rotations that no target needs stay."""


@torch.no_grad()
def bent_towards(
    hand: HandModel,
    pose: HandPose,
    free: Bool[Tensor, "b 15"],
    targets: Float[Tensor, "b 21 3"],
    weights: Float[Tensor, "b 21"],
    steps: int = 5,
    ray_weights: Float[Tensor, "b 21"] | None = None,
) -> Float[Tensor, "b 15 3"]:
    """Poses whose `free` rotations bring weighted joints near their targets, by Gauss-Newton steps from where they are.

    Unlike `fit_joints` this begins at a pose and changes as little of it as it can; joint limits are not looked at.

    Args:
        pose: b hands; everything but the free rotations stays as it is.
        targets: places in the frame of the posed hands, metres; those of joints with weight 0 do not matter.
        ray_weights: of the distances from the rays on which the targets are seen from the origin, wherever on them, for
            targets whose depth nobody knows.
        steps: of Gauss-Newton; two or three are enough for a centimetre.

    Returns:
        hand_pose, axis-angle.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand, flat = load_hand(), HandPose.zeros(1)
        >>> index = (torch.arange(15) < 3)[None]
        >>> targets = hand.joints_only(hand.angles_to_pose(torch.tensor([0.0, 0.3, 0.0]) * index[..., None]))
        >>> bent = bent_towards(hand, flat, index, targets, torch.ones(1, 21))
        >>> bool((hand.joints_only(bent) - targets).norm(dim=-1).max() < 1e-3), bool(bent[0, 3:].any())
        (True, False)
    """
    start = angles = hand.pose_to_angles(pose.hand_pose)
    unlocked = free.repeat_interleave(3, dim=1).to(angles)
    metric = weights[..., None, None] * torch.eye(3).to(targets)
    if ray_weights is not None:
        rays = normalize(targets, dim=-1)
        across = torch.eye(3).to(targets) - rays[..., :, None] * rays[..., None, :]
        metric = metric + ray_weights[..., None, None] * across
    for _ in range(steps):
        hand_pose = hand.angles_to_pose(angles)
        rotations = hand.rotations(hand_pose, pose.global_orient)
        turned, placed = forward_kinematics(rotations, hand.joints_rest(pose.betas))
        points = torch.cat([placed, hand.tip_positions(rotations, turned, placed, pose.betas)], dim=1)
        jacobian = joint_jacobian(hand, hand_pose, turned, placed, points, False)[..., ANGLES]
        weighted = (metric @ jacobian).flatten(1, 2).mT
        miss = (points + pose.transl[:, None] - targets).flatten(1)[..., None]
        gradient = unlocked * ((weighted @ miss)[..., 0] + STIFFNESS**2 * (angles - start).flatten(1))
        hessian = weighted @ jacobian.flatten(1, 2) * unlocked[:, :, None] * unlocked[:, None]
        # Rotations that are locked have a system of their own, with nothing to solve.
        system = hessian + torch.diag_embed(STIFFNESS**2 + (1 - unlocked))
        change = torch.linalg.solve(system, gradient[..., None])[..., 0]
        angles = angles - change.unflatten(1, (15, 3))
    return torch.where(free[..., None], hand.angles_to_pose(angles), pose.hand_pose)
