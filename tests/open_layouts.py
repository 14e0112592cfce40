"""Writers of more datasets' official layouts, from a made-up scene; with those of `recording_layouts.py`."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import recording_layouts
import roma
import torch
import trimesh
import yaml
from PIL import Image
from recording_layouts import Layout, dump, export, picture, reordered

from hoprior.geometry.state import rigid, transform_points

CAMERA = "037522251142"


def in_object_frame(scene):
    """The scene, each frame in its object's own frame."""
    return replace(
        scene,
        frames=[f.moved(torch.linalg.inv(f.T_scene_object), scene.hands, scene.v_template) for f in scene.frames],
    )


def write_taco(root, scene):
    """One sequence; torch's tensors, centimetres."""
    place = ("(stir, mug, bowl)", "20231105_019") if scene.side == "right" else ("(stir, spoon, mug)", "20231105_020")
    role = "tool" if scene.side == "right" else "target"
    frames = {
        f"{i + 1:05d}": {
            "hand_pose": torch.from_numpy(np.concatenate([frame.global_orient, frame.hand_pose])).requires_grad_(),
            "hand_trans": torch.from_numpy(frame.wrist),
        }
        for i, frame in enumerate(scene.frames)
    }
    hands = root.joinpath("Hand_Poses", *place)
    dump(hands / f"{scene.side}_hand.pkl", frames)
    dump(hands / f"{scene.side}_hand_shape.pkl", {"hand_shape": torch.from_numpy(scene.frames[0].betas)[None]})
    objects = root.joinpath("Object_Poses", *place)
    objects.mkdir(parents=True)
    np.save(objects / f"{role}_012.npy", np.stack([frame.T_scene_object.numpy() for frame in scene.frames]))
    mesh = scene.mesh.copy()
    mesh.apply_scale(100)
    export(mesh, root / "Object_Models" / "012_cm.obj")


def write_hocap(root, scene, labels=True):
    """One sequence with an object that is held and one that is far away; joints as one camera has them."""
    sequence = root / "subject_1" / "20231025_165502"
    sequence.mkdir(parents=True)
    which = ("right", "left").index(scene.side)
    hands = -np.ones((2, len(scene.frames) + 1, 51), np.float32)
    objects = -np.ones((2, len(scene.frames) + 1, 7), np.float32)
    T_master_tag = rigid(roma.rotvec_to_rotmat(torch.tensor([0.3, -0.5, 0.2])), torch.tensor([0.1, 0.4, 0.9]))
    T_master_camera = rigid(roma.rotvec_to_rotmat(torch.tensor([-0.1, 0.6, 0.4])), torch.tensor([0.5, -0.2, 0.1]))
    T_camera_world = torch.linalg.inv(T_master_camera) @ T_master_tag
    for i, frame in enumerate(scene.frames):
        hands[which, i] = np.concatenate([frame.global_orient, scene.pca(frame), frame.transl])
        for k, apart in enumerate((0.0, 0.6)):
            quaternion = roma.rotmat_to_unitquat(frame.T_scene_object[:3, :3])
            objects[k, i] = torch.cat([quaternion, frame.T_scene_object[:3, 3] + apart]).numpy()
        if labels:
            joints = -np.ones((2, 21, 3), np.float32)
            joints[which] = reordered(transform_points(T_camera_world, frame.joints), "openpose")
            (sequence / CAMERA).mkdir(exist_ok=True)
            np.savez_compressed(
                sequence / CAMERA / f"label_{i:06d}.npz", hand_joints_3d=joints, cam_K=recording_layouts.K
            )
            picture(sequence / CAMERA / f"color_{i:06d}.jpg", (640, 480))
    np.save(sequence / "poses_m.npy", hands)
    np.save(sequence / "poses_o.npy", objects)
    meta = {
        "num_frames": len(scene.frames) + 1,
        "object_ids": ["G01_1", "G02_3"],
        "mano_sides": [scene.side],
        "subject_id": "subject_1",
        "extrinsics": "extrinsics_20231014.yaml",
        "realsense": {"serials": [CAMERA], "width": 640, "height": 480},
    }
    (sequence / "meta.yaml").write_text(yaml.safe_dump(meta))
    calibration = root / "calibration"
    (calibration / "mano").mkdir(parents=True)
    (calibration / "extrinsics").mkdir()
    betas = {"betas": [float(beta) for beta in scene.frames[0].betas]}
    (calibration / "mano" / "subject_1.yaml").write_text(yaml.safe_dump(betas))
    places = {"tag_1": T_master_tag, CAMERA: T_master_camera}
    flat = {name: T[:3].flatten().tolist() for name, T in places.items()}
    (calibration / "extrinsics" / meta["extrinsics"]).write_text(
        yaml.safe_dump({"rs_master": CAMERA, "extrinsics": flat})
    )
    export(scene.mesh, root / "models" / "G01_1" / "cleaned_mesh_10000.obj")
    export(trimesh.creation.box([0.05, 0.05, 0.05]), root / "models" / "G02_3" / "cleaned_mesh_10000.obj")


def write_hug(root, scene):
    """A pickle a view; each view has its own grasp, and depth of the side of the object that it sees."""
    points = scene.mesh.sample(40_000, seed=0)
    K = np.array([[300.0, 0, 112], [0, 300, 112], [0, 0, 1]])
    for i, frame in enumerate(scene.frames):
        seen = transform_points(frame.T_scene_object, torch.from_numpy(points).float()).double().numpy()
        u, v, _ = np.round((seen / seen[:, 2:]) @ K.T).astype(int).T
        inside = (u >= 0) & (u < 224) & (v >= 0) & (v < 224)
        depth = np.full((224, 224), 2.0)
        np.minimum.at(depth, (v[inside], u[inside]), seen[inside, 2])
        mask = depth < 2
        content = {
            "object_name": "mug",
            "frame_index": i,
            "grasp_index": i,
            "camera": {"K": K, "width": 224, "height": 224},
            "camera_original": {"K": 2 * K, "width": 448, "height": 448},
            "grasp": {
                "pose": frame.hand_pose.reshape(1, 15, 3),
                "shape": frame.betas[None],
                "landmarks_3d": reordered(frame.joints, "openpose"),
                "T_camera_wrist": rigid(
                    roma.rotvec_to_rotmat(torch.from_numpy(frame.global_orient)), torch.from_numpy(frame.wrist)
                ).numpy(),
                "mesh_vertices": np.zeros((778, 3), np.float32),
            },
            "image": png(np.full((224, 224, 3), 120, np.uint8), "JPEG"),
            "depth": png((1000 * depth).round().astype(np.uint16)),
            "object_mask": png(np.where(mask, 255, 0).astype(np.uint8)),
            "T_world_camera": torch.linalg.inv(frame.T_scene_object).numpy(),
            "condition_point": np.array([112.0, 112.0]),
        }
        dump(root / "kitchen_03" / f"{i:06d}.pkl", content)


def png(pixels, format="PNG"):
    """A picture as bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=format)
    return stream.getvalue()


def write_hug_bench(root, scene):
    """One scene with one object, which is not turned; a frame more without a hand, and one with it far away."""
    place = torch.tensor([0.4, -0.3, 0.8])
    T_world_object = rigid(torch.eye(3), place)
    frames = [{"index": 0, "T_world_device": np.eye(4), "mano_hand_tracking": None}]
    for i, frame in enumerate(in_object_frame(scene).frames):
        for far in (0.0, 1.0):
            T_world_device = rigid(roma.rotvec_to_rotmat(torch.tensor([0.1 * i, 0.4, -0.2])), place + 0.3)
            joints = transform_points(torch.linalg.inv(T_world_device) @ T_world_object, frame.joints) + far
            hand = {
                "landmarks": reordered(joints, "openpose"),
                "T_device_wrist": np.eye(4),
                "pose": np.zeros((1, 15, 3)),
            }
            tracked = {frame.side: hand}
            index = len(frames)
            frames.append({"index": index, "T_world_device": T_world_device.numpy(), "mano_hand_tracking": tracked})
    dump(root / "scenes" / "medium_2" / "aria_data.pkl", {"fps": 10.0, "frame_data": frames})
    assets = root / "hug_bench" / "test" / "medium_2" / "mug" / "sim_assets"
    export(scene.mesh, assets / "visual.obj")
    (assets / "properties.json").write_text(json.dumps({"mass": 0.2, "world_position": place.tolist()}))


def write_arctic(root, scene, millimetres=True):
    """One sequence of an object whose hinge stands at 30 degrees; a frame more in which no hand was tracked."""
    mean = scene.hands.mano(scene.side).pca_mean.numpy()
    frames = scene.frames

    def rows(name, values):
        return np.concatenate([np.stack(values), np.zeros((1, len(values[0])))]).astype(np.float32), name

    columns = [
        rows("rot", [f.global_orient for f in frames]),
        rows("pose", [f.hand_pose - mean for f in frames]),
        rows("trans", [f.transl for f in frames]),
    ]
    hand = {name: values for values, name in columns} | {"shape": frames[0].betas, "fitting_err": np.zeros(7)}
    nobody = {name: np.zeros_like(values) for values, name in columns} | {"shape": np.zeros(10)}
    other = "left" if scene.side == "right" else "right"
    folder = root / "raw_seqs" / "s01"
    folder.mkdir(parents=True)
    np.save(folder / "mug_use_01.mano.npy", np.array({scene.side: hand, other: nobody}, dtype=object))
    angle = np.deg2rad(30.0)
    places = [
        [angle, *roma.rotmat_to_rotvec(f.T_scene_object[:3, :3]).tolist(), *(1000 * f.T_scene_object[:3, 3]).tolist()]
        for f in [*frames, frames[0]]
    ]
    np.save(folder / "mug_use_01.object.npy", np.array(places))
    half = len(scene.mesh.faces) // 2
    for part, faces in (("bottom", scene.mesh.faces[:half]), ("top", scene.mesh.faces[half:])):
        mesh = trimesh.Trimesh(scene.mesh.vertices, faces, process=False)
        if part == "top":
            mesh.apply_transform(trimesh.transformations.rotation_matrix(angle, [0, 0, 1]))
        mesh.apply_scale(1000 if millimetres else 1)
        export(mesh, root / "meta" / "object_vtemplates" / "mug" / f"{part}.obj")


def write_hot3d(root, scene):
    """A sequence a frame, as each person's profile is given joints of that frame; its hinges are at rest."""
    uid, code = "223371871635142", "1" if scene.side == "right" else "0"
    for i, frame in enumerate(scene.frames):
        folder = root / f"P0001_{i:08x}"
        folder.mkdir(parents=True)
        T_world_wrist = rigid(
            roma.rotvec_to_rotmat(torch.from_numpy(frame.global_orient)), torch.from_numpy(frame.transl)
        )
        quaternion = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(T_world_wrist[:3, :3])).tolist()
        wrist = {"q_wxyz": quaternion, "t_xyz": T_world_wrist[:3, 3].tolist()}
        rest = transform_points(torch.linalg.inv(T_world_wrist), frame.joints)
        if scene.side == "right":
            rest = rest * torch.tensor([-1.0, 1.0, 1.0])
        (folder / "umetrack_hand_user_profile.json").write_text(json.dumps(profile_of(rest)))
        moment = 1000 + 33 * i
        lines = {
            "mano": {"pose": scene.pca(frame, 15).tolist(), "wrist_xform": wrist, "betas": frame.betas.tolist()},
            "umetrack": {"joint_angles": [0.0] * 22, "wrist_xform": wrist, "hand_confidence": 1.0},
        }
        for kind, hand in lines.items():
            rows = [
                {"timestamp_ns": moment, "hand_poses": {code: hand}},
                {"timestamp_ns": moment + 33, "hand_poses": {}},
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{kind}_hand_pose_trajectory.jsonl").write_text(text)
        (folder / "metadata.json").write_text(json.dumps({"participant_id": "P0001", "headset": "Aria"}))
        with (folder / "dynamic_objects.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(
                ["object_uid", "timestamp[ns]", *(f"t_wo_{x}[m]" for x in "xyz"), *(f"q_wo_{x}" for x in "wxyz")]
            )
            turn = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(frame.T_scene_object[:3, :3])).tolist()
            for name, apart in ((uid, 0.0), ("37787722328019", 0.7)):
                table.writerow([name, moment, *(frame.T_scene_object[:3, 3] + apart).tolist(), *turn])
    names = {uid: "mug_white", "37787722328019": "keyboard"}
    (root / "assets").mkdir()
    (root / "assets" / "instance.json").write_text(
        json.dumps({name: {"instance_id": name, "instance_name": word} for name, word in names.items()})
    )
    export(scene.mesh, root / "assets" / f"{uid}.glb")


def profile_of(rest):
    """UmeTrack's profile of a left hand whose joints (21, 3) (MANO's order, metres) are at rest where given."""
    points = 1000 * reordered(rest, "openpose")
    fingers = points[1:].reshape(5, 4, 3)
    hinges = np.concatenate([fingers[:, :1], fingers[:, :3]], axis=1).reshape(20, 3)
    landmarks = np.concatenate([fingers[:, 3], points[:1], np.zeros((15, 3))])
    model = {
        "joint_rest_positions": np.concatenate([hinges, np.zeros((2, 3))]).tolist(),
        "joint_rotation_axes": np.tile([[0.0, 0.0, 1.0]], (22, 1)).tolist(),
        "landmark_rest_positions": landmarks.tolist(),
    }
    return {"hand_model": model}


LAYOUTS = recording_layouts.LAYOUTS | {
    "taco": Layout(write_taco, ("right", "left"), annotation="Hand_Poses/*/*/*_hand.pkl", mesh="Object_Models/*.obj"),
    "hocap": Layout(
        write_hocap,
        ("right", "left"),
        options=({}, {"labels": False}),
        annotation="subject_1/*/poses_m.npy",
        mesh="models/G01_1/*.obj",
    ),
    "hug": Layout(write_hug, annotation="*/*.pkl"),
    "hug_bench": Layout(
        write_hug_bench, ("right", "left"), annotation="scenes/*/*.pkl", mesh="hug_bench/*/*/*/sim_assets/visual.obj"
    ),
    "arctic": Layout(
        write_arctic,
        ("right", "left"),
        options=({}, {"millimetres": False}),
        annotation="raw_seqs/*/*.mano.npy",
        mesh="meta/object_vtemplates/*/bottom.obj",
    ),
    "hot3d": Layout(
        write_hot3d,
        ("right", "left"),
        scene={"pca_components": 15},
        annotation="*/umetrack_hand_pose_trajectory.jsonl",
        mesh="assets/*.glb",
    ),
}
