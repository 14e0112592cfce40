"""A folder of one's own: meshes and grasps, in a form that a few lines of numpy write.

`objects/NAME.{ply,obj,stl,off,glb}` in metres, and `grasps/NAME.npz` with arrays over n grasps in the object's frame:
`joints_object` (n, 21, 3) in MANO's order, or MANO's `hand_pose` (n, 45) axis-angle from the flat hand, `global_orient`
(n, 3), `transl` (n, 3) as smplx takes them and perhaps `betas` (n, 10); optional `side` (n,) "right" or "left", `text`,
`category`, `subject`, `sequence` (n,), `split` (n,), `taxonomy` (n,).
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import listing, read_npz, stems
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import SPLITS, Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.language.labels import GraspLabel

MESH_SUFFIXES = (".ply", ".obj", ".stl", ".off", ".glb")
NUMBERS = ("joints_object", "hand_pose", "global_orient", "transl", "betas")


class Folder(Adapter):
    """Anyone's grasps of anyone's objects."""

    name = "folder"
    title = "a folder of meshes and grasps"
    homepage = "docs/datasets.md"
    licence = "its owner's"
    layout = "objects/NAME.ply in metres, grasps/NAME.npz"
    markers = ("objects", "grasps")

    def scan(self) -> Iterator[Entry]:
        """Every row of every file; files are opened, they have no other way to say how many grasps they hold."""
        for name in stems(self.path("grasps"), ".npz"):
            try:
                content = self._grasps(name)
                count = next(len(content[key]) for key in NUMBERS if key in content)
            except (HopriorError, StopIteration, TypeError):
                # A file that cannot be read stands there once, to be named when it is opened.
                yield Entry(name, "0", name)
                continue
            sides = content.get("side", np.full(count, "right"))
            subjects = content.get("subject", np.full(count, ""))
            for row in range(count):
                side: Side = "left" if str(np.broadcast_to(sides, count)[row]) == "left" else "right"
                yield Entry(name, str(row), name, str(np.broadcast_to(subjects, count)[row]), side)

    @property
    def revision(self) -> str:
        """Files that were written again have other grasps."""
        places = sorted(self.path("grasps").glob("*.npz"))
        return " ".join(f"{place.name}:{place.stat().st_mtime_ns}" for place in places)

    def split_of(self, entry: Entry) -> Split:
        """The file's `split`, if it has one for all of its grasps."""
        try:
            splits = set(np.atleast_1d(self._grasps(entry.group).get("split", "train")).astype(str))
        except HopriorError:
            return "train"
        return next((split for split in SPLITS if splits == {split}), "train")

    def mesh_path(self, name: str) -> Path:
        """The mesh of a name, in any format."""
        there = listing(self.path("objects"))
        found = [
            there[f"{name}{suffix}".casefold()] for suffix in MESH_SUFFIXES if f"{name}{suffix}".casefold() in there
        ]
        return self.path("objects", found[0] if found else f"{name}.ply")

    def make_object(self, name: str) -> RecordedObject:
        """Called what the grasps call it, else by its file's name."""
        category = self._grasps(name).get("category")
        word = None if category is None else str(np.atleast_1d(category)[0])
        return RecordedObject(self.info(name, word))

    @cached_property
    def _grasps(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=16)(lambda name: read_npz(self.path("grasps", f"{name}.npz")))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The file of the object's grasps."""
        yield self.path("grasps", f"{entry.group}.npz")

    def read(self, entry: Entry) -> RecordedSample:
        """One grasp, in the object's frame."""
        content, row = self._grasps(entry.group), int(entry.item)
        thing = self.object(entry.object)
        if "joints_object" not in content and "hand_pose" not in content:
            raise HopriorError(f"grasps/{entry.group}.npz: has neither 'joints_object' nor 'hand_pose'")
        joints = content.get("joints_object")
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=entry.side,
            hands=self.hands,
            subject=entry.subject,
            sequence=_text(content, "sequence", row) or entry.group,
            frame=row,
            split=self.split_of(entry),
            reading=_reading(content, row, entry.side) if "hand_pose" in content else None,
            joints_given=None if joints is None else vector(joints[row], 63, "joints_object").view(21, 3),
            object=thing,
            label=GraspLabel(taxonomy=int(_text(content, "taxonomy", row) or 0)),
            text=_text(content, "text", row) or thing.info.text,
        )


def _text(content: dict[str, Any], name: str, row: int) -> str:
    if name not in content:
        return ""
    values = np.atleast_1d(content[name])
    return str(values[row] if len(values) > 1 else values[0])


def _reading(content: dict[str, Any], row: int, side: Side) -> ManoReading:
    return ManoReading(
        side,
        vector(content["global_orient"][row], 3, "global_orient"),
        vector(content["hand_pose"][row], 45, "hand_pose"),
        vector(content["betas"][row], 10, "betas") if "betas" in content else torch.zeros(10),
        vector(content["transl"][row], 3, "transl"),
    )
