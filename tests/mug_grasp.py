"""A grasp of the shipped mug, one of those that `examples/01_grasp_a_mug.py` makes, and its mirror image."""

from importlib.resources import files

import numpy as np
import roma
import torch
import trimesh

from hoprior.geometry.mesh import load_mesh, mirrored
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.transforms import mirrored_transform
from hoprior.hand import load_hand
from hoprior.hand.pose import mirror_rotvec
from hoprior.results.grasps import GraspResult, GraspResults

HAND_POSE = [
    [-0.0102, -0.7875, 0.1783],
    [0.1699, 0.0018, 0.0174],
    [0.1561, -0.7399, -0.0686],
    [-0.1135, -0.4710, 0.0879],
    [-0.1670, -0.4009, 0.0757],
    [-0.1752, -0.5986, 0.0931],
    [0.5885, -1.0148, 0.0334],
    [-0.0662, -0.3322, -0.0204],
    [-0.1504, -0.1006, -0.0198],
    [0.1040, -0.7259, 0.0189],
    [0.0001, -0.4173, 0.1271],
    [-0.0973, 0.1475, 0.1731],
    [-0.5465, -0.0992, 0.1930],
    [-0.1456, 0.0652, -0.0539],
    [-0.1464, 0.3390, 0.6226],
]
GLOBAL_ORIENT, TRANSL = [1.9783, -1.2035, -2.1030], [0.1095, 0.0057, 0.1498]


def mug_grasp(side: str = "right", off: float = 0.0) -> GraspResults:
    """The grasp as results of one; `off` metres away from the mug along the world's y."""
    mesh = load_mesh(str(files("hoprior") / "assets" / "meshes" / "mug.obj")).mesh
    hand_pose = torch.tensor(HAND_POSE)
    T_object_hand = rigid(roma.rotvec_to_rotmat(torch.tensor(GLOBAL_ORIENT)), torch.tensor(TRANSL))
    if side == "left":
        mesh, hand_pose, T_object_hand = mirrored(mesh), mirror_rotvec(hand_pose), mirrored_transform(T_object_hand)
    T_object_hand[1, 3] += off
    hand = load_hand("open", side)
    output = hand(hand_pose[None])
    verts, joints = (transform_points(T_object_hand[None], points)[0].numpy() for points in output)
    grasp = GraspResult(
        1.0, "open", side, hand_pose.numpy(), np.zeros(10, np.float32), T_object_hand.numpy(), joints, verts
    )
    return GraspResults((grasp,), hand.faces.numpy(), trimesh.Trimesh(mesh.vertices, mesh.faces), "mug")
