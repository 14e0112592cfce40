"""Writers of each dataset's official layout, from a made-up scene (`recording_scenes.py`)."""

import json
import pickle
from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from hoprior.geometry.state import transform_points
from hoprior.hand import reorder_joints

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


def reordered(joints, order):
    """MANO's order into another one."""
    return reorder_joints(joints, "mano", order).numpy()


def write_dexycb(root, scene):
    """One sequence with two objects, of which the second is grasped; one more frame without a hand."""
    subject, sequence, serial = "20200709-weiy", "20200709_141754", "836212060125"
    folder = root / subject / sequence / serial
    folder.mkdir(parents=True)
    for i, frame in enumerate(scene.frames):
        pose = np.concatenate([frame.global_orient, scene.pca(frame), frame.transl])[None].astype(np.float32)
        other = np.eye(4, dtype=np.float32)[:3]
        np.savez_compressed(
            folder / f"labels_{i:06d}.npz",
            seg=np.zeros((48, 64), np.uint8),
            pose_y=np.stack([other, frame.T_scene_object[:3].numpy()]),
            pose_m=pose,
            joint_3d=reordered(frame.joints, "dexycb")[None],
            joint_2d=np.zeros((1, 21, 2), np.float32),
        )
        picture(folder / f"color_{i:06d}.jpg", (640, 480))
    count = len(scene.frames)
    np.savez_compressed(
        folder / f"labels_{count:06d}.npz",
        seg=np.zeros((48, 64), np.uint8),
        pose_y=np.zeros((2, 3, 4), np.float32),
        pose_m=np.zeros((1, 51), np.float32),
        joint_3d=-np.ones((1, 21, 3), np.float32),
        joint_2d=-np.ones((1, 21, 2), np.float32),
    )
    meta = (
        f"num_frames: {count + 1}\nycb_ids: [2, 14]\nycb_grasp_ind: 1\nmano_sides: [{scene.side}]\n"
        "mano_calib: [20200514-subject-01]\n"
    )
    (root / subject / sequence / "meta.yml").write_text(meta)
    calibration = root / "calibration"
    (calibration / "mano_20200514-subject-01").mkdir(parents=True)
    betas = ", ".join(f"{float(b)!r}" for b in scene.frames[0].betas)
    (calibration / "mano_20200514-subject-01" / "mano.yml").write_text(f"betas: [{betas}]\n")
    (calibration / "intrinsics").mkdir()
    (calibration / "intrinsics" / f"{serial}_640x480.yml").write_text(
        "color: {fx: 600.0, fy: 600.0, ppx: 320.0, ppy: 240.0}\ndepth: {fx: 1.0, fy: 1.0, ppx: 0.0, ppy: 0.0}\n"
    )
    export(scene.mesh, root / "models" / "025_mug" / "textured_simple.obj")


def write_hograspnet(root, scene):
    """One trial; everything in centimetres, the scan of object 5 in its own size."""
    scale = 0.8296698468
    sequence = "230905_S04_obj_05_grasp_13"
    for trial in (0, 1):
        for i, frame in enumerate(scene.frames):
            object_mat = frame.T_scene_object.double().numpy().copy()
            object_mat[:3, 3] *= 100
            content = {
                "actor": {"id": "4"},
                "object": {"id": "5", "name": "wine_glass"},
                "calibration": {
                    "error": 0.1,
                    "intrinsic": K.tolist(),
                    "extrinsic": np.eye(4)[:3].tolist(),
                },
                "annotations": [{"class_id": "13", "data": (100 * reordered(frame.joints, "manopth")).tolist()}],
                "Mesh": [
                    {
                        "object_mat": object_mat.tolist(),
                        "object_file": "05_wine_glass.obj",
                        "mano_side": frame.side,
                        "mano_trans": [frame.global_orient.tolist()],
                        "mano_pose": [frame.hand_pose.tolist()],
                        "mano_betas": [frame.betas.tolist()],
                    }
                ],
                "hand": {"mano_scale": [10.0], "mano_xyz_root": [(100 * frame.wrist).tolist()]},
                "contact": [0.0] * 778,
            }
            folder = root / "labeling_data" / sequence / f"trial_{trial}" / "annotation" / "mas"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"mas_{i}.json").write_text(json.dumps(content), encoding="utf-8-sig")
    mesh = scene.mesh.copy()
    mesh.apply_scale(100 / scale)
    export(mesh, root / "obj_scanned_models" / "05_wine_glass" / "05_wine_glass.obj")


def write_hoi4d(root, scene):
    """One sequence of a mug; a frame more without the object's pose."""
    sequence = "ZY20210800001/H1/C2/N05/S100/s02/T5"
    for i, frame in enumerate([*scene.frames, scene.frames[0]]):
        content = {
            "poseCoeff": np.concatenate([frame.global_orient, frame.hand_pose]),
            "beta": frame.betas,
            "trans": frame.transl,
            "kps2D": np.zeros((21, 2)),
        }
        dump(root / "handpose" / f"refinehandpose_{frame.side}" / sequence / f"{i}.pickle", content)
        if i == len(scene.frames):
            break
        angles = Rotation.from_matrix(frame.T_scene_object[:3, :3].double().numpy()).as_euler("XYZ")
        centre = frame.T_scene_object[:3, 3].tolist()
        pose = {
            "dataList": [
                {
                    "center": dict(zip("xyz", centre, strict=True)),
                    "rotation": dict(zip("xyz", angles.tolist(), strict=True)),
                    "dimensions": {"length": 0.1, "width": 0.1, "height": 0.1},
                }
            ]
        }
        folder = root / "HOI4D_annotations" / sequence / "objpose"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.json").write_text(json.dumps(pose))
    (root / "camera_params" / "ZY20210800001").mkdir(parents=True)
    np.save(root / "camera_params" / "ZY20210800001" / "intrin.npy", K)
    export(scene.mesh, root / "HOI4D_CAD_Model_for_release" / "rigid" / "Mug" / "005.obj")


def write_oakink_image(root, scene, packed=True):
    """One sequence; with the packed annotations, MANO's parameters too."""
    sequence, time = "A16012_0001_0003", "2021-09-26-20-01-28"
    for i, frame in enumerate(scene.frames):
        stem = f"{sequence}__{time}__0__{i}__0"
        parts = {
            "hand_j": reordered(frame.joints, "manopth"),
            "obj_transf": frame.T_scene_object.numpy(),
            "cam_intr": K,
        }
        for kind, content in parts.items():
            dump(root / "image" / "anno" / kind / f"{stem}.pkl", content)
        if packed:
            pose = np.concatenate([frame.global_orient, frame.hand_pose]).reshape(16, 3).astype(np.float32)
            whole = parts | {"mano_pose": pose, "mano_shape": frame.betas}
            dump(root / "image" / "anno_packed" / "default" / "val" / f"{stem}.pkl", whole)
    export(scene.mesh, root / "image" / "obj" / "A16012.obj")
    (root / "shape" / "metaV2").mkdir(parents=True)
    (root / "shape" / "metaV2" / "object_id.json").write_text(json.dumps({"A16012": {"name": "mug_s001"}}))


def write_oakink_shape(root, scene, quaternions=False):
    """Grasps of one object; its mesh is stored away from its centre, as the poses do not have it."""
    base = root / "shape" / "oakink_shape_v2" / "mug" / "O02@92"
    for i, frame in enumerate(_in_object_frame(scene).frames):
        pose = torch.from_numpy(np.concatenate([frame.global_orient, frame.hand_pose])).view(16, 3)
        if quaternions:
            pose = roma.quat_xyzw_to_wxyz(roma.rotvec_to_unitquat(pose))
        folder = base / f"{i:010x}"
        dump(folder / "hand_param.pkl", {"pose": pose.numpy(), "shape": frame.betas, "tsl": frame.wrist})
        (folder / "source.txt").write_text("pass1/O02@92_0001_0000/2021-09-26-20-01-28/dom.pkl")
    meta = root / "shape" / "metaV2"
    meta.mkdir(parents=True)
    (meta / "object_id.json").write_text(json.dumps({"O02@92": {"name": "mug_s009"}}))
    (meta / "virtual_object_id.json").write_text("{}")
    mesh = scene.mesh.copy()
    mesh.apply_translation([0.3, -0.1, 0.2])
    export(mesh, root / "shape" / "OakInkObjectsV2" / "mug_s009" / "align" / "mug_align.obj")


def _in_object_frame(scene):
    """The scene, each frame in its object's own frame."""
    return replace(
        scene,
        frames=[f.moved(torch.linalg.inv(f.T_scene_object), scene.hands, scene.v_template) for f in scene.frames],
    )


def write_grab(root, scene, fullpose=True):
    """One sequence, every fourth frame of which is the scene's; the hand has a personal template."""
    frames = [frame for frame in scene.frames for _ in range(4)]
    side, other = ("rhand", "lhand") if scene.side == "right" else ("lhand", "rhand")
    orient = np.stack([rotvec(f.T_scene_object.mT) for f in frames])

    def hand(of):
        params = {
            "global_orient": np.stack([f.global_orient for f in of]),
            "hand_pose": np.stack([scene.pca(f, 45, flat_hand_mean=True) for f in of]),
            "transl": np.stack([f.transl for f in of]),
        }
        if fullpose:
            params["fullpose"] = np.stack([f.hand_pose for f in of])
        return {"params": params, "vtemp": f"tools/subject_meshes/female/s1_{side}.ply"}

    contact = np.zeros((len(frames), 50), dtype=np.int8)
    contact[:, 7] = 44 if scene.side == "right" else 29
    content = {
        "gender": "female",
        "n_frames": len(frames),
        "n_comps": 24,
        "obj_name": "mug",
        side: hand(frames),
        other: hand(frames),
        "object": {
            "params": {
                "global_orient": orient,
                "transl": np.stack([f.T_scene_object[:3, 3].numpy() for f in frames]),
            },
            "object_mesh": "tools/object_meshes/contact_meshes/mug.ply",
        },
        "contact": {"object": contact, "body": contact},
    }
    place = root / "grab" / "s1" / "mug_drink_1.npz"
    place.parent.mkdir(parents=True)
    np.savez_compressed(
        place, **{k: np.asarray(v, dtype=object) if isinstance(v, dict) else v for k, v in content.items()}
    )
    template = trimesh.Trimesh(scene.v_template.numpy(), [[0, 1, 2]], process=False)
    export(template, root / "tools" / "subject_meshes" / "female" / f"s1_{side}.ply")
    export(scene.mesh, root / "tools" / "object_meshes" / "contact_meshes" / "mug.ply")


def write_contactpose(root, scene, moving=False):
    """One grasp a session; the other hand takes no part."""

    def pose(T):
        quaternion = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(T[:3, :3]))
        return {"translation": T[:3, 3].tolist(), "rotation": quaternion.tolist()}

    which = ("left", "right").index(scene.side)
    for i, frame in enumerate(_in_object_frame(scene).frames):
        # The joints' own frame is the object's, or of a moving hand, that of the original scene.
        T_object_file = torch.linalg.inv(scene.frames[i].T_scene_object) if moving else torch.eye(4)
        T_file_object = torch.linalg.inv(T_object_file)
        # MANO's own frame: the pose without its rotation in the object's frame, somewhere else.
        T_file_mano = scene.frames[i].T_scene_object if not moving else torch.eye(4)
        placed = frame.moved(torch.linalg.inv(T_object_file @ T_file_mano), scene.hands)
        T_file_mano = T_file_mano.clone()
        T_file_mano[:3, 3] += T_file_mano[:3, :3] @ torch.from_numpy(placed.transl)
        hands = [{"valid": False, "moving": False, "joints": None}, {"valid": False, "moving": False, "joints": None}]
        joints = transform_points(T_file_object, frame.joints)
        hands[which] = {"valid": True, "moving": moving, "joints": reordered(joints, "openpose").tolist()}
        both = [None, None]
        both[which] = pose(T_file_object)
        identity = pose(torch.eye(4))
        annotations = {
            "frames": [{"oTw": identity, "hTo": [b or identity for b in both], "object_pose_optimized": True}],
            "cameras": {},
            "hands": hands,
        }
        fits = [{"valid": False}, {"valid": False}]
        fits[which] = {
            "valid": True,
            "pose": [*placed.global_orient.tolist(), *scene.pca(placed, 15).tolist()],
            "betas": placed.betas.tolist(),
            "mTc": pose(torch.linalg.inv(T_file_mano)),
        }
        folder = root / "contactpose_data" / f"full{i + 1}_{'use' if i % 2 else 'handoff'}" / "mug"
        folder.mkdir(parents=True)
        (folder / "annotations.json").write_text(json.dumps(annotations))
        (folder / "mano_fits_15.json").write_text(json.dumps(fits))
        export(scene.mesh, folder / "mug.ply")


def write_obman(root, scene, scale=0.25):
    """Half of the frames for training, half for testing; the model in ShapeNet's size."""
    for i, frame in enumerate(scene.moved(OPENGL).frames):
        affine = frame.T_scene_object.double().numpy().copy()
        affine[:3, :3] *= scale
        meta = {
            "coords_2d": np.zeros((21, 2)),
            "coords_3d": reordered(frame.joints, "manopth"),
            "verts_3d": np.zeros((778, 3)),
            "side": frame.side,
            "hand_pose": np.zeros(45),
            "pca_pose": np.zeros(45),
            "affine_transform": affine,
            "obj_scale": scale,
            "class_id": "03797390",
            "sample_id": "1a1c0a8d4bad82169f0594e65f756cf5",
        }
        split = "train" if i % 2 == 0 else "test"
        dump(root / split / "meta" / f"{i:08d}.pkl", meta)
        picture(root / split / "rgb" / f"{i:08d}.jpg", (256, 256))
    mesh = scene.mesh.copy()
    mesh.apply_scale(1 / scale)
    place = root / "ShapeNetCore.v2" / "03797390" / "1a1c0a8d4bad82169f0594e65f756cf5" / "models"
    export(mesh, place / "model_normalized.obj")


def write_ycb_affordance(root, scene):
    """One grasp a file, in the object's frame."""
    for i, frame in enumerate(_in_object_frame(scene).frames):
        grasp = {
            "body": "/home/somebody/data/models/025_mug/google_16k/nontextured_transformed.wrl",
            "pca_manorot": frame.global_orient,
            "pca_poses": scene.pca(frame, 45, flat_hand_mean=True)[None],
            "mano_trans": frame.transl[None],
            "taxonomy": 14,
        }
        dump(root / "grasps" / f"obj_14_grasp_{i}.pickle", grasp)
    export(scene.mesh, root / "models" / "025_mug" / "textured.obj")


def write_mow(root, scene, hand_s=1.7, s=0.3, models=False):
    """One photo a frame; rows, sizes of their own."""
    poses = []
    mean = scene.hands.mano("right").pca_mean.numpy()
    turn = roma.rotvec_to_rotmat(torch.tensor([0.2, -0.4, 0.1]))
    for i, frame in enumerate(scene.frames):
        T_hand = torch.eye(4)
        T_hand[:3, :3], T_hand[:3, 3] = turn, torch.tensor([0.1, 0.2, 0.3])
        placed = frame.moved(torch.linalg.inv(T_hand), scene.hands)
        name = f"board_food_v_{i}"
        poses.append(
            {
                "image_id": name,
                "obj_name": "mug_1",
                "hand_pose": [*placed.global_orient.tolist(), *(placed.hand_pose - mean).tolist()],
                "trans": placed.transl.tolist(),
                "hand_R": turn.mT.flatten().tolist(),
                "hand_t": T_hand[:3, 3].tolist(),
                "hand_s": hand_s,
                "R": frame.T_scene_object[:3, :3].mT.flatten().tolist(),
                "t": (frame.T_scene_object[:3, 3] * hand_s / s).tolist(),
                "s": s,
            }
        )
        mesh = scene.mesh.copy()
        mesh.apply_scale(hand_s / s / (1 if models else 8))
        if models:
            mesh = trimesh.Trimesh(mesh.vertices * [1, -1, 1] + [3, 4, 5], mesh.faces[:, ::-1], process=False)
        place = root / "models" / f"{name}.obj" if models else root / "results" / name / f"{name}_norm.obj"
        export(mesh, place)
    (root / "poses.json").write_text(json.dumps(poses))


def write_myodm(root, scene):
    """Joints in the object's frame, and the object's pose."""
    root.mkdir(parents=True, exist_ok=True)
    quaternions = [roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(f.T_scene_object[:3, :3])) for f in scene.frames]
    np.savez(
        root / "grasps.npz",
        joints_object=np.stack([f.joints_object.numpy() for f in scene.frames]),
        object_pose=np.stack(
            [np.concatenate([f.T_scene_object[:3, 3], q]) for f, q in zip(scene.frames, quaternions, strict=True)]
        ),
        sequence=np.zeros(len(scene.frames), int),
        frame=np.arange(len(scene.frames)),
        sequence_names=np.array(["mug_drink1"]),
    )
    export(scene.mesh, root / "objects" / "mug.ply")


def write_folder(root, scene):
    """MANO's parameters in the object's frame."""
    frames = _in_object_frame(scene).frames
    (root / "grasps").mkdir(parents=True)
    np.savez(
        root / "grasps" / "mug.npz",
        hand_pose=np.stack([f.hand_pose for f in frames]),
        global_orient=np.stack([f.global_orient for f in frames]),
        transl=np.stack([f.transl for f in frames]),
        betas=np.stack([f.betas for f in frames]),
        side=np.array([f.side for f in frames]),
        split="test",
    )
    export(scene.mesh, root / "objects" / "mug.ply")


@dataclass(frozen=True)
class Layout:
    """How a dataset's fixture is made: its writer, and what the scene has to be like."""

    write: object
    sides: tuple = ("right",)
    scene: dict = None
    options: tuple = ({},)
    annotation: str = ""
    """A pattern of annotation files, of which a test damages one."""
    mesh: str = ""


LAYOUTS = {
    "ho3d_v2": Layout(write_ho3d, annotation="train/*/meta/*.pkl", mesh="models/*/*.obj"),
    "ho3d_v3": Layout(
        write_ho3d, options=({"suffix": ".jpg"},), annotation="train/*/meta/*.pkl", mesh="models/*/*.obj"
    ),
    "dexycb": Layout(write_dexycb, ("right", "left"), annotation="2020*/*/*/labels_*.npz", mesh="models/*/*.obj"),
    "hograspnet": Layout(
        write_hograspnet,
        ("right", "left"),
        annotation="labeling_data/*/trial_1/annotation/*/*.json",
        mesh="obj_scanned_models/*/*.obj",
    ),
    "hoi4d": Layout(
        write_hoi4d,
        ("right", "left"),
        annotation="handpose/*/*/*/*/*/*/*/*/*.pickle",
        mesh="HOI4D_CAD_Model_for_release/rigid/*/*.obj",
    ),
    "oakink_image": Layout(
        write_oakink_image,
        options=({}, {"packed": False}),
        annotation="image/anno_packed/default/val/*.pkl",
        mesh="image/obj/*.obj",
    ),
    "oakink_shape": Layout(
        write_oakink_shape,
        scene={"centred": True},
        options=({}, {"quaternions": True}),
        annotation="shape/oakink_shape_v2/*/*/*/hand_param.pkl",
        mesh="shape/OakInkObjectsV2/*/align/*.obj",
    ),
    "grab": Layout(
        write_grab,
        ("right", "left"),
        scene={"personal": True, "betas": False},
        options=({}, {"fullpose": False}),
        annotation="grab/s1/*.npz",
        mesh="tools/object_meshes/contact_meshes/*.ply",
    ),
    "contactpose": Layout(
        write_contactpose,
        ("right", "left"),
        scene={"pca_components": 15},
        options=({}, {"moving": True}),
        annotation="contactpose_data/*/*/annotations.json",
        mesh="contactpose_data/*/*/*.ply",
    ),
    "obman": Layout(
        write_obman,
        ("right", "left"),
        annotation="train/meta/*.pkl",
        mesh="ShapeNetCore.v2/*/*/models/*.obj",
    ),
    "ycb_affordance": Layout(
        write_ycb_affordance, scene={"betas": False}, annotation="grasps/*.pickle", mesh="models/*/*.obj"
    ),
    "mow": Layout(
        write_mow,
        scene={"betas": False, "mean_at_origin": True},
        options=({}, {"models": True}),
        annotation="poses.json",
        mesh="results/*/*.obj",
    ),
    "myodm": Layout(write_myodm, annotation="grasps.npz", mesh="objects/*.ply"),
    "folder": Layout(write_folder, ("right", "left"), annotation="grasps/*.npz", mesh="objects/*.ply"),
}
