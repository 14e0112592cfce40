"""Pictures of hands and objects, drawn in software."""

from hoprior.rendering.rasterizer import BACKGROUND, OBJECT_GREY, SKIN, Camera, look_along, render_scene
from hoprior.results.sheets import contact_sheet, pose_sheet, sample_sheet

__all__ = [
    "BACKGROUND",
    "OBJECT_GREY",
    "SKIN",
    "Camera",
    "contact_sheet",
    "look_along",
    "pose_sheet",
    "render_scene",
    "sample_sheet",
]
