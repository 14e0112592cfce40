"""Pictures of meshes, drawn in software: arrays in, pictures out."""

from hoprior.rendering.rasterizer import BACKGROUND, OBJECT_GREY, SKIN, Camera, look_along, render_scene

__all__ = ["BACKGROUND", "OBJECT_GREY", "SKIN", "Camera", "look_along", "render_scene"]
