"""Ranks grasps that you have, from another program or from people, by what the priors think of them, as they are."""

from importlib.resources import files

import torch

import hoprior
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import RestPoses, rigid

mug = hoprior.load_mesh(str(files("hoprior") / "assets" / "meshes" / "mug.obj"))

# Yours: where each hand is (hand frame to object frame, metres), and how it is bent. Here one bent hand at 12 places
# around the mug: the palm looks at it (the hand's +z to its axis), the fingers point up or, every other one, around it.
hand = hoprior.load_hand()
hand_pose = hand.angles_to_pose(hand.relaxed_angles[None]).expand(12, -1, -1)
around = torch.arange(12) * (2 * torch.pi / 12)
facing = rotvec_to_rotmat(torch.tensor([0.0, -torch.pi / 2, 0.0]))  # +z of the hand to -x of the object, +x up
across = facing @ rotvec_to_rotmat(torch.tensor([0.0, 0.0, torch.pi / 2]))
turns = rotvec_to_rotmat(torch.stack([0 * around, 0 * around, around], dim=-1))
rotation = torch.where((torch.arange(12) % 2 == 0)[:, None, None], turns @ facing, turns @ across)
palm = torch.tensor([0.075, 0.0, 0.05])  # 7.5 cm from the mug's axis, half way up
wrist = (turns @ palm) - (rotation @ torch.tensor([0.09, 0.0, 0.0]))

state = hoprior.HandObjectState(
    sdf=SdfGrid.from_mesh(mug.mesh),
    T_object_hand=rigid(rotation, wrist),
    joints_hand=hand.joints_only(hand_pose),
    # The mug stands as it is in its file, on a table at its lowest point.
    rest=RestPoses(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1), torch.tensor([float(mug.mesh.bounds[0, 2])])),
    hand_pose=hand_pose,
)
both = hoprior.weighted_sum([(1.0, hoprior.load_prior("contrastive")), (1.5, hoprior.load_prior("grid"))])
scores = hoprior.score(both, state, t_range=(0.85, 0.95), timesteps=2, contrast=1.0)
for rank, index in enumerate(scores.argsort(descending=True).tolist()):
    fingers = "around" if index % 2 else "up"
    degrees = round(float(around[index]) * 57.3)
    print(f"{rank}: hand {index} at {degrees} degrees, fingers {fingers}: {float(scores[index]):.2f}")
