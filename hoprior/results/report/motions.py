"""The page of a hand that was followed through a video: it plays, in 3D and on its own frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from hoprior.common.array_files import read_arrays
from hoprior.errors import HopriorError
from hoprior.rendering.overlay import square_of
from hoprior.rendering.pinhole import project
from hoprior.results.motions import VIDEO_NAME
from hoprior.results.refinements import PARAMETERS_NAME
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import hand_views
from hoprior.vision.video import read_video

MAX_FRAMES = 120
"""Of longer videos every second frame is shown, or every third, and so on."""
PHOTO_SIZE, AROUND = 320, 1.15
"""Pixels of a square around all that the hand does, and its side in units of that."""


def motion_page(folder: Path, index: Mapping[str, Any]) -> Page:
    """The page of a motion that lies in a folder, from its index.

    Raises:
        HopriorError: a file is missing or damaged.
    """
    video = index["video"]
    names = ("verts", "faces", "joints", "global_orient", "transl", "lost", "seen", "frame", "uncertainty_mm")
    found = read_arrays(folder / PARAMETERS_NAME, list(names), advice="run the command that wrote it again")
    count = len(found["verts"])
    step = -(-count // MAX_FRAMES)
    verts, joints, transl, lost, seen, frame, doubt = (
        found[name][::step] for name in ("verts", "joints", "transl", "lost", "seen", "frame", "uncertainty_mm")
    )
    turn = Rotation.from_rotvec(found["global_orient"][::step].astype(float)).as_matrix()
    T_camera_hand = np.tile(np.eye(4), (len(verts), 1, 1))
    T_camera_hand[:, :3, :3], T_camera_hand[:, :3, 3] = turn, transl
    arrays = PageArrays()
    K = np.array(video["K"], dtype=float)
    intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    photos, notes = _photos(folder, count, step), list(video["notes"])
    middle, side = _window(verts[~lost] if not lost.all() else verts, intrinsics)
    if not photos:
        notes.append(f"{VIDEO_NAME} is missing or cannot be read here: frames are shown without their pictures")
    scale = photos[0].shape[1] / video["size"][0] if photos else 1.0
    placed = (intrinsics - [0, 0, *(middle - side / 2)]) * PHOTO_SIZE / side
    item = {
        "title": video["name"],
        "brief": f"{int(found['seen'].sum())} of {count} frames seen",
        "frames": len(verts),
        "numbers": frame.tolist(),
        "parts": [{"role": "hand", "mesh": arrays.mesh(_in_hand(verts, T_camera_hand), found["faces"])}],
        "joints": [rounded(points) for points in _in_hand(joints, T_camera_hand)],
        "views": hand_views(np.eye(3), video["side"]),
        "camera": [rounded(T.ravel(), 6) for T in T_camera_hand],
        "photos": [
            {
                "chunk": arrays.picture(square_of(photo, middle * scale, side * scale, PHOTO_SIZE)),
                "intrinsics": rounded(placed, 3),
                "size": PHOTO_SIZE,
            }
            for photo in photos
        ]
        or None,
        "facts": [
            ("hand", video["side"], f"model: {video['hand']}"),
            ("frames seen", f"{int(found['seen'].sum())} of {count}", "in the others the hand is filled in"),
            ("uncertain by, seen", _told(doubt[seen]), "joints beside the wrist, mean of standard deviations"),
            ("uncertain by, filled in", _told(doubt[~seen & ~lost]), "the same in frames that do not show the hand"),
            ("lost", f"{int(found['lost'].sum())} frames", "nobody knows where the hand is, or whether it is there"),
        ],
        "notes": notes,
    }
    shown = f"{count} frames" if step == 1 else f"{len(verts)} of {count} frames"
    return Page(
        "motion",
        video["name"],
        (f"“{video['text']}” · " if video["text"] else "") + shown,
        arrays,
        [item],
        about=made_from(index["config"], index["versions"], index["timings"]),
        more={"fps": video["fps"] / step, "photoFirst": bool(photos)},
    )


def _told(doubt: Float[np.ndarray, "n 21"]) -> str:
    return f"{doubt[:, 1:].mean():.0f} mm" if len(doubt) else "-"


def _in_hand(points: Float[np.ndarray, "n p 3"], T: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "n p 3"]:
    """Points of the camera's frame in each frame's hand frame."""
    return np.einsum("npj,njk->npk", points - T[:, None, :3, 3], T[:, :3, :3])


def _window(
    verts: Float[np.ndarray, "n v 3"], intrinsics: Float[np.ndarray, " 4"]
) -> tuple[Float[np.ndarray, " 2"], float]:
    """Middle and side (pixels of the video) of a square around a hand in all frames."""
    pixels = project(verts.reshape(-1, 3).astype(float), intrinsics)
    low, high = np.percentile(pixels, 0.5, axis=0), np.percentile(pixels, 99.5, axis=0)
    return (low + high) / 2, AROUND * float(max((high - low).max(), 8.0))


def _photos(folder: Path, count: int, step: int) -> Sequence[UInt8[np.ndarray, "h w 3"]]:
    """The frames, from the left half of the overlays; none where these cannot be read."""
    try:
        frames = [frame for k, frame in enumerate(read_video(folder / VIDEO_NAME, even=False)) if k % step == 0]
    except HopriorError:
        return []
    return [frame[:, : frame.shape[1] // 2] for frame in frames] if len(frames) == len(range(0, count, step)) else []
