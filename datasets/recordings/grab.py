"""GRAB (Taheri et al., ECCV 2020): ten people, whole bodies with both hands, 51 objects, 120 frames a second.

`grab/s*/{object}_{action}_{n}.npz` has arrays of objects. Hands are MANO with a personal template and no betas, from
the flat hand; an object's vertices are rows, so its published rotation is the transpose of the usual one.
"""

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, read_npz, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import SIDES, Entry
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import read_surface
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence

TEST_OBJECTS = ("mug", "wineglass", "camera", "binoculars", "fryingpan", "toothpaste")
VAL_OBJECTS = ("apple", "toothbrush", "elephant", "hand")
HAND_PARTS: dict[Side, tuple[int, ...]] = {"left": (21, *range(26, 41)), "right": (22, *range(41, 56))}
"""Numbers of the body's parts in the contact labels."""
STEP = 4
"""Every so many frames: 30 a second."""


class GRAB(Adapter):
    """GRAB, every fourth frame, each hand a sample where it touches the object; split by object, as GrabNet's."""

    name = "grab"
    title = "GRAB"
    homepage = "https://grab.is.tue.mpg.de"
    licence = "GRAB: non-commercial research"
    layout = "grab/s1..s10/*.npz, tools/object_meshes, tools/subject_meshes"
    markers = ("grab/s*", "tools")
    protocols = ("objects",)
    needs_mano = True
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Every fourth frame of every sequence, for both hands; a sequence's length is read from its file."""
        base = self.path("grab")
        for subject in subfolders(base):
            for stem in stems(base / subject, ".npz"):
                try:
                    frames = _num_frames(base / subject / f"{stem}.npz")
                except (HopriorError, KeyError, TypeError, ValueError):
                    # A sequence that cannot be read stands there once, to be named when it is opened.
                    frames = 1
                for side in SIDES:
                    for frame in range(0, frames, STEP):
                        yield Entry(f"{subject}/{stem}", str(frame), stem.split("_")[0], subject, side)

    def split_of(self, entry: Entry) -> Split:
        """By object."""
        return "test" if entry.object in TEST_OBJECTS else "val" if entry.object in VAL_OBJECTS else "train"

    def mesh_path(self, name: str) -> Path:
        """The scanned object."""
        return self.path("tools", "object_meshes", "contact_meshes", f"{name}.ply")

    @cached_property
    def _sequence(self):  # type: ignore[no-untyped-def]  # frames follow each other, so the last sequences are kept
        return lru_cache(maxsize=4)(read_npz)

    @cached_property
    def _template(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=32)(self._read_template)

    def _read_template(self, path: str) -> torch.Tensor:
        verts = read_surface(find(self.root, *Path(path).parts)).vertices
        return vector(verts, 778 * 3, "vtemp").view(778, 3)

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The sequence's, and the persons' templates."""
        yield self.path("grab") / f"{entry.group}.npz"
        yield from self._templates

    @cached_property
    def _templates(self) -> list[Path]:
        return sorted(self.path("tools", "subject_meshes").rglob("*.ply"))

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one frame."""
        content = self._sequence(self.path("grab") / f"{entry.group}.npz")
        number = int(entry.item)
        contact = np.asarray(content["contact"]["object"][number])
        if not np.isin(contact, HAND_PARTS[entry.side]).any():
            raise FrameSkipped("the hand does not touch the object")
        hand = content["rhand" if entry.side == "right" else "lhand"]
        thing, place = self.object(entry.object), content["object"]["params"]
        rotation = rotvec_to_rotmat(vector(place["global_orient"][number], 3, "global_orient"))
        action = re.sub(r"_\d+$", "", entry.group.split("/")[1].split("_", 1)[1])
        return RecordedSample(
            **self.origin(entry, number),
            reading=self._reading(entry.side, hand, number),
            object=thing,
            T_scene_object=rigid(rotation.mT, vector(place["transl"][number], 3, "transl")),
            label=GraspLabel(intention=action),
            text=sentence(thing.info.category, action),
            up_scene=torch.tensor([0.0, 0.0, 1.0]),
            in_contact=True,
        )

    def _reading(self, side: Side, hand: dict[str, Any], number: int) -> ManoReading:
        params, template = hand["params"], hand["vtemp"]
        known = isinstance(template, np.ndarray) and template.size == 778 * 3
        verts = vector(template, 778 * 3, "vtemp").view(778, 3) if known else self._template(str(template))
        full = params.get("fullpose")
        fingers = (
            vector(full[number], 45, "fullpose")
            if full is not None
            else torch.from_numpy(np.asarray(params["hand_pose"][number], dtype=np.float32))
        )
        return ManoReading(
            side,
            vector(params["global_orient"][number], 3, "global_orient"),
            fingers,
            torch.zeros(10),
            vector(params["transl"][number], 3, "transl"),
            is_pca=full is None,
            v_template=verts,
        )


def _num_frames(path: Path) -> int:
    content = read_npz(path)
    if "n_frames" in content:
        return int(content["n_frames"])
    return len(content["object"]["params"]["transl"])
