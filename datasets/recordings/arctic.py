"""ARCTIC (Fan et al., CVPR 2023): two hands at objects of two parts that turn about a hinge, 30 frames a second.

`raw_seqs/{subject}/{object}_{use|grab}_{n}.mano.npy` has MANO of both hands (`rot`, `pose` 45 axis-angle from the mean
pose, `trans` metres, `shape`), `.object.npy` (T, 7): the hinge's angle, axis-angle, translation in millimetres.
`meta/object_vtemplates/{object}/{bottom,top}.obj` are in millimetres; the top is turned by minus the angle about z.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, read_npy, read_numbers, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import SIDES, Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Split
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import read_surface
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence

MILLIMETRE = 0.001
STEP = 5
"""Degrees between the angles of the hinge at which an object counts as another one."""
SPLITS: dict[str, Split] = {"s05": "val", "s03": "test"}
WORDS = {
    "capsulemachine": "coffee machine",
    "espressomachine": "coffee machine",
    "waffleiron": "waffle iron",
}
NOWHERE = 0.05
"""A wrist that is so near to the world's origin (m) is a placeholder."""


@dataclass(frozen=True)
class Hinged(RecordedObject):
    """An object of two parts at one angle of its hinge; its mesh's file is that of the bottom part."""

    degrees: float = 0.0

    def surface(self) -> trimesh.Trimesh:
        """Both parts, metres, object frame."""
        bottom, top = read_surface(self.path), read_surface(find(self.path.parent, "top.obj"))
        top.apply_transform(trimesh.transformations.rotation_matrix(-np.deg2rad(self.degrees), [0.0, 0.0, 1.0]))
        vertices = np.concatenate([bottom.vertices, top.vertices])
        faces = np.concatenate([bottom.faces, top.faces + len(bottom.vertices)])
        # As published in millimetres; some copies are in metres.
        scale = MILLIMETRE if np.ptp(vertices, axis=0).max() > 5 else 1.0
        return trimesh.Trimesh(vertices * scale, faces, process=False)


class ARCTIC(Adapter):
    """ARCTIC's own parameters of hands and objects; split by subject, as its first protocol."""

    name = "arctic"
    title = "ARCTIC"
    homepage = "https://arctic.is.tue.mpg.de"
    licence = "ARCTIC: non-commercial, no redistribution, no training for commercial use"
    layout = "raw_seqs/s01..s10/*.{mano,object}.npy, meta/object_vtemplates/{object}/{bottom,top}.obj"
    markers = ("raw_seqs", "meta")
    protocols = ("p1",)
    needs_mano = True

    def scan(self) -> Iterator[Entry]:
        """Every frame of both hands; the sequences' objects are opened for the hinge's angle."""
        base = self.path("raw_seqs")
        for subject in subfolders(base):
            for stem in stems(base / subject, ".object.npy"):
                group, thing = f"{subject}/{stem}", stem.split("_")[0]
                try:
                    angles = np.rad2deg(self._object(base / subject / f"{stem}.object.npy")[:, 0])
                except HopriorError:
                    # A sequence that cannot be read stands there once, to be named when it is opened.
                    angles = np.zeros(1)
                for side in SIDES:
                    for frame, angle in enumerate(angles):
                        name = f"{thing}@{STEP * round(float(angle) / STEP)}" if np.isfinite(angle) else thing
                        yield Entry(group, str(frame), name, subject, side)

    @cached_property
    def _object(self):  # type: ignore[no-untyped-def]  # frames follow each other, so the last sequences are kept
        return lru_cache(maxsize=4)(lambda path: read_numbers(path, 7))

    @cached_property
    def _hands(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=4)(read_npy)

    def split_of(self, entry: Entry) -> Split:
        """By subject."""
        return SPLITS.get(entry.subject.lower(), "train")

    def mesh_path(self, name: str) -> Path:
        """The bottom part of an object."""
        return self.path("meta", "object_vtemplates", name.split("@")[0], "bottom.obj")

    def make_object(self, name: str) -> RecordedObject:
        """An object at an angle of its hinge: NAME@DEGREES."""
        thing, _, degrees = name.partition("@")
        return Hinged(self.info(name, WORDS.get(thing, thing)), degrees=float(degrees or 0))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The sequence's."""
        base = self.path("raw_seqs")
        yield from (base / f"{entry.group}.{kind}.npy" for kind in ("mano", "object"))

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one frame, in the world."""
        hands_file, object_file = self.annotations(entry)
        number = int(entry.item)
        hand: dict[str, Any] = self._hands(hands_file)[entry.side]
        place = vector(self._object(object_file)[number], 7, "object")
        transl = vector(hand["trans"][number], 3, "trans")
        if transl.norm() < NOWHERE:
            raise FrameSkipped("the hand was not tracked")
        shapes = np.reshape(hand["shape"], (-1, 10))
        thing = self.object(entry.object)
        action = entry.group.split("/")[1].split("_")[1]
        intention = "use" if action == "use" else "hold"
        return RecordedSample(
            **self.origin(entry, number),
            reading=ManoReading(
                entry.side,
                vector(hand["rot"][number], 3, "rot"),
                vector(hand["pose"][number], 45, "pose"),
                vector(shapes[min(number, len(shapes) - 1)], 10, "shape"),
                transl,
                flat_hand_mean=False,
            ),
            object=thing,
            T_scene_object=rigid(rotvec_to_rotmat(place[1:4]), place[4:] * MILLIMETRE),
            label=GraspLabel(intention=intention),
            text=sentence(thing.info.category, intention),
        )
