"""Hand and object of a result as the parts that a page draws."""

from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.rendering.sheet import FINGERS_UP, VIEWS
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.contacts import GAP_UNIT, gaps_mm, gaps_to_hand_mm

HAND_VIEWS = ("back of the hand", "fingers")
MODES = ("plain", "contact", "depth")


def held_parts(
    arrays: PageArrays, verts: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], held: trimesh.Trimesh
) -> list[dict[str, Any]]:
    """A hand and the object that it holds, in one frame (m), with what they touch."""
    hand_gap, object_gap = gaps_mm(verts, held), gaps_to_hand_mm(np.asarray(held.vertices), verts, faces)
    hand = {"role": "hand", "mesh": arrays.mesh(verts, faces), "channels": {"gap": arrays.channel(hand_gap, GAP_UNIT)}}
    return [
        hand,
        {
            "role": "object",
            "mesh": arrays.mesh(np.asarray(held.vertices, dtype=float), np.asarray(held.faces)),
            "channels": {"gap": arrays.channel(object_gap, GAP_UNIT)},
        },
    ]


def hand_views(rotation: Float[np.ndarray, "3 3"], side: str) -> list[dict[str, Any]]:
    """From where to look at a hand, as contact sheets do; `rotation` maps the hand's axes into the result's frame."""
    mirror = np.array([1.0, -1.0 if side == "left" else 1.0, 1.0])
    up = rounded(rotation @ np.asarray(FINGERS_UP))
    return [
        {"name": name, "along": rounded(rotation @ (mirror * np.asarray(view))), "up": up}
        for name, view in zip(HAND_VIEWS, VIEWS, strict=True)
    ]


def frame_views(up: str = "z") -> list[dict[str, Any]]:
    """From where to look at an object so that an axis of its file is up."""
    axis = "xyz".index(up)
    along = np.full(3, -0.45)
    along[axis], along[(axis + 1) % 3] = -0.4, -1.0
    return [{"name": f"{up} up", "along": rounded(along), "up": np.eye(3)[axis].tolist()}]
