"""The page of refined hands: before and after, on the photo and in 3D."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from scipy.spatial.transform import Rotation

from hoprior.errors import HopriorError
from hoprior.rendering.overlay import ROWS, first_panel, hand_window, square_of
from hoprior.results.refinements import FORMAT, HANDS, MM_PER_M
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.motions import motion_page
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import hand_views
from hoprior.results.report.reading import read_index, read_scene
from hoprior.vision.images import open_picture, read_photo

MAX_HANDS = 60
PHOTO_SIZE = 400
GL_TO_CAMERA = np.array([1.0, -1.0, -1.0])
CHANGE_UNIT = 0.2
"""Millimetres: of the steps in which changes are kept."""
PERCENT = 100.0
CAMERA_VIEW = {"name": "as the camera", "along": [0, 0, 1], "up": [0, -1, 0]}


def hands_page(folder: Path) -> Page:
    """The page of refined hands that lie in a folder, or of a hand that was followed through a video.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    index = read_index(folder, HANDS.index_name, FORMAT)
    if index.get("video"):
        return motion_page(folder, index)
    arrays, count = PageArrays(), len(index["hands"])
    photos = lru_cache(maxsize=1)(_photo)
    items = []
    for number, hand in enumerate(index["hands"][:MAX_HANDS]):
        scene = read_scene(folder / Path(hand["glb"]).name)
        verts, first = (np.asarray(scene[name].vertices) * GL_TO_CAMERA for name in ("refined", "first"))
        faces = np.asarray(scene["refined"].faces)
        change = MM_PER_M * np.linalg.norm(verts - first, axis=1)
        K = np.array(hand["K"], dtype=float)
        middle, side = hand_window(verts, first, K)
        photo = photos(hand["source"], tuple(hand["size"])) if hand["source"] else None
        seen = square_of(photo, middle, side, PHOTO_SIZE) if photo is not None else _kept_panel(folder, number)
        scale, (left, top) = seen.shape[0] / side, middle - side / 2
        intrinsics = [K[0, 0] * scale, K[1, 1] * scale, (K[0, 2] - left) * scale, (K[1, 2] - top) * scale]
        rotation = Rotation.from_rotvec(np.array(hand["global_orient"], dtype=float)).as_matrix()
        items.append(
            {
                "title": f"{number + 1}  {hand['name']}",
                "brief": _brief(hand),
                "parts": [
                    {
                        "role": "hand",
                        "mesh": arrays.mesh(verts, faces),
                        "channels": {"change": arrays.channel(change, CHANGE_UNIT)},
                    },
                    {"role": "first", "mesh": arrays.mesh(first, faces)},
                ],
                "joints": [rounded(hand["joints"])],
                "occluded": hand["occluded"],
                "views": [CAMERA_VIEW, *hand_views(rotation, hand["side"])],
                "camera": [np.eye(4).ravel().tolist()],
                "photos": [
                    {"chunk": arrays.picture(seen), "intrinsics": rounded(intrinsics, 3), "size": seen.shape[0]}
                ],
                "facts": _facts(hand, change),
                "notes": hand["notes"],
            }
        )
    shown = f"{count} hands" if count <= MAX_HANDS else f"{MAX_HANDS} of {count} hands"
    skipped = [("could not be used", "\n".join(f"{name}: {why}" for name, why in index["skipped"].items()))]
    return Page(
        "hands",
        "refined hands",
        shown,
        arrays,
        items,
        modes=("plain", "change"),
        about=[*(skipped if index["skipped"] else []), *made_from(*_making(index))],
        more={"photoFirst": True, "words": {"hand": "after", "first": "before"}, "hide": ["first"]},
    )


def _making(index: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return index["config"], index["versions"], index["timings"]


def _brief(hand: Mapping[str, Any]) -> str:
    hidden = sum(hand["occluded"])
    if not hidden:
        return f"{hand['side']} hand, nothing hidden"
    return f"{hand['side']} hand, {hidden} joints hidden, moved {hand['mean_change_mm']:.1f} mm"


def _facts(hand: Mapping[str, Any], change: np.ndarray) -> list[tuple[str, str, str]]:
    hidden = np.array(hand["occluded"], dtype=bool)
    told = [
        ("hand", hand["side"], f"model: {hand['hand']}"),
        (
            "joints hidden",
            f"{hidden.sum()} of {len(hidden)}",
            "the camera does not see them; they are drawn from a prior",
        ),
        ("mean change", f"{change.mean():.1f} mm", "of the skin, from the first estimate to the refined hand"),
        ("largest change", f"{change.max():.1f} mm", ""),
    ]
    if hidden.any():
        spread = np.array(hand["uncertainty_mm"], dtype=float)[hidden].mean()
        told.append(("uncertain by", f"{spread:.0f} mm", "hidden joints, between the poses that were drawn"))
    # Results of earlier versions do not say how sure they are.
    if hand.get("certainty") is not None:
        told.append(("sure", f"{PERCENT * hand['certainty']:.0f} %", "that this is a hand and its joints are right"))
    if hand["text"]:
        told.append(("text", hand["text"], ""))
    return told


def _photo(source: str, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"] | None:
    """The photo that a hand is in, if it still lies where it was and is the same size."""
    try:
        pixels = read_photo(source).pixels
    except HopriorError:
        return None
    return pixels if (pixels.shape[1], pixels.shape[0]) == size else None


def _kept_panel(folder: Path, number: int) -> UInt8[np.ndarray, "h w 3"]:
    """Where the photo is gone: the picture of it that the results keep, on which the joints are drawn."""
    name = HANDS.sheet_names(number // ROWS + 1)[-1]
    return first_panel(open_picture(folder / name), number % ROWS)
