"""OakInk-Shape (Yang et al., CVPR 2022): grasps of real objects, carried over to 1,700 virtual ones of their kind.

`shape/oakink_shape_v2/{category}/{object}/{hash}/[{virtual object}/]hand_param.pkl` has MANO's pose (48 axis-angle, or
16 quaternions) from the flat hand, shape, and the wrist's place in the frame of the mesh, whose box is centred.
"""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, listing, read_pickle, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.oakink_image import INTENTS, read_names
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Split
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import quat_wxyz_to_xyzw, unitquat_to_rotvec
from hoprior.language.labels import GraspLabel

BASE = ("shape", "oakink_shape_v2")
MESHES = {"object_id": "OakInkObjectsV2", "virtual_object_id": "OakInkVirtualObjectsV2"}


class OakInkShape(Adapter):
    """OakInk-Shape; the split is by the md5 of an object's id modulo 10: 8 validates, 9 tests."""

    name = "oakink_shape"
    title = "OakInk-Shape"
    homepage = "https://oakink.net"
    licence = "CC BY-NC 4.0"
    layout = "shape/{oakink_shape_v2/{category}/{object}, metaV2, OakInkObjectsV2, OakInkVirtualObjectsV2}"
    markers = ("shape/oakink_shape_v2", "shape/metaV2")
    needs_mano = True
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Every hand_param.pkl; the object is the virtual one where there is one."""
        base = self.path(*BASE)
        for category in subfolders(base):
            for thing in subfolders(base / category):
                for grasp in subfolders(base / category / thing):
                    folder = base / category / thing / grasp
                    if "hand_param.pkl" in listing(folder):
                        yield Entry(f"{category}/{thing}/{grasp}", "real", thing)
                    for virtual in subfolders(folder):
                        if "hand_param.pkl" in listing(folder / virtual):
                            yield Entry(f"{category}/{thing}/{grasp}", virtual, virtual)

    def split_of(self, entry: Entry) -> Split:
        """By the object's id."""
        rank = int(hashlib.md5(entry.object.encode(), usedforsecurity=False).hexdigest(), 16) % 10
        return "train" if rank < 8 else "val" if rank == 8 else "test"

    @cached_property
    def _names(self) -> dict[str, tuple[str, str]]:
        """Folder and name of each object's id."""
        found = {}
        for meta, folder in MESHES.items():
            names = read_names(self.path("shape", "metaV2", f"{meta}.json"))
            found.update({key: (folder, name) for key, name in names.items()})
        return found

    def mesh_path(self, name: str) -> Path:
        """The aligned mesh, full or thinned."""
        if name not in self._names:
            raise HopriorError(f"object '{name}' is in neither list of shape/metaV2: get the published lists")
        folder, title = self._names[name]
        for part in ("align", "align_ds"):
            place = self.path("shape", folder, title, part)
            meshes = [n for n in sorted(listing(place).values()) if n.lower().endswith((".obj", ".ply"))]
            # With several, the one whose name says that it is aligned.
            aligned = [n for n in meshes if "align" in n.lower()] or meshes
            if aligned:
                return place / aligned[0]
        return self.path("shape", folder, title, "align")

    def make_object(self, name: str) -> RecordedObject:
        """Centred at its box, as the poses are."""
        return RecordedObject(self.info(name, self._names.get(name, ("", name))[1]), centre="bounds")

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The grasp's, and where it is from."""
        folder = self.path(*BASE) / entry.group
        yield (folder if entry.item == "real" else folder / entry.item) / "hand_param.pkl"
        yield folder / "source.txt"

    def read(self, entry: Entry) -> RecordedSample:
        """One grasp."""
        folder = self.path(*BASE) / entry.group
        place = folder if entry.item == "real" else folder / entry.item
        hand = read_pickle(find(place, "hand_param.pkl"))
        pose = axis_angle(hand["pose"])
        source = find(folder, "source.txt")
        words = source.read_text().strip().split("/") if source.is_file() else []
        recording = next((w for w in words if len(w.split("_")) >= 3), "")
        action = recording.split("_")[1] if recording else ""
        if action and action not in INTENTS:
            raise FrameSkipped(f"unknown intent {action}")
        thing = self.object(entry.object)
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject=recording.split("_")[2] if recording else "",
            sequence="/".join(words) or entry.group,
            frame=0,
            split=self.split_of(entry),
            reading=ManoReading(
                "right",
                pose[0],
                pose[1:].flatten(),
                vector(hand["shape"], 10, "shape"),
                vector(hand["tsl"], 3, "tsl"),
                origin="wrist",
            ),
            object=thing,
            label=GraspLabel(intention=INTENTS.get(action, "")),
            text=thing.info.text,
        )


def axis_angle(pose: object) -> torch.Tensor:
    """(16, 3) axis-angle of 48 such numbers, or of 16 quaternions (w, x, y, z).

    Example:
        >>> axis_angle([1.0, 0.0, 0.0, 0.0] * 16).shape
        torch.Size([16, 3])
    """
    array = np.asarray(pose, dtype=np.float64)
    if array.size == 64:
        quaternions = vector(array, 64, "pose").view(16, 4)
        norms = quaternions.norm(dim=1, keepdim=True)
        if (norms - 1).abs().max() > 0.05:
            raise HopriorError("'pose' has quaternions that are not of length 1")
        return unitquat_to_rotvec(quat_wxyz_to_xyzw(quaternions / norms))
    return vector(array, 48, "pose").view(16, 3)
