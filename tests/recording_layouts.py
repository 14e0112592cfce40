"""Writers of each dataset's official layout, from a made-up scene (`recording_scenes.py`)."""

import pickle
from dataclasses import dataclass

import numpy as np
import roma
import torch
import trimesh
from PIL import Image

OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


def dump(path, content, protocol=2):
    """Pickle as the datasets do: old protocol, old names of modules."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol).replace(b"numpy._core", b"numpy.core"))


def export(mesh, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.export(path)


def picture(path, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 190, 180)).save(path)


def rotvec(T):
    return roma.rotmat_to_rotvec(T[:3, :3]).numpy()


def write_ho3d(root, scene, suffix=".png"):
    """One training and one evaluation sequence; OpenGL's axes."""
    names = []
    for i, frame in enumerate(scene.moved(OPENGL).frames):
        meta = {
            "handPose": np.concatenate([frame.global_orient, frame.hand_pose]),
            "handTrans": frame.transl,
            "handBeta": frame.betas,
            "handJoints3D": frame.joints.numpy(),
            "camMat": K,
            "objRot": rotvec(frame.T_scene_object)[:, None],
            "objTrans": frame.T_scene_object[:3, 3].numpy(),
            "objName": "025_mug",
            "objLabel": 12,
        }
        dump(root / "train" / "ABF10" / "meta" / f"{i:04d}.pkl", meta)
        picture(root / "train" / "ABF10" / "rgb" / f"{i:04d}{suffix}", (640, 480))
        names.append(f"ABF10/{i:04d}")
        hidden = meta | {"handPose": None, "handTrans": None, "handBeta": None, "handJoints3D": meta["handJoints3D"][0]}
        dump(root / "evaluation" / "SM1" / "meta" / f"{i:04d}.pkl", hidden)
    (root / "train.txt").write_text("\n".join(names) + "\n")
    (root / "evaluation.txt").write_text("\n".join(n.replace("ABF10", "SM1") for n in names) + "\n")
    export(scene.mesh, root / "models" / "025_mug" / "textured_simple.obj")
