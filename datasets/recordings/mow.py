"""MOW (Cao et al., RHOI, ICCV 2021): 512 photos from the wild, a hand and an object fitted to each.

`poses.json` lists MANO's 48 parameters around the mean pose and `trans`, then a similarity for hand and for object, of
row vectors: s (v R + t), in a camera of focal length 1. Sizes are in units of their own; here everything is divided by
the hand's `hand_s`, so that the hand has MANO's size.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hoprior.common.reading import read_json
from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import find, is_file
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid

NORMALISED_SCALE = 8.0
"""`results/{id}/{id}_norm.obj` is one eighth of the size of the models that the poses were made for."""


class MOW(Adapter):
    """MOW; it has no official split."""

    name = "mow"
    title = "MOW"
    homepage = "https://zhec.github.io/rhoi"
    licence = "no licence stated: ask the authors"
    layout = "poses.json, results/{id}/{id}{.jpg,_mask.png,_norm.obj} or models/{id}.obj and images/{id}.jpg"
    markers = ("poses.json",)
    needs_mano = True
    grasps_only = True

    @cached_property
    def _poses(self) -> dict[str, dict[str, Any]]:
        listed = read_json(self.path("poses.json"))
        if not isinstance(listed, list):
            raise HopriorError(f"{self.path('poses.json')}: holds no list of poses: get a fresh copy")
        return {str(pose.get("image_id", i)): pose for i, pose in enumerate(listed) if isinstance(pose, dict)}

    def scan(self) -> Iterator[Entry]:
        """Every pose of the list."""
        for name in self._poses:
            yield Entry("poses", name, name)

    def mesh_path(self, name: str) -> Path:
        """The model of a photo's object."""
        plain = self.path("models", f"{name}.obj")
        return plain if is_file(plain) else self.path("results", name, f"{name}_norm.obj")

    def make_object(self, name: str) -> RecordedObject:
        """In the hand's metres. Models of the first release are centred at their vertices and mirrored in y."""
        pose = self._poses[name]
        size = float(vector(pose["s"], 1, "s")) / float(vector(pose["hand_s"], 1, "hand_s"))
        word = str(pose.get("obj_name", name)).rstrip("0123456789").rstrip("_")
        first = self.mesh_path(name).parent.name.casefold() == "models"
        factors = [size, -size, size] if first else [NORMALISED_SCALE * size] * 3
        return RecordedObject(
            self.info(name, word), torch.diag(torch.tensor([*factors, 1.0])), "mean" if first else "none"
        )

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The list of all poses."""
        yield self.path("poses.json")

    def read(self, entry: Entry) -> RecordedSample:
        """One photo."""
        pose = self._poses[entry.item]
        hand_size, size = (float(vector(pose[name], 1, name)) for name in ("hand_s", "s"))
        if hand_size <= 0 or size <= 0:
            raise HopriorError("'s' and 'hand_s' must be positive")
        numbers = vector(pose["hand_pose"], 48, "hand_pose")
        hand_rotation = vector(pose["hand_R"], 9, "hand_R").view(3, 3)
        rotation = vector(pose["R"], 9, "R").view(3, 3)
        thing = self.object(entry.item)
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject="",
            sequence=entry.item,
            frame=0,
            split="train",
            reading=ManoReading(
                "right",
                numbers[:3],
                numbers[3:],
                torch.zeros(10),
                vector(pose["trans"], 3, "trans"),
                flat_hand_mean=False,
                # Row vectors: the file's rotation is the transpose of the one here.
                T_scene_file=rigid(hand_rotation.mT, vector(pose["hand_t"], 3, "hand_t")),
            ),
            object=thing,
            T_scene_object=rigid(rotation.mT, vector(pose["t"], 3, "t") * (size / hand_size)),
            images=self._images(entry.item),
            text=thing.info.text,
            in_contact=True,
        )

    def _images(self, name: str) -> dict[str, ImageFile]:
        plain = find(self.root, "images", f"{name}.jpg")
        folder = self.path("results", name)
        return {
            "image": ImageFile(plain if is_file(plain) else folder / f"{name}.jpg"),
            "object_mask": ImageFile(folder / f"{name}_mask.png", "mask"),
        }
