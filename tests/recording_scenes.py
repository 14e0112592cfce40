"""Made-up recordings of hands that hold an object, from which tests write each dataset's files.

The hand is the made-up MANO; the object is a solid that its fingertips touch. Every frame has another pose in the
scene, so that a transposed rotation or an exchanged frame never goes unnoticed.
"""

from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
import trimesh
from scipy.spatial import ConvexHull

from hoprior.datasets.recordings.hands import Hands, moved_pose
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import HandPose

FLESH = 0.008


@dataclass
class Frame:
    """One frame: MANO's parameters as smplx takes them, and where everything is."""

    side: str
    hand_pose: np.ndarray
    betas: np.ndarray
    global_orient: np.ndarray
    transl: np.ndarray
    wrist: np.ndarray
    joints: torch.Tensor
    T_scene_hand: torch.Tensor
    T_scene_object: torch.Tensor
    pose: HandPose

    @property
    def T_object_hand(self):
        return torch.linalg.inv(self.T_scene_object) @ self.T_scene_hand

    @property
    def joints_object(self):
        return transform_points(torch.linalg.inv(self.T_scene_object), self.joints)

    def moved(self, T, hands, v_template=None):
        """The same frame in another scene frame."""
        return framed(hands, self.side, moved_pose(self.pose, T), T @ self.T_scene_object, v_template=v_template)


@dataclass
class Scene:
    """Frames with one object, its mesh in metres in the object's frame, and the hands."""

    frames: list
    mesh: trimesh.Trimesh
    hands: Hands
    v_template: torch.Tensor | None = None

    @property
    def side(self):
        return self.frames[0].side

    def moved(self, T):
        """The scene in another frame."""
        return replace(self, frames=[f.moved(T, self.hands, self.v_template) for f in self.frames])

    def pca(self, frame, count=45, flat_hand_mean=False):
        """PCA coefficients of a frame's finger pose; exact for 45."""
        hand = self.hands.mano(frame.side, self.v_template)
        offset = torch.from_numpy(frame.hand_pose).float() - (0 if flat_hand_mean else hand.pca_mean)
        return (offset @ torch.linalg.inv(hand.pca_basis))[:count].numpy()


def framed(hands, side, pose, T_scene_object, v_template=None):
    hand = hands.mano(side, v_template)
    smplx = hand.to_smplx(pose)
    joints = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).joints[0]
    return Frame(
        side=side,
        hand_pose=smplx.hand_pose[0].numpy(),
        betas=smplx.betas[0].numpy(),
        global_orient=smplx.global_orient[0].numpy(),
        transl=smplx.transl[0].numpy(),
        wrist=joints[0].numpy(),
        joints=joints,
        T_scene_hand=rigid(roma.rotvec_to_rotmat(pose.global_orient[0]), pose.transl[0]),
        T_scene_object=T_scene_object,
        pose=pose,
    )


@torch.no_grad()
def make_scene(
    hands,
    num=6,
    side="right",
    seed=0,
    betas=True,
    pca_components=None,
    depth=0.7,
    personal=False,
    centred=False,
    mean_at_origin=False,
):
    """`num` frames of one grasp, whose fingers move a little, somewhere in the scene.

    Args:
        pca_components: finger poses lie in the space of so many PCA components around MANO's mean pose.
        personal: the hand has a template of its own.
        centred: the object's frame is at the centre of its box.
        mean_at_origin: the object's frame is at the mean of its vertices.
    """
    generator = torch.Generator().manual_seed(seed)
    v_template = None
    if personal:
        layer = hands.mano(side).layer
        v_template = (layer.v_template * torch.tensor([1.05, 0.97, 1.02])).clone()
    hand = hands.mano(side, v_template)
    angles = hand.relaxed_angles.clone()
    angles[:12, 1] += 0.45
    shape = 0.5 * torch.randn(1, 10, generator=generator) if betas else torch.zeros(1, 10)
    right_to_side = 1 if side == "right" else -1

    def fingers(noise):
        varied = angles + noise * torch.randn(15, 3, generator=generator)
        pose = hand.angles_to_pose(varied)[None]
        if pca_components is None:
            return pose
        axes = hand.T_hand_model[:3, :3]
        model = (pose @ axes).flatten(1)
        inverse = torch.linalg.inv(hand.pca_basis)[:, :pca_components]
        coefficients = (model - hand.pca_mean) @ inverse
        return hand.from_pca(coefficients).unflatten(1, (15, 3)) @ axes.mT

    tips = hand.joints_only(fingers(0.0), shape)[0, 16:]
    middle = tips.mean(0) + torch.tensor([0.0, 0.0, 0.012])
    towards = torch.nn.functional.normalize(middle - tips, dim=1)
    touched = tips + FLESH * towards
    far = torch.stack([middle + torch.tensor([0.02, 0.11 * right_to_side, 0.03]), middle + torch.tensor([0, 0, 0.03])])
    points_hand = torch.cat([touched, far])

    T_object_hand = rigid(_rotation(generator), 0.05 * torch.randn(3, generator=generator))
    points = transform_points(T_object_hand, points_hand).double().numpy()
    hull = ConvexHull(points)
    mesh = trimesh.Trimesh(points, hull.simplices, process=True)
    trimesh.repair.fix_normals(mesh)
    mesh = mesh.subdivide().subdivide()
    if centred:
        shift = torch.from_numpy(mesh.bounds.mean(axis=0)).float()
        mesh.apply_translation(-shift.double().numpy())
        T_object_hand = rigid(torch.eye(3), -shift) @ T_object_hand
    if mean_at_origin:
        shift = torch.from_numpy(np.asarray(mesh.vertices).mean(axis=0)).float()
        mesh.apply_translation(-shift.double().numpy())
        T_object_hand = rigid(torch.eye(3), -shift) @ T_object_hand
    frames = []
    for _ in range(num):
        place = torch.tensor([0.1, -0.05, depth]) + 0.05 * torch.randn(3, generator=generator)
        T_scene_object = rigid(_rotation(generator), place)
        T_scene_hand = T_scene_object @ T_object_hand
        pose = HandPose(
            fingers(0.03), shape, roma.rotmat_to_rotvec(T_scene_hand[None, :3, :3]), T_scene_hand[None, :3, 3]
        )
        frames.append(framed(hands, side, pose, T_scene_object, v_template))
    return Scene(frames, mesh, hands, v_template)


def _rotation(generator):
    quaternion = torch.randn(4, generator=generator)
    return roma.unitquat_to_rotmat(quaternion / quaternion.norm())
