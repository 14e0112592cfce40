"""Draws the frames of docs/conventions.md with hoprior's own hand, mug and renderer.

python tools/draw_frames.py docs/images/frames.png
"""

import sys
from importlib.resources import files

import numpy as np
import torch
from PIL import Image, ImageDraw

import hoprior
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.rendering.rasterizer import Camera, look_along, render_scene
from hoprior.rendering.sheet import font

SIZE = (1100, 620)
AXES = {"x": (200, 40, 40), "y": (30, 140, 50), "z": (40, 70, 210)}
VIEWER = np.array([-0.75, 0.6, -0.42])


def pixels(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Where points (n, 3) are in the picture (n, 2)."""
    seen = camera.to_view(points)
    half = min(SIZE) / 2
    return np.array([SIZE[0] / 2, SIZE[1] / 2]) + half * camera.focal * seen[:, :2] / seen[:, 2:] * [1, -1]


def arrow(
    draw: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int], word: str
) -> None:
    """A line with a head, and its name beyond it."""
    way = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    across = np.array([-way[1], way[0]])
    draw.line([*start, *end], fill=colour, width=5)
    draw.polygon([tuple(p) for p in (end + 16 * way, end + 8 * across, end - 8 * across)], fill=colour)
    draw.text(tuple(end + 30 * way), word, fill=colour, font=font(26), anchor="mm")


def main(out: str) -> None:
    """Draws hand, object and camera, each with its axes."""
    mug = hoprior.load_mesh(str(files("hoprior") / "assets" / "meshes" / "mug.obj")).mesh
    hand = hoprior.load_hand()
    pose = hand.angles_to_pose(0.4 * hand.relaxed_angles[None])
    skin = hand(pose)[0][0].numpy()
    turn = rotvec_to_rotmat(torch.tensor([0.0, -0.5 * torch.pi, 0.0])) @ rotvec_to_rotmat(
        torch.tensor([0.0, 0.0, 0.25 * torch.pi])
    )
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = turn.numpy(), [0.17, -0.02, -0.02]
    skin = skin @ T[:3, :3].T + T[:3, 3]
    lens = np.eye(4)  # of the camera that is drawn: x right, y down, z away from it
    lens[:3, :3] = np.stack([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], axis=1)
    lens[:3, 3] = [0.22, -0.24, 0.10]
    body = np.array([[-1, -0.7, 0], [1, -0.7, 0], [1, 0.7, 0], [-1, 0.7, 0]]) * 0.025 + [0, 0, 0.05]
    corners = body @ lens[:3, :3].T + lens[:3, 3]
    around = np.concatenate([mug.vertices, skin, corners, lens[None, :3, 3]])
    camera = look_along(around, VIEWER, np.array([0.0, 0.0, 1.0]))
    things = [
        (np.asarray(mug.vertices), np.asarray(mug.faces), np.array([0.55, 0.7, 0.85])),
        (skin, hand.faces.numpy(), np.array([0.9, 0.72, 0.6])),
    ]
    picture = Image.fromarray(render_scene(things, SIZE, camera=camera))
    draw = ImageDraw.Draw(picture)
    eye, *rim = pixels(camera, np.concatenate([lens[None, :3, 3], corners]))
    for k, corner in enumerate(rim):
        draw.line([*eye, *corner], fill=(90, 90, 90), width=3)
        draw.line([*corner, *rim[(k + 1) % 4]], fill=(90, 90, 90), width=3)
    for name, frame, length in (
        ("object frame", np.eye(4), 0.075),
        ("hand frame", T, 0.075),
        ("camera frame", lens, 0.06),
    ):
        ends = np.vstack([np.zeros(3), length * np.eye(3)]) @ frame[:3, :3].T + frame[:3, 3]
        origin, *tips = pixels(camera, ends)
        for (word, colour), tip in zip(AXES.items(), tips, strict=True):
            arrow(draw, origin, tip, colour, word)
        draw.ellipse([*(origin - 7), *(origin + 7)], fill=(20, 20, 20))
        draw.text((origin[0], origin[1] + 34), name, fill=(20, 20, 20), font=font(24), anchor="mm")
    picture.crop((220, 140, 880, 590)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(out, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
