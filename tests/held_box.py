"""A box in a hand, how it is filmed, and a fit of such a clip that takes seconds."""

from pathlib import Path

import torch
import trimesh

from hoprior.datasets.clips.film import FilmConfig, film
from hoprior.datasets.clips.scene import ClipScene
from hoprior.geometry.state import rigid
from hoprior.geometry.transforms import rotate_about
from hoprior.hand import load_hand
from hoprior.tasks.reconstruct.config import FitConfig

HAND = load_hand()
FRAMES = 5
QUICK = FitConfig(
    hand_steps=12,
    steps=20,
    frames=3,
    rays=64,
    samples=24,
    resolution=24,
    hand_size=40,
    rounds=2,
    register_steps=10,
    stand_ins=False,
)
QUICK_OPTIONS = ("--config.hand-steps=2", "--config.steps=2", "--config.resolution=24", "--config.frames=2")
QUICK_OPTIONS += ("--config.rounds=1", "--config.register-steps=10")
"""A fit that only has to come to its end, by the command."""
FILM = FilmConfig(size=128, camera_motion=4.0)


def held_box(frames: int = FRAMES) -> ClipScene:
    """A box in the fingers of a relaxed hand, turning by a right angle."""
    turn = torch.zeros(frames, 3)
    turn[:, 2] = torch.linspace(-0.8, 0.8, frames)
    T_hand_object = rigid(torch.eye(3), torch.tensor([0.10, 0.0, 0.045]))
    return ClipScene(
        name="box",
        text="a hand holding a box",
        mesh=trimesh.creation.box((0.06, 0.05, 0.12)),
        T_world_object=rotate_about(torch.zeros(3), turn, torch.zeros(frames, 3)),
        T_object_hand=torch.linalg.inv(T_hand_object).expand(frames, 4, 4).clone(),
        angles=HAND.relaxed_angles.expand(frames, 15, 3).clone(),
        betas=torch.zeros(10),
    )


def film_box(place: Path) -> Path:
    """Films it into a new folder, which is given back."""
    place.mkdir()
    film(held_box(), HAND, place, FILM)
    return place
