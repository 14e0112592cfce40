"""A MyoDM release as its authors publish it, turned into the prepared form that `myodm.py` reads.

Wanted are three things: robohive's motions (`MyoHand_{object}_{verb}.npz`: `robot` (T, 29) joint positions, `object`
(T, 7) position and wxyz quaternion), object_sim's meshes (`{object}/{object}.stl`, metres), and a MuJoCo model of the
hand from myo_sim with the six joints of the arm that robohive puts before it (its MyoHand table-top scene). The
joints' places follow by forward kinematics in MuJoCo, which is an optional dependency (`pip install mujoco`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.io import write_atomically
from hoprior.common.reading import interpreting
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh

OBJECT_OFFSET = (0.0, 0.0, 0.035)
"""Where the scenes put the object's body, which `object` is relative to (m)."""

ARM = ("ARTx", "ARTy", "ARTz", "ARRx", "ARRy", "ARRz")
WRIST = ("pro_sup", "deviation", "flexion")
THUMB = ("cmc_abduction", "cmc_flexion", "mp_flexion", "ip_flexion")
FINGERS = tuple(
    f"{joint}{k}_{way}"
    for k in (2, 3, 4, 5)
    for joint, way in (("mcp", "flexion"), ("mcp", "abduction"), ("pm", "flexion"), ("md", "flexion"))
)
ROBOT_COLUMNS = (*ARM, *WRIST, *THUMB, *FINGERS)
"""The joints of `robot`'s 29 columns."""

JOINT_ANCHORS = (
    "flexion",
    *(f"{part}{k}_flexion" for k in (2, 3, 5, 4) for part in ("mcp", "pm", "md")),
    "cmc_flexion",
    "mp_flexion",
    "ip_flexion",
)
"""The joints whose anchors are our first 16: wrist, then index, middle, pinky, ring and thumb."""
TIP_SITES = ("THtip", "IFtip", "MFtip", "RFtip", "LFtip")
MAX_FACES = 4000


@dataclass(frozen=True)
class Motion:
    """One sequence: `robot` joint positions and the object's pose in the world (m, wxyz)."""

    name: str
    robot: Float[np.ndarray, "t 29"]
    object_pose: Float[np.ndarray, "t 7"]


class HandKinematics:
    """Where a MuJoCo hand's 21 joints are.

    Raises:
        HopriorError: MuJoCo is not installed, or the model is unreadable or lacks a joint or a site.
    """

    def __init__(self, hand_xml: Path) -> None:
        try:
            import mujoco
        except ImportError as error:
            raise HopriorError("reading a MyoDM release needs MuJoCo: pip install mujoco") from error
        self._mujoco: Any = mujoco
        try:
            self.model = mujoco.MjModel.from_xml_path(str(hand_xml))
        except (ValueError, OSError) as error:
            raise HopriorError(f"{hand_xml}: MuJoCo cannot read it ({str(error).splitlines()[0]})") from error
        self.data = mujoco.MjData(self.model)
        self.columns = np.array([self.model.jnt_qposadr[self._id("joint", n, hand_xml)] for n in ROBOT_COLUMNS])
        self.anchors = np.array([self._id("joint", name, hand_xml) for name in JOINT_ANCHORS])
        self.tips = np.array([self._id("site", name, hand_xml) for name in TIP_SITES])

    def _id(self, kind: str, name: str, hand_xml: Path) -> int:
        found = self._mujoco.mj_name2id(self.model, getattr(self._mujoco.mjtObj, f"mjOBJ_{kind.upper()}"), name)
        if found < 0:
            raise HopriorError(f"{hand_xml}: no {kind} '{name}'; give myo_sim's hand with robohive's six arm joints")
        return found

    def __call__(self, robot: Float[np.ndarray, "t 29"]) -> Float[np.ndarray, "t 21 3"]:
        """The 21 joints (docs/conventions.md) in the world, metres."""
        joints = np.empty((len(robot), 21, 3))
        for i, position in enumerate(robot):
            self.data.qpos[self.columns] = position
            self._mujoco.mj_kinematics(self.model, self.data)
            joints[i, :16] = self.data.xanchor[self.anchors]
            joints[i, 16:] = self.data.site_xpos[self.tips]
        return joints


def read_motions(folder: Path) -> list[Motion]:
    """The sequences of a release, by name.

    Raises:
        HopriorError: there are none, or one is not what it should be.
    """
    paths = sorted(Path(folder).glob("MyoHand_*.npz"))
    if not paths:
        raise HopriorError(f"{folder}: no MyoHand_*.npz; give robohive's folder of MyoDM motions")
    return [_read_motion(path) for path in paths]


def _read_motion(path: Path) -> Motion:
    advice = "a MyoDM motion needs arrays 'robot' and 'object'"
    data = read_arrays(path, ("robot", "object"), advice=advice)
    with interpreting(path, advice, "not a MyoDM motion"):
        robot, pose = (np.asarray(data[name], dtype=float) for name in ("robot", "object"))
    if robot.ndim != 2 or robot.shape[1] != len(ROBOT_COLUMNS) or pose.shape != (len(robot), 7):
        raise HopriorError(f"{path}: robot {robot.shape} and object {pose.shape}; expected (T, 29) and (T, 7)")
    pose = pose.copy()
    pose[:, :3] += OBJECT_OFFSET
    return Motion(path.stem.removeprefix("MyoHand_"), robot, pose)


def in_object_frame(
    points: Float[np.ndarray, "t n 3"], object_pose: Float[np.ndarray, "t 7"]
) -> Float[np.ndarray, "t n 3"]:
    """World points in the frame of an object at `object_pose` (xyz, wxyz)."""
    matrices = np.stack([trimesh.transformations.quaternion_matrix(q)[:3, :3] for q in object_pose[:, 3:]])
    # A row vector times R is R transposed times the column: the way from the world into the object.
    return np.einsum("tni,tij->tnj", points - object_pose[:, None, :3], matrices)


def prepare_release(motions: Path, meshes: Path, hand_xml: Path, out: Path) -> Path:
    """Writes `out/grasps.npz` and `out/objects/*.ply` from a release; returns `out`.

    Objects without a mesh are left out with their sequences.

    Raises:
        HopriorError: something of the release is missing or unreadable, or no object has a mesh.
    """
    sequences = read_motions(motions)
    stl = {name: Path(meshes) / name / f"{name}.stl" for name in {motion.name.split("_")[0] for motion in sequences}}
    sequences = [motion for motion in sequences if stl[motion.name.split("_")[0]].is_file()]
    if not sequences:
        raise HopriorError(f"{meshes}: no mesh of any object; expected OBJECT/OBJECT.stl, as object_sim has them")
    kinematics = HandKinematics(hand_xml)
    joints = [in_object_frame(kinematics(motion.robot), motion.object_pose) for motion in sequences]
    lengths = [len(motion.robot) for motion in sequences]
    arrays: dict[str, np.ndarray] = {
        "joints_object": np.concatenate(joints).astype(np.float32),
        "object_pose": np.concatenate([motion.object_pose for motion in sequences]).astype(np.float32),
        "sequence": np.repeat(np.arange(len(sequences)), lengths).astype(np.int16),
        "frame": _counting(lengths),
        "sequence_names": np.array([motion.name for motion in sequences]),
    }
    (Path(out) / "objects").mkdir(parents=True, exist_ok=True)
    for name in sorted({motion.name.split("_")[0] for motion in sequences}):
        _write_mesh(Path(out) / "objects" / f"{name}.ply", load_mesh(stl[name], max_faces=MAX_FACES).mesh)
    write_atomically(Path(out) / "grasps.npz", lambda path: _save(path, arrays))
    return Path(out)


def _counting(lengths: list[int]) -> Int[np.ndarray, " n"]:
    """0, 1, 2, ... anew for each length."""
    return np.concatenate([np.arange(length) for length in lengths]).astype(np.int32)


def _write_mesh(path: Path, mesh: trimesh.Trimesh) -> None:
    write_atomically(path, lambda temporary: mesh.export(temporary, file_type="ply"))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        save_arrays(file, arrays)
