"""OakInk-Image (Yang et al., CVPR 2022): people use, hold, lift and hand over a hundred objects, four cameras.

`image/anno/{hand_j,obj_transf,cam_intr}/{sequence}__{time}__{hand}__{frame}__{camera}.pkl` have the joints and the
object's pose in the camera, metres. MANO's parameters come from the packed annotations
(`image/anno_packed/{mode}/{split}/...pkl`) where they are there: those of `general_info` are pickled torch tensors,
which are not read from a pickle.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import read_json, read_pickle, stems
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SPLITS, Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.datasets.sample import GraspLabel, Split
from hoprior.hand import reorder_joints
from hoprior.pickles import safe_load
from hoprior.state import rigid

VIEWS = ("north_east", "south_east", "north_west", "south_west")
INTENTS = {"0001": "use", "0002": "hold", "0003": "lift", "0004": "handover"}
SIZE = (848, 480)


class OakInkImage(Adapter):
    """OakInk-Image. Splits are those of `image/anno/split*/**/seq_{split}.json`, or of the packed annotations."""

    name = "oakink_image"
    title = "OakInk-Image"
    homepage = "https://oakink.net"
    licence = "CC BY-NC 4.0"
    layout = "image/{anno/{hand_j,obj_transf,cam_intr,seq_all.json}, obj, stream_release_v2}"
    markers = ("image/anno", "image/obj")
    protocols = ("default", "object", "subject", "handobject")

    def scan(self) -> Iterator[Entry]:
        """Every annotated view."""
        folder = self.path("image", "anno", "hand_j")
        names = stems(folder, ".pkl") if folder.is_dir() else sorted(self._packed)
        for stem in names:
            sequence, time, hand, frame, view = stem.split("__")
            parts = sequence.split("_")
            who = parts[2:4] if parts[1] == "0004" else parts[2:3]
            subject = who[int(hand)] if int(hand) < len(who) else who[0]
            yield Entry(f"{sequence}/{time}", f"{hand}__{frame}__{view}", parts[0], subject)

    @cached_property
    def _packed(self) -> dict[str, tuple[Split, Path]]:
        """Packed annotations of the protocol by name, with their split."""
        base = self.path("image", "anno_packed", self.protocol)
        return {stem: (split, base / split / f"{stem}.pkl") for split in SPLITS for stem in stems(base / split, ".pkl")}

    @cached_property
    def _split_lists(self) -> dict[str, Split]:
        """Split of a sequence by the toolkit's lists."""
        found: dict[str, Split] = {}
        for split in SPLITS:
            for place in sorted(self.path("image", "anno").glob(f"split*/{self.protocol}/*seq_{split}.json")):
                found.update({str(row[0]): split for row in read_json(place)})
        found.update({"/".join(stem.split("__")[:2]): split for stem, (split, _) in self._packed.items()})
        return found

    def moment(self, entry: Entry) -> tuple[str, str]:
        """The hand and frame, whichever camera."""
        return entry.group, entry.item.rsplit("__", 1)[0]

    def split_of(self, entry: Entry) -> Split:
        """By the lists; all is for training where there are none."""
        return self._split_lists.get(entry.group, "train")

    @cached_property
    def _names(self) -> dict[str, str]:
        """What objects are called, by OakInk's list, which comes with OakInk-Shape."""
        place = self.path("shape", "metaV2", "object_id.json")
        return {key: str(value["name"]) for key, value in read_json(place).items()} if place.is_file() else {}

    def make_object(self, name: str) -> RecordedObject:
        """An object without a name in the list is "an object"."""
        return RecordedObject(self.info(name, self._names.get(name, "object")))

    def mesh_path(self, name: str) -> Path:
        """The object's scan."""
        places = [self.path("image", "obj", f"{name}{suffix}") for suffix in (".obj", ".ply")]
        return next((place for place in places if place.is_file()), places[0])

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one view."""
        _, frame, view = entry.item.split("__")
        stem = f"{entry.group.replace('/', '__')}__{entry.item}"
        packed = read_pickle(self._packed[stem][1]) if stem in self._packed else None
        content = packed or {kind: self._part(kind, stem) for kind in ("hand_j", "obj_transf", "cam_intr")}
        joints = reorder_joints(vector(content["hand_j"], 63, "hand_j").view(21, 3), "manopth")
        T = vector(content["obj_transf"], 16, "obj_transf").view(4, 4)
        thing = self.object(entry.object)
        intention = INTENTS.get(entry.group.split("_")[1], "")
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject=entry.subject,
            sequence=entry.group,
            frame=int(frame),
            split=self.split_of(entry),
            reading=None if packed is None else _reading(packed, joints),
            joints_given=joints,
            object=thing,
            T_scene_object=rigid(T[:3, :3], T[:3, 3]),
            camera=Camera(vector(content["cam_intr"], 9, "cam_intr").view(3, 3), size=SIZE),
            images={
                "image": ImageFile(
                    self.path("image", "stream_release_v2") / entry.group / f"{VIEWS[int(view)]}_color_{frame}.png"
                )
            },
            label=GraspLabel(intention=intention),
            text=thing.info.text,
        )

    def _part(self, kind: str, stem: str) -> Any:
        return safe_load(self.path("image", "anno", kind) / f"{stem}.pkl")


def _reading(packed: dict[str, Any], joints: torch.Tensor) -> ManoReading:
    pose = vector(packed["mano_pose"], 48, "mano_pose")
    return ManoReading(
        "right", pose[:3], pose[3:], vector(packed["mano_shape"], 10, "mano_shape"), joints[0], origin="wrist"
    )
