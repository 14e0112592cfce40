"""Small results of each kind, as tasks would make them; for tests of what is written and shown."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import trimesh

from hoprior.hand import load_hand
from hoprior.physics.robots.way import RobotWay
from hoprior.results import (
    GraspResult,
    GraspResults,
    InteractionSample,
    InteractionSamples,
    ObjectSample,
    ObjectSamples,
    PoseSample,
    PoseSamples,
    Reconstruction,
    RefinedHand,
    RefinedHands,
    RobotGrasp,
    RobotGrasps,
)

BOX = trimesh.creation.box((0.06, 0.06, 0.12))
STILL, AVERAGE = np.zeros((15, 3)), np.zeros(10)
K = np.array([[500.0, 0.0, 160.0], [0.0, 500.0, 120.0], [0.0, 0.0, 1.0]])
TO_CAMERA = np.array([[0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.08], [0.0, 0.0, 1.0, 0.6], [0.0, 0.0, 0.0, 1.0]])
"""The palm away from the camera, the fingers up."""


@lru_cache(maxsize=1)
def flat_hand() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, joints and faces of the flat right hand, in the hand frame."""
    hand = load_hand("open", "right")
    with torch.no_grad():
        posed = hand(torch.zeros(1, 15, 3))
    return posed.verts[0].double().numpy(), posed.joints[0].double().numpy(), hand.faces.numpy()


def some_grasps(count: int = 3, name: str = "box", text: str | None = "a box", **more: Any) -> GraspResults:
    """Flat hands beside a box; the palm of each cuts into it."""
    verts, joints, faces = flat_hand()
    grasps = []
    for rank in range(count):
        T = np.eye(4)
        T[:3, 3] = -0.1, 0.0, -0.04 - 0.004 * rank
        grasps.append(
            GraspResult(
                score=3.0 - rank,
                hand="open",
                side="right",
                hand_pose=STILL,
                betas=AVERAGE,
                T_object_hand=T,
                joints_object=joints + T[:3, 3],
                verts_object=verts + T[:3, 3],
                scores={"contrastive": 1.0},
                metrics={"max_depth_cm": 0.2 + rank, "contact": 1.0, "contact_area": 0.25},
            )
        )
    return GraspResults(tuple(grasps), faces, BOX, name, text=text, seed=0, **more)


def some_hands(count: int = 2, photo: np.ndarray | None = None, source: str | None = None) -> RefinedHands:
    """Hands before a camera, whose fingertips were bent to it by 1 cm."""
    verts, joints, faces = flat_hand()
    placed, joints_camera = (points @ TO_CAMERA[:3, :3].T + TO_CAMERA[:3, 3] for points in (verts, joints))
    moved = placed - np.outer(verts[:, 0] > 0.14, [0.0, 0.0, 0.01])
    hidden = np.arange(21) == 3
    hands = [
        RefinedHand(
            name=f"photo_{number}",
            side="right",
            hand="open",
            hand_pose=STILL,
            first_hand_pose=STILL,
            betas=AVERAGE,
            global_orient=np.array([0.0, 0.0, -np.pi / 2]),
            transl=TO_CAMERA[:3, 3],
            joints=joints_camera,
            first_joints=joints_camera,
            verts=moved,
            first_verts=placed,
            faces=faces,
            keypoints=(joints_camera / joints_camera[:, 2:]) @ K[:2].T,
            occluded=hidden,
            uncertainty_mm=np.where(hidden, 5.0, 0.0),
            noise_level=0.5,
            K=K,
            size=(320, 240),
            text="a flat hand",
            source=source,
            photo=photo,
            notes=("the focal length is a guess",),
        )
        for number in range(count)
    ]
    return RefinedHands(tuple(hands), skipped={"dark.jpg": "no hand was found"})


def some_samples(count: int = 2) -> InteractionSamples:
    """Flat hands with a box before their palms."""
    verts, joints, faces = flat_hand()
    held = BOX.copy().apply_translation([0.1, 0.0, 0.06])
    measures = {"ik_error_cm": 0.1, "object_size_cm": 12.0, "max_depth_cm": 0.0}
    sample = InteractionSample(
        "open", "right", joints, joints, verts, STILL, AVERAGE, np.zeros(3), np.zeros(3), held, measures
    )
    return InteractionSamples((sample,) * count, faces, "a box", "a hand holding a box", count, 4, {"too small": 2})


def some_objects(count: int = 2) -> ObjectSamples:
    """Boxes of several sizes, as they are drawn without hands."""
    measures = {"object_size_cm": 8.0, "object_volume_cm3": 120.0, "object_pieces": 1.0, "partial_cm": 0.2}
    boxes = [ObjectSample(trimesh.creation.box((0.08, 0.05, 0.03 + 0.01 * i)), measures) for i in range(count)]
    counts = {"asked": count, "draws": count + 1, "rejected": {"without an object": 1}}
    made = {"seed": 0, "config": {"task": "generate"}, "versions": {"torch": "2"}, "timings": {"sample": 1.0}}
    return ObjectSamples(tuple(boxes), "a box", "a hand holding a box", **counts, **made)


def some_poses(count: int = 2) -> PoseSamples:
    """Flat hands alone."""
    verts, joints, faces = flat_hand()
    pose = PoseSample("open", "right", STILL, AVERAGE, joints, verts, {"aperture_cm": 9.0})
    return PoseSamples((pose,) * count, faces, "a ball", "a hand holding a ball")


def a_clip(frames: int = 6) -> Reconstruction:
    """A flat hand with a box before its palm that slides along the fingers, 5 mm a frame; grey pictures."""
    verts, joints, faces = flat_hand()
    slid = np.tile(np.eye(4), (frames, 1, 1))
    slid[:, :3, 3] = [0.1, 0.0, 0.06] + 0.005 * np.arange(frames)[:, None] * [1.0, 0.0, 0.0]
    mesh = BOX.subdivide()
    mesh.vertex_attributes["confidence"] = (mesh.vertices[:, 0] > 0).astype(float)
    return Reconstruction(
        name="clip",
        hand="open",
        side="right",
        text="a box",
        object_mesh=mesh,
        T_camera_hand=np.tile(TO_CAMERA, (frames, 1, 1)),
        T_hand_object=slid,
        hand_pose=np.tile(STILL, (frames, 1, 1)),
        betas=AVERAGE,
        verts_hand=np.tile(verts, (frames, 1, 1)),
        joints_hand=np.tile(joints, (frames, 1, 1)),
        faces=faces,
        image=np.full((frames, 64, 64, 3), 90, dtype=np.uint8),
        intrinsics=np.tile([150.0, 150.0, 32.0, 32.0], (frames, 1)),
        frame=tuple(range(10, 10 + frames)),
        fps=10.0,
        metrics={"f5": 0.5},
        notes=("the object is seen from one side only",),
    )


def some_robot_grasps(count: int = 2) -> RobotGrasps:
    """A robot that is a box beside a box, and comes down to it."""
    robot = trimesh.creation.box((0.04, 0.04, 0.1))
    frames, phase = 3, ("approach", "close", "lift")
    grasps = []
    for number in range(count):
        T = np.eye(4)
        T[:3, 3] = 0.0, 0.06, 0.01 * number
        raised = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.1]])
        bases = np.tile(T, (frames, 1, 1))
        bases[:, :3, 3] += raised
        links, comes = np.tile(np.eye(4), (frames, 1, 1, 1)), np.array([0.0, -1.0, 0.0])
        way = RobotWay(np.arange(3.0), phase, bases, links, np.zeros((3, 2)), raised, comes, 0.0, True)
        metrics = {
            "depth_mm": 0.5,
            "overlap_cm3": 0.1,
            "self_depth_mm": 0.0,
            "fingers_kept": 1.0,
            "fingers_touching": 2.0,
        }
        away = {"thumb": 3.0, "index": np.inf}
        verts = np.asarray(robot.vertices) + T[:3, 3]
        grasps.append(RobotGrasp(T, np.array([0.1, 0.2]), verts, metrics, away, number == 0, way))
    about = {
        "name": "box",
        "urdf": "box.urdf",
        "base": "palm",
        "links": ["palm"],
        "parents": [-1],
        "joints": ["a", "b"],
        "driven": ["a"],
        "low": [0.0, 0.0],
        "high": [1.0, 1.0],
        "fingers": {"thumb": "tip"},
    }
    return RobotGrasps(
        tuple(grasps),
        np.asarray(robot.faces),
        np.zeros(8, int),
        about,
        BOX,
        "box",
        config={"lift": True},
        seed=0,
        timings={"all": 1.0},
    )
