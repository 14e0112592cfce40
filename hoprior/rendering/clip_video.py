"""Pictures of a reconstruction: over the clip's own frames, and from sides that the camera did not see."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8
from PIL import Image

from hoprior.rendering.pinhole import render_through, visible_faces
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN, look_along, render_scene

SIZE = 320
OPACITY = 0.75
NOVEL_TURNS = (90.0, 180.0)
"""Degrees about the camera's vertical from where the clip was filmed."""


@runtime_checkable
class DrawnClip(Protocol):
    """What is drawn of n frames: the crops, and hand and object in 3D (m)."""

    @property
    def image(self) -> UInt8[np.ndarray, "n h w 3"]: ...
    @property
    def intrinsics(self) -> Float[np.ndarray, "n 3 3"]: ...
    @property
    def faces(self) -> Int[np.ndarray, "f 3"]: ...
    @property
    def verts_hand(self) -> Float[np.ndarray, "n v 3"]: ...
    @property
    def T_camera_hand(self) -> Float[np.ndarray, "n 4 4"]: ...
    @property
    def T_hand_object(self) -> Float[np.ndarray, "n 4 4"]: ...
    @property
    def object_mesh(self) -> trimesh.Trimesh: ...
    def __len__(self) -> int: ...


def overlay_frames(result: DrawnClip) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Each crop beside itself with the reconstruction drawn over it."""
    scale = SIZE / result.image.shape[1]
    for i in range(len(result)):
        picture = np.asarray(Image.fromarray(result.image[i]).resize((SIZE, SIZE)))
        meshes, intrinsics = _in_camera(result, i), result.intrinsics[i] * scale
        drawn = render_through(meshes, intrinsics, (SIZE, SIZE), np.array([1.0, 1.0, 1.0]))
        hand, held = meshes
        verts = np.concatenate([hand[0], held[0]])
        faces = np.concatenate([hand[1], held[1] + len(hand[0])])
        covered = visible_faces(verts, faces, intrinsics, (SIZE, SIZE)) >= 0
        blended = np.where(covered[..., None], OPACITY * drawn + (1 - OPACITY) * picture, picture)
        yield np.concatenate([picture, blended.astype(np.uint8)], axis=1)


def novel_frames(result: DrawnClip) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Each frame from two other sides, and the object alone, turning once over the clip."""
    for i in range(len(result)):
        meshes = _in_camera(result, i)
        views = [_turned(meshes, turn) for turn in NOVEL_TURNS]
        views.append(_turned(meshes[1:], 360.0 * i / max(len(result), 1)))
        yield np.concatenate(views, axis=1)


def _in_camera(result: DrawnClip, i: int) -> list[tuple[np.ndarray, np.ndarray, tuple[float, float, float]]]:
    """Hand and object of a frame in the camera's frame."""
    T_hand, T_object = result.T_camera_hand[i], result.T_camera_hand[i] @ result.T_hand_object[i]
    hand = result.verts_hand[i] @ T_hand[:3, :3].T + T_hand[:3, 3]
    held = np.asarray(result.object_mesh.vertices) @ T_object[:3, :3].T + T_object[:3, 3]
    return [(hand, result.faces, SKIN), (held, np.asarray(result.object_mesh.faces), OBJECT_GREY)]


def _turned(meshes: list, degrees: float) -> UInt8[np.ndarray, "h w 3"]:
    angle = np.radians(degrees)
    direction = (np.sin(angle), 0.15, np.cos(angle))
    points = np.concatenate([mesh[0] for mesh in meshes])
    return render_scene(meshes, (SIZE, SIZE), camera=look_along(points, direction, up=(0.0, -1.0, 0.0)))
