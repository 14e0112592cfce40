"""What is known of recorded grasps, in the form that `hoprior describe --labels` reads, with where to look in a photo.

A model that sees the photo adds what the dataset does not say; what it says stands (docs/affordance.md).
"""

from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.recordings.record import Camera, RecordedSample
from hoprior.datasets.recordings.words import affordance_of
from hoprior.geometry.state import transform_points

AROUND_JOINTS = 0.02
"""Metres of flesh around the joints of a hand, about which its box is drawn."""


def label_of(sample: RecordedSample, mesh: trimesh.Trimesh) -> dict[str, Any]:
    """The elements of a grasp's affordance, and its photo with the boxes of hand and object, where there is one.

    Args:
        mesh: the object as it was recorded, metres, object frame.
    """
    label: dict[str, Any] = affordance_of(sample, mesh).known()
    image = sample.images.get("image")
    if image is None or image.kind != "colour" or not image.exists():
        return label
    label["image"] = str(image.path)
    if sample.camera is None:
        return label
    object_points = torch.from_numpy(np.asarray(mesh.vertices)).float()
    boxes = {
        "hand_box": _box(sample.camera, sample.joints, AROUND_JOINTS),
        "object_box": _box(sample.camera, transform_points(sample.T_scene_object, object_points), 0.0),
    }
    return label | {name: box for name, box in boxes.items() if box is not None}


def _box(camera: Camera, points: Float[Tensor, "n 3"], margin: float) -> list[float] | None:
    """Left, top, right, bottom in pixels around points and `margin` metres more; None where not all are in front."""
    depth = transform_points(camera.T_camera_scene, points)[:, 2]
    if not (depth > 0.01).all():
        return None
    pixels = camera.project(points)
    more = margin * float(camera.K[0, 0]) / float(depth.mean())
    low, high = pixels.min(dim=0).values - more, pixels.max(dim=0).values + more
    if camera.size is not None:
        end = torch.tensor(camera.size, dtype=low.dtype)
        low, high = torch.minimum(low.clamp(min=0), end), torch.minimum(high.clamp(min=0), end)
    if not (torch.isfinite(low).all() and torch.isfinite(high).all() and (low < high).all()):
        return None
    return [round(value, 1) for value in (*low.tolist(), *high.tolist())]
