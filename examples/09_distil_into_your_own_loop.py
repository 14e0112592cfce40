"""Score distillation in somebody else's optimisation: your parameters, your loss and optimiser, a prior beside them.

A hand that was put 5 cm too far from a mug is asked for two things: that its fingertips touch, which is this loop's own
loss, and that hand and mug look like a grasp together, which is the prior's.
"""

import sys
from importlib.resources import files

import torch

import hoprior
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid, transform_points
from hoprior.priors.text_encoders import encode_texts

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
torch.manual_seed(0)
mug = SdfGrid.from_mesh(hoprior.load_mesh(str(files("hoprior") / "assets" / "meshes" / "mug.obj")).mesh)
hand, prior = hoprior.load_hand(), hoprior.load_prior("grid")
cond = encode_texts(prior, ["a hand holding a mug"])

# Yours: any parameters from which a hand at an object can be computed.
orient = torch.tensor([[0.0, -torch.pi / 2, 0.0]], requires_grad=True)  # palm to the mug, fingers up
wrist = torch.tensor([[0.125, 0.0, -0.04]], requires_grad=True)  # metres
hand_pose = hand.angles_to_pose(hand.relaxed_angles[None]).clone().requires_grad_()
optimizer = torch.optim.Adam([orient, wrist, hand_pose], lr=2e-3)

for step in range(steps):
    state = hoprior.HandObjectState(mug, rigid(rotvec_to_rotmat(orient), wrist), hand.joints_only(hand_pose))
    tips = transform_points(state.T_object_hand, state.joints_hand[:, 16:])
    touching = (100 * (mug(tips) - 0.008)).square().mean()  # squared cm from the skin
    distilled = hoprior.sds_loss(prior, state, cond, t_range=(0.3, 0.75), guidance_scale=2.0)
    optimizer.zero_grad()
    (touching + 1e-3 * distilled.loss).backward()
    torch.nn.utils.clip_grad_norm_([orient, wrist, hand_pose], 1.0)
    optimizer.step()
    if step % 20 == 0 or step == steps - 1:
        off, pull = float(touching.detach()) ** 0.5, float(distilled.grad_norm)
        print(f"step {step}: tips {off:.2f} cm off, the prior's gradient {pull:.1f}")
