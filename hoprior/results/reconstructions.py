"""What reconstruction gives back: an object, hands and their places in every frame; and as files for other programs."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8

from hoprior.common.array_files import save_arrays
from hoprior.common.io import check_place, strict_json, write_folder
from hoprior.common.reading import read_json
from hoprior.common.run_key import RunKey
from hoprior.common.staging import STAGING, staging_folders
from hoprior.common.torch_files import read_torch_file
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering.clip_video import novel_frames, overlay_frames
from hoprior.results.folder import HAND_FRAME, holds_results, previous_report, scene_glb, write_config
from hoprior.vision.video import write_video

FORMAT = "hoprior-reconstruction/1"
INDEX = "reconstruction.json"
VIDEO = "overlay.mp4"
CHECKPOINT = "checkpoint.pt"
KEY_PARTS = frozenset({"the clip", "the hands", "the masks"})
"""Of all that the key in a checkpoint names, what no other program's file has."""

TRUST_WORDS = ((0.8, "good"), (0.4, "doubtful"), (0.0, "not to be trusted"))
"""From which trust on a result is called what."""

CONFIDENCE = "confidence"
"""The attribute of the object's vertices that says how far pictures show them: 1 in three frames or more, 0 in none."""

FRAMES = {
    "hand frame": f"of each frame, metres: {HAND_FRAME}",
    "object frame": "of object.glb and object.ply: the hand frame of an average frame; metres",
    "confidence": "of each vertex of object.ply and object.glb (`_confidence`): 1 if frames show it, 0 if none",
    "camera frame": "metres: +x right, +y down, +z forward",
    "T_camera_hand": "4x4: hand frame to camera frame",
    "T_hand_object": "4x4: object frame to hand frame",
    "hand_pose": "axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand frame",
    "betas": "shape coefficients of the named hand model, the same in all frames",
    "joints_camera": "21 joints in the camera frame, in the order of `joint_names`",
    "intrinsics_crop": "fx, fy, cx, cy of the square crops that were fitted, pixels",
}


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """n frames of a hand with an object; metres and radians, of the side that was filmed.

    Attributes:
        name: of the clip.
        hand, side: name of the hand model, "open" or "mano"; "right" or "left".
        text: what was asked.
        T_camera_hand, T_hand_object: map the hand's frame to the camera's, and the object's to the hand's.
        hand_pose, betas: axis-angle of the 15 finger joints from the flat hand; the model's one shape.
        joints_hand, verts_hand: in the hand frame.
        fps: frames a second.
        config, versions, timings: all settings; of hoprior and of what it computed with; seconds by stage.
        notes: what one should know of this result, as sentences.
        object_mesh: in the object's frame.
        faces: of the hand's `verts_hand`.
        image: crops that were fitted, RGB; `intrinsics` are theirs.
        frame: number of each frame in the source.
        metrics: against the truth, where there is one.
        losses: every tenth step's.
        trust: how likely the object's shape is right, 0 to 1: that nine tenths of its surface and of the true one are
            within 10 mm of each other. None where the shape was given.
        evidence: what that was told by.
    """

    name: str
    hand: str
    side: str
    text: str | None
    object_mesh: trimesh.Trimesh
    T_camera_hand: Float[np.ndarray, "n 4 4"]
    T_hand_object: Float[np.ndarray, "n 4 4"]
    hand_pose: Float[np.ndarray, "n 15 3"]
    betas: Float[np.ndarray, " 10"]
    verts_hand: Float[np.ndarray, "n v 3"]
    joints_hand: Float[np.ndarray, "n 21 3"]
    faces: Int[np.ndarray, "f 3"]
    image: UInt8[np.ndarray, "n s s 3"]
    intrinsics: Float[np.ndarray, "n 4"]
    frame: tuple[int, ...]
    fps: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[Mapping[str, float], ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    trust: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def trust_word(self) -> str | None:
        """What that trust is called: "good", "doubtful" or "not to be trusted"."""
        return None if self.trust is None else trust_word(self.trust)

    def __len__(self) -> int:
        return len(self.T_camera_hand)

    @property
    def joints_camera(self) -> Float[np.ndarray, "n 21 3"]:
        """The joints in the camera's frame."""
        return place(self.T_camera_hand, self.joints_hand)

    def save(self, folder: str | Path, videos: bool = True) -> Path:
        """Writes meshes, poses, videos and reconstruction.json; returns `folder`.

        All files are complete before the first one stands in `folder`; a checkpoint there is removed.

        Raises:
            HopriorError: `check_writable` says no, or the disk is full.
        """
        folder = Path(folder)
        check_writable(folder)
        write_folder(
            folder,
            lambda staging: self._write(staging, videos),
            last=INDEX,
            stale=lambda: _own_files(folder) | previous_report(folder),
        )
        if is_checkpoint(folder / CHECKPOINT):
            (folder / CHECKPOINT).unlink(missing_ok=True)
        return folder

    def _write(self, folder: Path, videos: bool) -> None:
        self.object_mesh.export(folder / "object.ply")
        self.object_mesh.export(folder / "object.glb")
        poses: dict[str, Any] = {
            "T_camera_hand": self.T_camera_hand,
            "T_hand_object": self.T_hand_object,
            "hand_pose": self.hand_pose,
            "betas": self.betas,
            "joints_camera": self.joints_camera,
            "intrinsics_crop": self.intrinsics,
        }
        save_arrays(folder / "poses.npz", {"frame": self.frame, **poses}, compress=False)
        held = [self.object_mesh.copy().apply_transform(T) for T in self.T_hand_object]
        names = [f"frame_{number:05d}.glb" for number in self.frame]
        for name, verts, mesh in zip(names, self.verts_hand, held, strict=True):
            (folder / name).write_bytes(scene_glb(verts, self.faces, mesh))
        if videos:
            write_video(folder / VIDEO, overlay_frames(self), self.fps)
            write_video(folder / "novel_views.mp4", novel_frames(self), self.fps)
        write_config(folder, self.config)
        index = {
            "format": FORMAT,
            "clip": self.name,
            "text": self.text,
            "hand": self.hand,
            "side": self.side,
            "fps": self.fps,
            "crop_size": self.image.shape[1],
            "metrics": self.metrics,
            "notes": self.notes,
            "trust": self.trust,
            "trust_word": self.trust_word,
            "evidence": self.evidence,
            "frames": FRAMES,
            "joint_names": JOINT_NAMES,
            "frame": self.frame,
            "glb": names,
            "poses": poses,
            "losses": self.losses,
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
        }
        (folder / INDEX).write_text(strict_json(index), encoding="utf-8")


def trust_word(trust: float) -> str:
    """What a trust, from 0 to 1, is called.

    Example:
        >>> trust_word(0.95), trust_word(0.5), trust_word(0.1)
        ('good', 'doubtful', 'not to be trusted')
    """
    return next(word for least, word in TRUST_WORDS if trust >= least)


def check_writable(folder: Path) -> None:
    """Makes sure, before long work, that a reconstruction can be written to `folder`.

    Raises:
        HopriorError: it is a file, holds files that are not of an earlier reconstruction, or cannot be written to.
    """
    check_place(folder)
    found = {path.name for path in folder.iterdir() if not holds_results(path)} if folder.is_dir() else set()
    names = {name for name in found if not STAGING.fullmatch(name)}
    if CHECKPOINT in names and not is_checkpoint(folder / CHECKPOINT):
        raise HopriorError(
            f"{folder}: its {CHECKPOINT} is none of a reconstruction, and would be deleted: choose an empty or a new"
            " folder, or remove it"
        )
    # A run that was killed between removing the old result and moving the new in leaves the new one's index.
    left = staging_folders(folder, Path(os.path.abspath(folder)).name)
    if names and CHECKPOINT not in names and not any(_index(place) is not None for place in (folder, *left)):
        raise HopriorError(
            f"{folder}: holds files that are no reconstruction ({min(names)}): choose an empty or a new folder"
        )


def is_checkpoint(path: Path) -> bool:
    """Whether a file is what a reconstruction goes on from, by what is in it."""
    try:
        content = read_torch_file(path, in_place=True)
    except HopriorError:
        return False
    key = RunKey.read(content.get("key")) if isinstance(content, dict) else None
    return key is not None and set(key.parts) >= KEY_PARTS


def _index(folder: Path) -> dict[str, Any] | None:
    try:
        index = read_json(folder / INDEX)
    except HopriorError:
        return None
    return index if isinstance(index, dict) and index.get("format") == FORMAT else None


def _own_files(folder: Path) -> set[str]:
    """Names of the files in a folder that an earlier reconstruction consists of."""
    index = _index(folder)
    listed = index.get("glb") if index else None
    frames = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    own = {name for name in frames if re.fullmatch(r"frame_\d{5,}\.glb", name)}
    # Videos of an earlier result would show another object than the new one's files have.
    return own | ({"overlay.mp4", "novel_views.mp4"} if index else set())


def place(T: Float[np.ndarray, "n 4 4"], points: Float[np.ndarray, "n p 3"]) -> Float[np.ndarray, "n p 3"]:
    """Points of each frame, transformed."""
    return np.einsum("nij,npj->npi", T[:, :3, :3], points) + T[:, None, :3, 3]
