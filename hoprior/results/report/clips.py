"""The page of a reconstruction: a clip that plays, in 3D and on its own frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from scipy.spatial import cKDTree

from hoprior.errors import HopriorError
from hoprior.geometry.repair import simplify
from hoprior.results.reconstructions import CONFIDENCE, FORMAT, INDEX, VIDEO
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.contacts import GAP_UNIT, gaps_mm, gaps_to_hand_mm
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import MODES, hand_views
from hoprior.results.report.reading import read_index, read_scene
from hoprior.results.report.words import facts
from hoprior.vision.video import read_video

MAX_OBJECT_FACES = 8000
MAX_FRAMES = 120
"""Of longer clips every second frame is shown, or every third, and so on."""
CROP_SIZE = 256
"""Pixels, of results that do not say it."""
SEEN_UNIT = 0.01
CM_PER_M = 100.0
TRUST_WHY = "how likely nine tenths of the object's surface are right to 10 mm, by what can be told without the truth"


def clip_page(folder: Path) -> Page:
    """The page of a reconstruction that lies in a folder.

    Raises:
        HopriorError: it is missing, damaged, or of another version.
    """
    index = read_index(folder, INDEX, FORMAT)
    arrays, poses, count = PageArrays(), index["poses"], len(index["frame"])
    step = -(-count // MAX_FRAMES)
    shown = range(0, count, step)
    T_camera_hand = np.array(poses["T_camera_hand"], dtype=float)[::step]
    T_hand_object = np.array(poses["T_hand_object"], dtype=float)[::step]
    hands = [read_scene(folder / Path(index["glb"][k]).name)["hand"] for k in shown]
    held, confidence = _object(folder)
    verts, faces = np.stack([np.asarray(hand.vertices) for hand in hands]), np.asarray(hands[0].faces)
    at_object = np.stack([_to_object(T, frame) for T, frame in zip(T_hand_object, verts, strict=True)])
    hand_gaps = gaps_mm(at_object.reshape(-1, 3), held).reshape(verts.shape[:2])
    object_gaps = np.stack([gaps_to_hand_mm(np.asarray(held.vertices), frame, faces) for frame in at_object])
    seen = {} if confidence is None else {"seen": arrays.channel(confidence, SEEN_UNIT)}
    photos, notes = _photos(folder, count, step), list(index["notes"])
    if not photos:
        notes.append(f"{VIDEO} is missing or cannot be read here: frames are shown without their photos")
    size = index.get("crop_size", CROP_SIZE)
    item = {
        "title": index["clip"],
        "brief": "",
        "frames": len(verts),
        "numbers": index["frame"][::step],
        "parts": [
            {
                "role": "hand",
                "mesh": arrays.mesh(verts, faces),
                "channels": {"gap": arrays.channel(hand_gaps, GAP_UNIT)},
            },
            {
                "role": "object",
                "mesh": arrays.mesh(np.asarray(held.vertices, dtype=float), np.asarray(held.faces)),
                "channels": {"gap": arrays.channel(object_gaps, GAP_UNIT), **seen},
                "places": [rounded(T.ravel(), 6) for T in T_hand_object],
            },
        ],
        "joints": [
            rounded((np.array(joints) - T[:3, 3]) @ T[:3, :3])
            for joints, T in zip(poses["joints_camera"][::step], T_camera_hand, strict=True)
        ],
        "views": hand_views(np.eye(3), index["side"]),
        "camera": [rounded(T.ravel(), 6) for T in T_camera_hand],
        "photos": [
            {
                "chunk": arrays.picture(photo),
                "intrinsics": rounded(np.array(poses["intrinsics_crop"][k]) * photo.shape[0] / size, 3),
                "size": photo.shape[0],
            }
            for k, photo in zip(shown, photos, strict=True)
        ]
        if photos
        else None,
        "facts": [*_about_clip(index, held), *facts(index["metrics"])],
        "notes": notes,
    }
    told = f"{count} frames" if step == 1 else f"{len(shown)} of {count} frames"
    return Page(
        "reconstruction",
        index["clip"],
        (f"“{index['text']}” · " if index["text"] else "") + told,
        arrays,
        [item],
        modes=(*MODES, "seen") if seen else MODES,
        about=made_from(index["config"], index["versions"], index["timings"]),
        more={"fps": index["fps"] / step, "photoFirst": bool(photos)},
    )


def _about_clip(index: dict[str, Any], held: trimesh.Trimesh) -> list[tuple[str, str, str]]:
    sides = " × ".join(f"{CM_PER_M * side:.1f}" for side in sorted(held.bounding_box_oriented.primitive.extents)[::-1])
    about = [("hand", index["side"], f"model: {index['hand']}"), ("object", f"{sides} cm", "its smallest box")]
    trust = index.get("trust")  # results of earlier versions, and of a given shape, have none
    return about if trust is None else [("trust", f"{trust:.2f}: {index['trust_word']}", TRUST_WHY), *about]


def _object(folder: Path) -> tuple[trimesh.Trimesh, Float[np.ndarray, " v"] | None]:
    """The object, simple enough for a page, and how far frames show each of its vertices, if the results say so."""
    scene = trimesh.load_scene(folder / "object.glb", process=False)
    (whole,) = scene.geometry.values()
    mesh = simplify(trimesh.Trimesh(whole.vertices, whole.faces, process=False), MAX_OBJECT_FACES)
    known = whole.vertex_attributes.get(f"_{CONFIDENCE}")
    if known is None:
        return mesh, None
    _, nearest = cKDTree(whole.vertices).query(mesh.vertices)
    return mesh, np.asarray(known, dtype=float).reshape(-1)[nearest]


def _to_object(T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Points of the hand frame in the object's."""
    return (points - T[:3, 3]) @ T[:3, :3]


def _photos(folder: Path, count: int, step: int) -> Sequence[UInt8[np.ndarray, "s s 3"]]:
    """The crops that were fitted, from the left half of the video; none where it cannot be read."""
    try:
        frames = [frame for k, frame in enumerate(read_video(folder / VIDEO, even=False)) if k % step == 0]
    except HopriorError:
        return []
    return [frame[:, : frame.shape[0]] for frame in frames] if len(frames) == len(range(0, count, step)) else []
