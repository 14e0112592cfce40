"""A hand's motion in a video: as a Python object, and as a folder of files that other programs read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from hoprior.common.array_files import save_arrays
from hoprior.common.io import strict_json
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering.hand_video import motion_frames, motion_sheet
from hoprior.results.folder import CONFIG_NAME, write_config
from hoprior.results.refinements import FORMAT, FRAMES, HANDS, PARAMETERS_NAME
from hoprior.vision.video import write_video

VIDEO_NAME = "hands.mp4"
FILLED_IN_CONFIDENCE = 0.25
"""Of joints in frames in which the hand was not seen, beside 1 of joints that were, for other programs."""
ABOUT_MOTION = {
    **{name: FRAMES[name] for name in ("camera", "hand_pose", "global_orient", "transl", "betas")},
    "joints": "in the camera's frame, metres",
    "uv": "where the joints of the motion are in the picture, pixels",
    "sighted_uv": "where the landmarker saw them; NaN in frames whose sighting does not belong to the motion",
    "confidence": (
        f"1 in frames in which the hand was seen, {FILLED_IN_CONFIDENCE} where it is filled in, 0 where nobody knows"
        " where it is"
    ),
    "uncertainty_mm": (
        "standard deviation of each joint's place beside the wrist, over three axes; the wrist's (joint 0) of its own"
        " before the camera"
    ),
    "frame": "numbers of the frames, evenly in time",
}
STACKED = (
    "frame",
    "seconds",
    "seen",
    "lost",
    "hand_pose",
    "betas",
    "global_orient",
    "transl",
    "joints",
    "uv",
    "sighted_uv",
    "confidence",
    "uncertainty_mm",
    "verts",
)
"""Arrays over the frames."""


@dataclass(frozen=True, eq=False)
class HandMotion:
    """One hand of a video through n frames, in the frame of its camera; metres, radians, pixels; hoprior's joint order.

    Attributes:
        name: of the video.
        side: "right" or "left".
        hand: name of the hand model.
        hand_pose, global_orient, transl: axis-angle of the 15 finger joints; where the hand is before the camera.
        joints, verts, faces: of the hand in each frame; its mesh's triangles.
        K: the camera's matrix.
        fps: frames a second.
        text, source: what was asked; the video.
        notes: what one should know of this result, as sentences.
        seed, config, versions: of the random numbers; all settings; of hoprior and of what it computed with.
        frame: numbers of the frames that were read, which are even in time; `seconds` from the video's start.
        seen: frames in which the hand was seen; in the others it is filled in.
        lost: frames in which nobody knows where the hand is, to 10 cm, or whether it is there.
        sighted_uv: where the landmarker saw the joints; NaN in other frames. `uv` is where the motion has them.
        uncertainty_mm: standard deviation of each joint's place beside the wrist; the wrist's before the camera.
        betas: the hand's one shape, in every frame.
        images: the frames, upright.
        timings: seconds by stage.
    """

    name: str
    side: str
    hand: str
    frame: Int[np.ndarray, " n"]
    seconds: Float[np.ndarray, " n"]
    seen: Bool[np.ndarray, " n"]
    lost: Bool[np.ndarray, " n"]
    hand_pose: Float[np.ndarray, "n 15 3"]
    betas: Float[np.ndarray, "n 10"]
    global_orient: Float[np.ndarray, "n 3"]
    transl: Float[np.ndarray, "n 3"]
    joints: Float[np.ndarray, "n 21 3"]
    uv: Float[np.ndarray, "n 21 2"]
    sighted_uv: Float[np.ndarray, "n 21 2"]
    uncertainty_mm: Float[np.ndarray, "n 21"]
    verts: Float[np.ndarray, "n v 3"]
    faces: Int[np.ndarray, "f 3"]
    K: Float[np.ndarray, "3 3"]
    images: tuple[UInt8[np.ndarray, "h w 3"], ...]
    fps: float
    text: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self.images[0].shape[1], self.images[0].shape[0]

    @property
    def confidence(self) -> Float[np.ndarray, "n 21"]:
        """How much the joints of each frame count for programs that read the motion."""
        each = np.where(self.lost, 0.0, np.where(self.seen, 1.0, FILLED_IN_CONFIDENCE))
        return np.repeat(each[:, None], len(JOINT_NAMES), axis=1)

    def save(self, folder: str | Path) -> Path:
        """Writes hands.npz, hands.json, config.yaml and the overlays: hands.mp4, and some of its frames in hands.png.

        All files are complete before the first one stands in `folder`. The files of an earlier result are replaced;
        anything else that lies there is kept. Returns `folder`.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or the disk is full.
        """
        return HANDS.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        (folder / PARAMETERS_NAME).write_bytes(self._npz())
        write_config(folder, self.config)
        motion_sheet(self).save(folder / HANDS.sheet_name)
        write_video(folder / VIDEO_NAME, motion_frames(self), self.fps)
        kept = [name for name in STACKED if name != "verts"]
        index = {
            "format": FORMAT,
            "frames": ABOUT_MOTION,
            "joint_names": JOINT_NAMES,
            "video": {
                "name": self.name,
                "source": self.source,
                "side": self.side,
                "hand": self.hand,
                "text": self.text,
                "fps": self.fps,
                "K": self.K,
                "size": self.size,
                **{name: getattr(self, name) for name in kept},
                "notes": self.notes,
            },
            "hands": [],
            "skipped": {},
            "seed": self.seed,
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [HANDS.index_name, HANDS.sheet_name, VIDEO_NAME, PARAMETERS_NAME, CONFIG_NAME],
        }
        (folder / HANDS.index_name).write_text(strict_json(index), encoding="utf-8")

    def _npz(self) -> bytes:
        """Plain arrays, the frames' stacked; an estimator's file, as `--hands` and `--pose` read it, too."""
        n = len(self)
        arrays = {name: np.asarray(getattr(self, name)) for name in STACKED}
        arrays |= {name: arrays[name].astype(np.float32) for name in ("joints", "verts")}
        arrays |= {
            "faces": self.faces,
            "K": np.repeat(self.K[None], n, axis=0),
            "img_size": np.repeat(np.array([self.size]), n, axis=0),
            "side": np.array([self.side] * n),
            "order": np.array("mano"),
        }
        buffer = BytesIO()
        save_arrays(buffer, arrays)
        return buffer.getvalue()
