"""The files of a clip's folder, read and checked: what they hold can be true, or a sentence says which is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import trimesh
from jaxtyping import Float
from PIL import Image

from hoprior.common.array_files import array_names, read_arrays
from hoprior.common.reading import interpreting, read_json, read_text
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import read_surface
from hoprior.vision.images import open_picture

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
HANDS = ("mano", "open")
FPS = 15.0
"""Frames a second of a clip that does not say."""
MOST_FPS = 100_000.0
ROTATION_SLACK = 0.05
"""By how much an estimate's rotation may miss being one, in any of its entries."""
WRITE_AGAIN = "write it again"

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class ClipSettings:
    """What `clip.json` says; what it does not say, the caller does."""

    side: Side = "right"
    hand: str = "mano"
    fps: float = FPS


def read_settings(path: Path, side: str | None = None, hand: str | None = None) -> ClipSettings:
    """`clip.json`, if it is there.

    Args:
        side, hand: if the file does not say.

    Raises:
        HopriorError: it is damaged, or says what cannot be.
    """
    advice = "delete it or write it again"
    content = read_json(path, advice) if path.is_file() else {}
    if not isinstance(content, dict):
        raise HopriorError(f"{path}: maps no names to values: {advice}")
    said = content.get("side", side or "right")
    found = next((known for known in get_args(Side) if isinstance(said, str) and said.lower() == known), None)
    if found is None:
        raise HopriorError(f"{path}: side {said!r} is unknown: right or left")
    model = content.get("hand", hand or "mano")
    if model not in HANDS:
        raise HopriorError(f"{path}: hand {model!r} is unknown: {' or '.join(HANDS)}")
    with interpreting(path, "give the frames a second", "fps is no number"):
        fps = float(content.get("fps", FPS))
    if not 0 < fps <= MOST_FPS:
        raise HopriorError(f"{path}: fps {fps:g} cannot be: give the frames a second")
    return ClipSettings(found, model, fps)


def read_sentence(path: Path) -> str | None:
    """`text.txt`, if it is there and says something."""
    return read_text(path, "save it as UTF-8").strip() or None if path.is_file() else None


def pictures(folder: Path, count: int | None = None) -> list[Path]:
    """The PNG and JPEG files of a folder, by name; `count` of them, if it is given."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not found:
        raise HopriorError(f"{folder}: holds no PNG or JPEG: a clip needs one for each frame")
    if count is not None and len(found) != count:
        raise HopriorError(f"{folder}: has {len(found)} pictures, image/ has {count}: give one for each frame")
    return found


def frame_picture(source: Path | np.ndarray) -> Image.Image:
    """A frame's picture or mask, whole."""
    if isinstance(source, np.ndarray):
        return Image.fromarray(source)
    return open_picture(source, advice="export this frame again")


@dataclass(frozen=True)
class HandFiles:
    """Cameras and hands of n frames, in the axes of the hand model's file; keypoints in pixels."""

    T_camera_hand: Float[np.ndarray, "n 4 4"]
    hand_pose: Float[np.ndarray, "n 15 3"]
    betas: Float[np.ndarray, "n 10"]
    intrinsics: Float[np.ndarray, "n 4"]
    keypoints: Float[np.ndarray, "n 21 2"] | None
    confidence: Float[np.ndarray, "n 21"] | None


def read_hand_files(folder: Path, count: int) -> HandFiles:
    """`cameras_hoi*.npz`, `hands*.npz` and, if it is there, `keypoints.npz`.

    Raises:
        HopriorError: one is missing, damaged, or says what cannot be.
    """
    cameras = _file(folder, "cameras_hoi*.npz", "cTw, K_pix, wTh")
    arrays = named_arrays(cameras, {"cTw": (4, 4), "K_pix": (None, None), "wTh": (4, 4)}, count)
    K = arrays["K_pix"]
    if K.shape[1:] not in ((3, 3), (4, 4)) or not (np.isfinite(K).all() and (K[:, [0, 1], [0, 1]] > 0).all()):
        raise HopriorError(f"{cameras}: 'K_pix' has no focal lengths above 0, or is not 3x3: give pixels")
    T_camera_hand = arrays["cTw"] @ arrays["wTh"]
    check_placements(T_camera_hand, f"{cameras}: 'cTw' times 'wTh'")
    poses = _file(folder, "hands*.npz", "hA, beta")
    hands = named_arrays(poses, {"hA": None, "beta": None}, count)
    for name, size in (("hA", 45), ("beta", 10)):
        if hands[name].size != count * size:
            raise HopriorError(f"{poses}: '{name}' has the shape {hands[name].shape}: give ({count}, {size})")
    found = None
    if (folder / "keypoints.npz").is_file():
        found = named_arrays(folder / "keypoints.npz", {"j2d": (21, 2), "conf": (21,)}, count)
    return HandFiles(
        T_camera_hand,
        hands["hA"].reshape(count, 15, 3),
        hands["beta"].reshape(count, 10),
        np.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]], axis=1),
        found["j2d"] if found else None,
        found["conf"] if found else None,
    )


@dataclass(frozen=True)
class TruthFiles:
    """`oObj.obj` and the arrays of `eval_poses.npz`; points of the surface, and which are seen, if it has them."""

    mesh: trimesh.Trimesh
    poses: Mapping[str, np.ndarray]
    points: Float[np.ndarray, "p 3"] | None
    seen: np.ndarray | None


def read_truth_files(folder: Path, count: int) -> TruthFiles | None:
    """Ground truth of a folder, where there is some.

    Raises:
        HopriorError: a file is damaged, or its arrays are not of this clip.
    """
    path = folder / "eval_poses.npz"
    if not ((folder / "oObj.obj").is_file() and path.is_file()):
        return None
    poses = named_arrays(path, {"hTo": (4, 4), "cTh": (4, 4), "jTh": (21, 3)}, count)
    for name in ("hTo", "cTh"):
        check_placements(poses[name], f"{path}: '{name}'")
    points, seen = None, None
    if {"points", "seen"} <= set(array_names(path)):
        drawn = read_arrays(path, ("points", "seen"), advice=WRITE_AGAIN)
        points, seen = drawn["points"], drawn["seen"]
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f" or seen.shape != points.shape[:1]:
            raise HopriorError(f"{path}: 'points' {points.shape} and 'seen' {seen.shape} do not fit: {WRITE_AGAIN}")
        seen = seen.astype(bool)
    return TruthFiles(read_surface(folder / "oObj.obj"), poses, points, seen)


def named_arrays(path: Path, shapes: Mapping[str, Shape | None], count: int) -> dict[str, np.ndarray]:
    """Arrays of numbers, `count` along the first axis of each.

    Args:
        shapes: of the other axes, None for any size; by name.

    Raises:
        HopriorError: the file is damaged, or its arrays are others.
    """
    arrays = read_arrays(path, shapes, advice=WRITE_AGAIN)
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype.kind not in "fiu":
            raise HopriorError(f"{path}: '{name}' holds no numbers: {WRITE_AGAIN}")
        if not array.ndim or len(array) != count:
            frames = len(array) if array.ndim else "no"
            raise HopriorError(f"{path}: '{name}' is for {frames} frames, image/ has {count}")
        inner = array.shape[1:]
        if shape is not None and (
            len(inner) != len(shape) or any(s not in (None, n) for s, n in zip(shape, inner, strict=True))
        ):
            wanted = ", ".join(["frames", *("k" if n is None else str(n) for n in shape)])
            raise HopriorError(f"{path}: '{name}' has the shape {array.shape}: give ({wanted})")
        arrays[name] = array.astype(np.float64)
    return arrays


def check_placements(T: Float[np.ndarray, "n 4 4"], what: str) -> None:
    """Makes sure that matrices turn and move, and do nothing else. Frames without numbers are frames without a hand.

    Raises:
        HopriorError: one does something else.
    """
    known = T[np.isfinite(T).all(axis=(1, 2))]
    R = known[:, :3, :3]
    miss = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(initial=0.0)
    last = np.abs(known[:, 3] - [0, 0, 0, 1]).max(initial=0.0)
    if miss > ROTATION_SLACK or last > ROTATION_SLACK or not (np.linalg.det(R) > 0).all():
        raise HopriorError(f"{what} is no rotation and translation in each frame: give 4x4 matrices, metres")
    if not len(known) and len(T):
        raise HopriorError(f"{what} has no numbers in any frame: {WRITE_AGAIN}")


def _file(folder: Path, pattern: str, needs: str) -> Path:
    found: Sequence[Path] = sorted(folder.glob(pattern))
    if not found:
        raise HopriorError(f"{folder}: has no {pattern.replace('*', '')}: it needs the arrays {needs}")
    return found[0]
