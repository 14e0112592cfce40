"""What tells, without any truth, how good a reconstruction is: masks, outlines, hands, views, the surface itself."""

from dataclasses import dataclass, fields

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float

from hoprior.datasets.clips.clip import Clip
from hoprior.datasets.clips.truth import mask_overlaps
from hoprior.geometry.transforms import mirrored_in_picture
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.results.reconstructions import CONFIDENCE, Reconstruction
from hoprior.tasks.reconstruct.inflation import middle_view

WORST = 0.1
"""The share of frames that count as the worst ones."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a result without its truth. Lengths are in millimetres.

    Attributes:
        overlap: intersection over union of the drawn object and its mask, mean over the frames.
        worst_overlap: the same of the frame that a tenth of the frames are worse than.
        outline: by how much the surface passes the masks' outlines.
        miss: by how much the masks' rays miss what was carved after hands and object were brought to it, median frame.
        hands_moved: by how much the hands' middles moved from the estimates, median frame.
        slipped: 1 if the hands' motion contradicted the masks and the object was brought to them by itself, else 0.
        handles: holes through the surface, and parts beside the first.
        ruggedness: surface of what was carved, over that of a ball of its volume.
        seen: share of the surface that frames show.
        arc: widest angle (degrees) between two views of the object.
        frames: how many show both hand and object.
        guessed: 0 if the shape is what frames show, 1 if that of a thing of its kind, 2 if that of a plain solid.
    """

    overlap: float
    worst_overlap: float
    outline: float
    miss: float
    hands_moved: float
    slipped: float
    handles: float
    ruggedness: float
    seen: float
    arc: float
    frames: float
    guessed: float = 0.0

    @classmethod
    def of(
        cls,
        result: Reconstruction,
        clip: Clip,
        outline: float,
        miss: float,
        ruggedness: float,
        slipped: bool,
        guessed: float = 0.0,
    ) -> "Evidence":
        """Of a result and its clip; `outline` and `miss` are in metres, of the fit that made it."""
        overlaps = mask_overlaps(result, clip)
        shown = overlaps[np.isfinite(overlaps)]
        both = (clip.has_object & clip.has_hand).numpy()
        return cls(
            overlap=float(shown.mean()) if len(shown) else 0.0,
            worst_overlap=float(np.quantile(shown, WORST)) if len(shown) else 0.0,
            outline=1000 * outline,
            miss=1000 * miss,
            hands_moved=1000 * _hands_moved(result, clip),
            slipped=float(slipped),
            handles=float(handles(result.object_mesh)),
            ruggedness=ruggedness,
            seen=seen_share(result.object_mesh),
            arc=_arc(result, clip.has_object.numpy()),
            frames=float(both.sum()),
            guessed=guessed,
        )

    def plain(self) -> dict[str, float]:
        """Names and numbers."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def handles(mesh: trimesh.Trimesh) -> int:
    """How many holes go through a surface, and how many parts there are beside the first.

    A mug's handle is one; what is torn has many.

    Example:
        >>> handles(trimesh.creation.box()), handles(trimesh.creation.torus(2.0, 0.5))
        (0, 1)
    """
    parts = mesh.body_count
    return max(0, parts - mesh.euler_number // 2) + max(0, parts - 1)


def seen_share(mesh: trimesh.Trimesh) -> float:
    """The share of a surface that frames show, by the confidence of its vertices; 1 if it has none."""
    confidence = mesh.vertex_attributes.get(CONFIDENCE)
    if confidence is None:
        return 1.0
    of_faces = np.asarray(confidence, dtype=float)[mesh.faces].mean(axis=1)
    return float((of_faces * mesh.area_faces).sum() / max(mesh.area, 1e-12))


def _hands_moved(result: Reconstruction, clip: Clip) -> float:
    """By how much (m) the middle of the hand moved from its estimate, in the median of the frames that have one."""
    seen = clip.has_hand.numpy()
    if not seen.any():
        return 0.0
    before, after = clip.T_camera_hand.numpy()[seen], result.T_camera_hand[seen]
    if clip.side == "left":  # the clip has it in the mirror
        after = mirrored_in_picture(torch.from_numpy(after)).numpy()
    at = np.array([*HAND_CENTRE, 1.0])
    return float(np.median(np.linalg.norm((before @ at - after @ at)[:, :3], axis=1)))


def _arc(result: Reconstruction, shown: Bool[np.ndarray, " n"]) -> float:
    """The widest angle (degrees) between two frames' views of the object."""
    if not shown.any():
        return 0.0
    T_object_camera = np.linalg.inv(result.T_camera_hand @ result.T_hand_object)[shown]
    middle: Float[np.ndarray, " 3"] = result.object_mesh.bounds.mean(axis=0)
    return middle_view(torch.from_numpy(T_object_camera).float(), torch.from_numpy(middle).float())[1]
