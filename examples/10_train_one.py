"""From a folder of grasps to a prior of your own: the commands of docs/train_your_own.md, one after the other.

python examples/10_train_one.py [STEPS]      600 steps take ten minutes of two cores; 2 show that all of it runs
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import trimesh

import hoprior
from hoprior.cli import main
from hoprior.geometry.rotations import rotvec_to_rotmat

steps = sys.argv[1] if len(sys.argv) > 1 else "600"

# Your data: meshes in metres, and the 21 joints of each grasp in the mesh's frame (their order: docs/conventions.md).
# Here they are made up: hands around six cans, the fingers about them.
folder = Path("mine")
(folder / "objects").mkdir(parents=True, exist_ok=True)
(folder / "grasps").mkdir(exist_ok=True)
hand = hoprior.load_hand()
joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))[0]
upright = rotvec_to_rotmat(torch.tensor([0.0, -torch.pi / 2, 0.0])) @ rotvec_to_rotmat(
    torch.tensor([0.0, 0.0, torch.pi / 2])
)
for number in range(6):
    radius = 0.025 + 0.003 * number
    turns = rotvec_to_rotmat(torch.tensor([[0.0, 0.0, k * torch.pi / 4 + 0.1 * number] for k in range(8)]))
    palm = turns @ torch.tensor([radius + 0.012, 0.0, 0.0])
    rotation = turns @ upright
    wrist = palm - rotation @ torch.tensor([0.09, 0.0, 0.0])
    trimesh.creation.cylinder(radius, 0.12).export(folder / "objects" / f"can{number}.ply")
    np.savez(
        folder / "grasps" / f"can{number}.npz",
        joints_object=(joints @ rotation.mT + wrist[:, None]).numpy(),
        side=np.array(["right"] * 8),
        text=np.array(["a hand holding a can"] * 8),
        category=np.array(["can"] * 8),
        sequence=np.array([f"s{k}" for k in range(8)]),
    )


def run(command: str) -> None:
    """One command of `hoprior`; what it says is on the screen."""
    print(f"hoprior {command}", flush=True)
    if main(command.split()) != 0:
        raise SystemExit(f"hoprior {command} failed")


run("data prepare folder mine --out shards/mine --background 4")
run(f"fit --config contrastive --data.cache shards/mine/cache --trainer.max_steps {steps} --out out/mine")
run("export out/mine/last.ckpt mine.safetensors")
results = hoprior.grasp(
    str(files("hoprior") / "assets" / "meshes" / "mug.obj"), num=1, priors=[(1.0, "mine.safetensors")]
)
print(f"the mug, by mine.safetensors: the wrist is at {results[0].transl.round(3)} m")
