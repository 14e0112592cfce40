"""A folder with what pages take as given: meshes, photos, recordings, results; each made when first asked for."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from language.test_describe_endpoint import Model
from mug_grasp import mug_grasp
from open_layouts import LAYOUTS
from PIL import Image
from recording_scenes import make_scene
from robot_hands import three_fingers
from shown_commands import MORE, RENAMED, ROOT, SMALLER, Shown

from hoprior.cli import main
from hoprior.cli.commands import words_of
from hoprior.datasets.recordings.hands import Hands
from hoprior.hand import load_hand
from hoprior.vision.video import write_video


class Speaker(Model):
    """Says the grasp that it is told."""

    def right_answer(self, request: dict[str, Any]) -> str:
        told = "medium wrap" in json.dumps(request)
        return super().right_answer(request).replace("palmar pinch", "medium wrap" if told else "palmar pinch")


class Workshop:
    """A folder with what pages take as given, each made when a command first asks for it."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model, self.made = folder, model, set[str]()

    def small(self, shown: Shown) -> list[str]:
        line = shown.line
        for pattern, instead in (*RENAMED, *SMALLER):
            line = re.sub(pattern, instead, line)
        line = re.sub(r"http://localhost:\d+/v1", self.model.url, line)
        argv = Shown(shown.page, line).argv
        if argv[0] != "hoprior":
            return argv
        words = " ".join(words_of(argv[1:])) if argv[1] != "help" else ""
        more = shlex.split(MORE.get(words, ""))
        for option in [word for word in more if word.startswith("--") and word in argv and "trainer" in word]:
            k = more.index(option)
            del more[k : k + 2]
        return argv + (more if "--help" not in argv and "--print_config" not in argv else [])

    def needs(self, line: str) -> None:
        for pattern, make in NEEDED:
            if re.search(pattern, line) and make.__name__ not in self.made:
                self.made.add(make.__name__)
                make(self)


def meshes(shop: Workshop) -> None:
    mug = ROOT / "hoprior" / "assets" / "meshes" / "mug.obj"
    (shop.folder / "demo").mkdir(exist_ok=True)
    (shop.folder / "meshes").mkdir()
    for name in ("demo/mug.obj", "mug.obj", "meshes/mug.obj"):
        shutil.copyfile(mug, shop.folder / name)
    trimesh.creation.cylinder(0.4, 2.0).export(shop.folder / "bottle.obj")
    trimesh.creation.cylinder(0.03, 0.12).export(shop.folder / "meshes" / "can.obj")


def grasps(shop: Workshop) -> None:
    for name in ("mug_grasps", "mine_grasps"):
        if not (shop.folder / "out" / name).exists():
            mug_grasp().save(shop.folder / "out" / name)


def demo(shop: Workshop) -> None:
    assert main(["demo", "--no-grasps", "--frames", "6"]) == 0
    photos = sorted((shop.folder / "demo" / "clip" / "image").iterdir())
    write_video(shop.folder / "clip.mp4", [np.asarray(Image.open(photo).convert("RGB")) for photo in photos], 10.0)
    shutil.copytree(shop.folder / "demo" / "clip", shop.folder / "clips" / "mug")
    (shop.folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        Image.open(photos[0]).convert("RGB").save(shop.folder / name)
    (shop.folder / "pose.json").write_text(
        '{"T_camera_object": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1]]}'
    )


def procedural(shop: Workshop) -> None:
    if not (shop.folder / "cache" / "index.json").exists():
        assert main(["data", "prepare", "--out", "cache", "--procedural", "3", "--background", "2"]) == 0


def robot(shop: Workshop) -> None:
    three_fingers(shop.folder / "robot").rename(shop.folder / "hand.urdf")
    (shop.folder / "fingers.yaml").write_text("thumb: thumb_tip\nindex: index_tip\nmiddle: middle_tip\n")


def clip(shop: Workshop) -> None:
    if not (shop.folder / "out" / "clip_reconstruction").exists():
        argv = ["run", "reconstruct", "--clip", "demo/clip", "--text", "a mug", "--fast", "--minutes", "0.3"]
        assert main(argv) == 0


def picture(shop: Workshop) -> None:
    if not (shop.folder / "photo.jpg").exists():
        Image.new("RGB", (640, 480), (120, 110, 100)).save(shop.folder / "photo.jpg")


def cans(shop: Workshop) -> None:
    """The folder of docs/train_your_own.md, three cans; and what is prepared of it."""
    (shop.folder / "mine" / "objects").mkdir(parents=True)
    (shop.folder / "mine" / "grasps").mkdir()
    hand = load_hand()
    joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))[0]
    for number in range(3):
        radius = 0.025 + 0.005 * number
        lying = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
        trimesh.creation.cylinder(radius, 0.12, transform=lying).export(shop.folder / f"mine/objects/can{number}.ply")
        places = torch.stack([torch.tensor([-0.09, 0.01 * k - 0.03, -radius - 0.012]) for k in range(8)])
        np.savez(
            shop.folder / f"mine/grasps/can{number}.npz",
            joints_object=(joints + places[:, None]).numpy(),
            text=np.array(["a hand holding a can"] * 8),
            category=np.array(["can"] * 8),
            sequence=np.array([f"s{k}" for k in range(8)]),
            split=np.array(["train" if number else "val"] * 8),
        )


def prepared(shop: Workshop) -> None:
    assert main(["data", "prepare", "folder", "mine", "--out", "shards/cans", "--background", "2"]) == 0


def recordings(shop: Workshop) -> None:
    hands = Hands(shop.folder / "mano")
    for name, place in (("dexycb", "ROOT"), ("dexycb", "path/to/dexycb"), ("myodm", "path/to/myodm")):
        root = shop.folder / place
        root.mkdir(parents=True)
        LAYOUTS[name].write(root, make_scene(hands, **(LAYOUTS[name].scene or {})))


def synthesized(shop: Workshop) -> None:
    assert main(["data", "synthesize", "--out", "set", "--num", "4"]) == 0


NEEDED: tuple[tuple[str, Callable[[Workshop], None]], ...] = (
    (r"mug|bottle|meshes", meshes),
    (r"mug_grasps|mine_grasps|view |FOLDER \.\.\.|DIR\.\.\.", grasps),
    (r"demo/(clip|hand|photo)|clip\.mp4|photos|\bclips\b|run refine --image|eval reconstruct", demo),
    (r"eval reconstruct", clip),
    (r"hand\.urdf", robot),
    (r"GraspDataModule", procedural),
    (r"photo\.jpg", picture),
    (r"\bmine\b|--cache|data\.cache|mine --cache", cans),
    (r"--cache|data\.cache|mine --cache", prepared),
    (r"ROOT|myodm|dexycb", recordings),
    (r"synthetic|stats set|preview set", synthesized),
)
"""What a command reads, by how it is written."""
