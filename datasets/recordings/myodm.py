"""MyoDM in its prepared form (`hoprior.datasets.myodm.source`): joints of recorded manipulation of 50 objects."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.datasets.myodm.source import LICENCE, display_name, verb_of
from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import read_npz
from hoprior.datasets.recordings.hands import vector
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.geometry.rotations import quat_wxyz_to_xyzw, unitquat_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence


class MyoDMRecordings(Adapter):
    """MyoDM, every frame with its object's pose in the world; approaches to the object too."""

    name = "myodm"
    title = "MyoDM"
    homepage = "https://github.com/vikashplus/robohive"
    licence = LICENCE
    layout = "grasps.npz (joints_object, object_pose, sequence, frame, sequence_names), objects/*.ply"
    markers = ("grasps.npz", "objects")

    @cached_property
    def _content(self) -> dict[str, Any]:
        return read_npz(self.path("grasps.npz"))

    def scan(self) -> Iterator[Entry]:
        """Every row."""
        names = [str(name) for name in self._content["sequence_names"]]
        for row, sequence in enumerate(self._content["sequence"]):
            name = names[int(sequence)]
            yield Entry(name, str(row), name.split("_")[0])

    def mesh_path(self, name: str) -> Path:
        """The object's mesh."""
        return self.path("objects", f"{name}.ply")

    def info(self, name: str, word: str | None = None) -> ObjectInfo:
        """Sizes of the geometric solids stay in their category's name."""
        category = display_name(name)
        return ObjectInfo(name, category, self.name, self.licence, str(self.mesh_path(name)), sentence(category))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The file of all frames."""
        yield self.path("grasps.npz")

    def read(self, entry: Entry) -> RecordedSample:
        """One frame."""
        row, content = int(entry.item), self._content
        place = vector(content["object_pose"][row], 7, "object_pose")
        rotation = unitquat_to_rotmat(quat_wxyz_to_xyzw(place[3:] / place[3:].norm()))
        T_scene_object = rigid(rotation, place[:3])
        joints = vector(content["joints_object"][row], 63, "joints_object").view(21, 3)
        thing, verb = self.object(entry.object), verb_of(entry.group)
        return RecordedSample(
            **self.origin(entry, int(np.asarray(content["frame"])[row])),
            joints_given=transform_points(T_scene_object, joints),
            object=thing,
            T_scene_object=T_scene_object,
            label=GraspLabel(intention=verb),
            text=sentence(thing.info.category, verb),
            up_scene=torch.tensor([0.0, 0.0, 1.0]),
        )
