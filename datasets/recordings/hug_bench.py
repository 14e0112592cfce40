"""HUG-Bench (Wu et al., arXiv 2606.17054): 90 objects with meshes and the hand of the person who took each ten times.

`hug_bench/{test,val}/{scene}/{object}/sim_assets/` has `visual.obj`, metres, and `properties.json`, whose
`world_position` is where its origin stands, unturned, in the scene's world (z up). `scenes/{scene}/aria_data.pkl` has
the recording: `frame_data`, a list of `index`, `T_world_device` and `mano_hand_tracking` by side, which has `landmarks`
(21, 3) in the device's frame and MANO. Where the object went once it was lifted nobody recorded, so only a hand at the
place where it stood is a sample.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, read_mapping, read_pickle, subfolders
from hoprior.datasets.recordings.hands import vector
from hoprior.datasets.recordings.index import SIDES, Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import reorder_joints

SPLITS: dict[str, Split] = {"test": "test", "val": "val"}
ASSETS = "sim_assets"
REACH = 0.2
"""Frames are listed in which the hand is so near (m) to the object's place."""


class HUGBench(Adapter):
    """HUG-Bench's human grasps. It is a benchmark: nothing of it is for training."""

    name = "hug_bench"
    title = "HUG-Bench"
    homepage = "https://grasping.io"
    licence = "CC BY 4.0"
    layout = (
        "hug_bench/{test,val}/{scene}/{object}/sim_assets/{visual.obj, properties.json}, scenes/{scene}/aria_data.pkl"
    )
    markers = ("hug_bench", "scenes")

    def scan(self) -> Iterator[Entry]:
        """Of every object, the frames of its scene in which a hand is near its place; the recordings are opened."""
        for name, (split, scene, thing) in self._places.items():
            group = f"{split}/{scene}/{thing}"
            try:
                entries = self._near(group, name)
            except (HopriorError, KeyError, TypeError, ValueError, AttributeError):
                # A scene that cannot be read stands there once, to be named when it is opened.
                entries = [Entry(group, "0", name)]
            yield from entries

    def _near(self, group: str, name: str) -> list[Entry]:
        _, scene, _ = group.split("/")
        place = self._standing(name)
        entries = []
        for frame, content in self._frames(scene).items():
            for side in SIDES:
                hand = _tracked(content, side)
                if hand is None:
                    continue
                distance = (_landmarks(content, hand) - place).norm(dim=1).min()
                if distance < REACH:
                    entries.append(Entry(group, str(frame), name, "", side))
        return entries

    @cached_property
    def _places(self) -> dict[str, tuple[str, str, str]]:
        """Split, scene and folder of each object; two of one name are told apart by their scene."""
        base, found = self.path("hug_bench"), {}
        for split in SPLITS:
            for scene in subfolders(find(base, split)):
                for thing in subfolders(find(base, split) / scene):
                    name = f"{thing}~{split}~{scene}" if thing in found else thing
                    found[name] = (split, scene, thing)
        return found

    def _assets(self, name: str) -> Path:
        split, scene, thing = self._places[name]
        return self.path("hug_bench", split, scene, thing, ASSETS)

    def _standing(self, name: str) -> torch.Tensor:
        """Where an object's origin stands in its scene's world."""
        return vector(read_mapping(find(self._assets(name), "properties.json"))["world_position"], 3, "world_position")

    @cached_property
    def _frames(self):  # type: ignore[no-untyped-def]  # objects of a scene follow each other
        return lru_cache(maxsize=2)(self._read_frames)

    def _read_frames(self, scene: str) -> dict[int, dict[str, Any]]:
        content = read_pickle(self.path("scenes", scene, "aria_data.pkl"))
        return {int(frame["index"]): frame for frame in content["frame_data"]}

    def split_of(self, entry: Entry) -> Split:
        """The folder's name."""
        return SPLITS[entry.group.split("/")[0]]

    def mesh_path(self, name: str) -> Path:
        """The mesh that is shown."""
        return find(self._assets(name), "visual.obj")

    def make_object(self, name: str) -> RecordedObject:
        """Called what its folder is called."""
        return RecordedObject(self.info(name, name.split("~")[0]))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The scene's recording and the object's place."""
        yield self.path("scenes", entry.group.split("/")[1], "aria_data.pkl")
        yield find(self._assets(entry.object), "properties.json")

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one frame, in the scene's world."""
        split, scene, _ = entry.group.split("/")
        place, thing = self._standing(entry.object), self.object(entry.object)
        frames = self._frames(scene)
        if int(entry.item) not in frames:
            raise HopriorError(f"scenes/{scene}/aria_data.pkl: has no frame {entry.item}")
        content = frames[int(entry.item)]
        hand = _tracked(content, entry.side)
        if hand is None:
            raise FrameSkipped("no such hand in the frame")
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=entry.side,
            hands=self.hands,
            subject="",
            sequence=f"{split}/{scene}",
            frame=int(entry.item),
            split=self.split_of(entry),
            joints_given=reorder_joints(_landmarks(content, hand), "openpose"),
            object=thing,
            T_scene_object=rigid(torch.eye(3), place),
            text=thing.info.text,
            up_scene=torch.tensor([0.0, 0.0, 1.0]),
        )


def _tracked(frame: dict[str, Any], side: str) -> dict[str, Any] | None:
    return (frame.get("mano_hand_tracking") or {}).get(side)


def _landmarks(frame: dict[str, Any], hand: dict[str, Any]) -> torch.Tensor:
    """The 21 landmarks in the world, in the file's order."""
    T = vector(frame["T_world_device"], 16, "T_world_device").view(4, 4)
    return transform_points(T, vector(np.asarray(hand["landmarks"]), 63, "landmarks").view(21, 3))
