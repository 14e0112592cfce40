"""A picture of a dataset's samples as they were read: hand and object, and the joints in the photo if it is there."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from hoprior.datasets.recordings.record import RecordedSample
from hoprior.errors import HopriorError
from hoprior.geometry.repair import simplify
from hoprior.geometry.state import transform_points
from hoprior.hand import fit_joints
from hoprior.metrics.hand_validity import BONE_PARENTS
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN, SceneMesh
from hoprior.rendering.sheet import MAX_FACES, Cell, draw_sheet

logger = logging.getLogger(__name__)

MAX_CELLS = 12
PHOTO_WIDTH = 320
BONE_COLOUR = (255, 80, 40)


def sheet_of(title: str, samples: Sequence[RecordedSample]) -> Image.Image:
    """Up to `MAX_CELLS` samples, from different objects where there are as many; photos below, where there are any."""
    chosen = _varied(samples)
    drawn = draw_sheet(title, f"{len(chosen)} of the samples that were measured", [_cell(s) for s in chosen])
    photos = [photo for sample in chosen if (photo := _photo(sample)) is not None]
    return _stacked(drawn, photos) if photos else drawn


def _varied(samples: Sequence[RecordedSample]) -> list[RecordedSample]:
    """One of each object in turn, from the middle of what there is of it."""
    mine: dict[str, list[RecordedSample]] = {}
    for sample in samples:
        mine.setdefault(sample.category, []).append(sample)
    queues = [items[len(items) // 2 :] + items[: len(items) // 2] for items in mine.values()]
    turns = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)][:MAX_CELLS]


def hand_mesh(sample: RecordedSample) -> tuple[Float[Tensor, "v 3"], np.ndarray, str]:
    """Vertices in the scene, faces and the model's name: MANO by the file's parameters, else the open hand, fitted."""
    pose = sample.pose
    if pose is not None and sample.reading is not None:
        hand = sample.hands.mano(sample.side, sample.reading.v_template)
        verts = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).verts[0]
        return pose.transl[0] + sample.reading.scale * (verts - pose.transl[0]), hand.faces.numpy(), "MANO"
    open_hand = sample.hands.open(sample.side)
    fit = fit_joints(open_hand, sample.joints[None], fit_betas=True).pose
    verts = open_hand(fit.hand_pose, fit.betas, fit.global_orient, fit.transl).verts[0]
    return verts, open_hand.faces.numpy(), "open hand"


def _cell(sample: RecordedSample) -> Cell:
    verts, faces, model = hand_mesh(sample)
    T = sample.T_object_scene
    meshes: list[SceneMesh] = [(transform_points(T, verts).numpy(), faces, SKIN)]
    remark = f"{sample.category or 'no object'}, {sample.side}, {model}"
    if sample.object is not None:
        try:
            surface = simplify(sample.object.surface(), MAX_FACES)
            meshes.append((surface.vertices, surface.faces, OBJECT_GREY))
        except HopriorError:
            remark += ", no mesh"
    key = sample.key if len(sample.key) < 34 else f"…{sample.key[-33:]}"
    return Cell(meshes, sample.T_object_hand.double().numpy()[:3, :3], sample.side, key, remark)


def _photo(sample: RecordedSample) -> Image.Image | None:
    """The frame's picture with the projected bones; None where there is no picture or no camera."""
    if sample.camera is None or "image" not in sample.images or not sample.images["image"].exists():
        return None
    try:
        picture = Image.fromarray(sample.image())
    except HopriorError as error:
        logger.warning("%s: shown without its picture: %s", sample.key, error)
        return None
    pixels = sample.camera.project(sample.joints)
    if not torch.isfinite(pixels).all():
        return None
    draw = ImageDraw.Draw(picture)
    width = max(2, picture.width // 200)
    for joint, parent in enumerate(BONE_PARENTS, start=1):
        draw.line([*pixels[joint].tolist(), *pixels[parent].tolist()], BONE_COLOUR, width)
    return picture.resize((PHOTO_WIDTH, round(picture.height * PHOTO_WIDTH / picture.width)))


def _stacked(sheet: Image.Image, photos: Sequence[Image.Image]) -> Image.Image:
    columns = max(1, sheet.width // PHOTO_WIDTH)
    height = max(photo.height for photo in photos)
    rows = -(-len(photos) // columns)
    whole = Image.new("RGB", (sheet.width, sheet.height + rows * height), (255, 255, 255))
    whole.paste(sheet, (0, 0))
    for i, photo in enumerate(photos):
        whole.paste(photo, (i % columns * PHOTO_WIDTH, sheet.height + i // columns * height))
    return whole
