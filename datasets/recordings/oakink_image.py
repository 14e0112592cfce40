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

from hoprior.common.pickles import safe_load
from hoprior.common.reading import read_json
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import is_file, read_mapping, read_pickle, stems
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SPLITS, Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid
from hoprior.hand import reorder_joints
from hoprior.language.labels import GraspLabel

VIEWS = ("north_east", "south_east", "north_west", "south_west")
INTENTS = {"0001": "use", "0002": "hold", "0003": "lift", "0004": "handover"}
SPLIT_FOLDERS = {"default": "split0", "subject": "split1", "object": "split2", "handobject": "split0_ho"}
"""Where the toolkit's lists of each way of splitting are."""
PARTS = ("hand_j", "obj_transf", "cam_intr")
"""Folders of annotations, a file a frame in each."""
NO_LIST, NO_LISTS = "unlisted", "all"
"""What the group of a frame begins with that is in none of the lists, or where there are none."""
SIZE = (848, 480)


class OakInkImage(Adapter):
    """OakInk-Image. Splits are the toolkit's lists in `image/anno/{split,split_train_val}`, or the packed annotations'.

    `default` keeps views apart, `subject` people, `object` objects; `handobject` is `default` without frames in which
    hand and object are far from each other.
    """

    name = "oakink_image"
    title = "OakInk-Image"
    homepage = "https://oakink.net"
    licence = "CC BY-NC 4.0"
    layout = "image/{anno/{hand_j,obj_transf,cam_intr,split,split_train_val}, obj, stream_release_v2}"
    markers = ("image/anno", "image/obj")
    protocols = ("default", "object", "subject", "handobject")

    def scan(self) -> Iterator[Entry]:
        """Every annotated view; its group begins with the list that it is in."""
        folder = self.path("image", "anno", "hand_j")
        names = stems(folder, ".pkl") if folder.is_dir() else sorted(self._packed)
        for stem in names:
            if stem.count("__") != 4:
                # Listed, to be named when it is opened.
                yield Entry(NO_LISTS, stem)
                continue
            sequence, time, hand, frame, view = stem.split("__")
            parts = sequence.split("_")
            who = parts[2:4] if parts[1] == "0004" else parts[2:3]
            subject = who[int(hand)] if int(hand) < len(who) else who[0]
            listed = self._frame_splits.get(stem, NO_LIST if self._frame_splits else NO_LISTS)
            yield Entry(f"{listed}/{sequence}/{time}", f"{hand}__{frame}__{view}", parts[0], subject)

    @property
    def revision(self) -> str:
        """Of the protocol's lists, which say what is listed as what."""
        sizes = [place.stat().st_size for _, place in self._lists]
        return f"2 {self.protocol} {sizes} {len(self._packed)}"

    @cached_property
    def _packed(self) -> dict[str, tuple[Split, Path]]:
        """Packed annotations of the protocol by name, with their split."""
        base = self.path("image", "anno_packed", self.protocol)
        folders: tuple[tuple[str, Split], ...] = (("train+val", "train"), *((split, split) for split in SPLITS))
        return {
            stem: (split, base / name / f"{stem}.pkl") for name, split in folders for stem in stems(base / name, ".pkl")
        }

    @cached_property
    def _lists(self) -> list[tuple[Split, Path]]:
        """The toolkit's lists of the protocol that are there; where two name a frame, the first is right."""
        key = SPLIT_FOLDERS[self.protocol]
        places: tuple[tuple[Split, tuple[str, ...]], ...] = (
            ("val", ("split_train_val", key, "example_split_val.json")),
            ("train", ("split_train_val", key, "example_split_train.json")),
            ("train", ("split", key, "seq_train.json")),
            ("test", ("split", key, "seq_test.json")),
        )
        found = [(split, self.path("image", "anno", *parts)) for split, parts in places]
        return [(split, place) for split, place in found if is_file(place)]

    @cached_property
    def _frame_splits(self) -> dict[str, Split]:
        """Split of a frame's annotation by name: the views of one moment can be in different ones."""
        found: dict[str, Split] = {}
        for split, place in self._lists:
            rows = read_json(place)
            if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 4 for row in rows):
                raise HopriorError(f"{place}: no list of [sequence, hand, frame, view]: get a fresh copy")
            for row in rows:
                found.setdefault("__".join(map(str, row)).replace("/", "__"), split)
        for stem, (split, _) in self._packed.items():
            found.setdefault(stem, split)
        return found

    def expected(self) -> Iterator[Path]:
        """The annotations of all that the lists name."""
        if self._lists:
            known = self._packed
            folder = self.path("image", "anno", "hand_j")
            yield from (folder / f"{stem}.pkl" for stem in self._frame_splits if stem not in known)

    def remarks(self) -> Iterator[str]:
        """Where the split comes from."""
        if not self._lists and not self._packed:
            folder = self.path("image", "anno") / "split" / SPLIT_FOLDERS[self.protocol]
            yield f"no lists of the split '{self.protocol}' ({folder}), so every frame counts as train: get them too"

    def moment(self, entry: Entry) -> tuple[str, str]:
        """The hand and frame, whichever camera."""
        return entry.group.partition("/")[2], entry.item.rsplit("__", 1)[0]

    def split_of(self, entry: Entry) -> Split:
        """By the lists; all is for training where there are none."""
        listed = entry.group.partition("/")[0]
        return next((split for split in SPLITS if split == listed), "train")

    @cached_property
    def _names(self) -> dict[str, str]:
        """What objects are called, by OakInk's list, which comes with OakInk-Shape."""
        return read_names(self.path("shape", "metaV2", "object_id.json"))

    def make_object(self, name: str) -> RecordedObject:
        """An object without a name in the list is "an object"."""
        return RecordedObject(self.info(name, self._names.get(name, "object")))

    def mesh_path(self, name: str) -> Path:
        """The object's scan."""
        places = [self.path("image", "obj", f"{name}{suffix}") for suffix in (".obj", ".ply")]
        return next((place for place in places if is_file(place)), places[0])

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's packed annotation, or its parts."""
        stem = f"{entry.group.partition('/')[2].replace('/', '__')}__{entry.item}"
        if stem in self._packed:
            yield self._packed[stem][1]
        else:
            yield from (self.path("image", "anno", kind) / f"{stem}.pkl" for kind in PARTS)

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one view."""
        _, frame, view = entry.item.split("__")
        listed, _, sequence = entry.group.partition("/")
        if listed == NO_LIST:
            raise FrameSkipped(f"in no list of the split '{self.protocol}'")
        stem = f"{sequence.replace('/', '__')}__{entry.item}"
        packed = read_pickle(self._packed[stem][1]) if stem in self._packed else None
        content = packed or {kind: self._part(kind, stem) for kind in PARTS}
        joints = reorder_joints(vector(content["hand_j"], 63, "hand_j").view(21, 3), "manopth")
        T = vector(content["obj_transf"], 16, "obj_transf").view(4, 4)
        thing = self.object(entry.object)
        intention = INTENTS.get(sequence.split("_")[1], "")
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject=entry.subject,
            sequence=sequence,
            frame=int(frame),
            split=self.split_of(entry),
            reading=None if packed is None else _reading(packed, joints),
            joints_given=joints,
            object=thing,
            T_scene_object=rigid(T[:3, :3], T[:3, 3]),
            camera=Camera(vector(content["cam_intr"], 9, "cam_intr").view(3, 3), size=SIZE),
            images={
                "image": ImageFile(
                    self.path("image", "stream_release_v2") / sequence / f"{VIEWS[int(view)]}_color_{frame}.png"
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


def read_names(place: Path) -> dict[str, str]:
    """What OakInk's objects are called by their ids; none without the file."""
    if not is_file(place):
        return {}
    try:
        return {key: str(value["name"]) for key, value in read_mapping(place).items()}
    except (KeyError, TypeError) as error:
        raise HopriorError(f"{place}: no list of objects with names: get a fresh copy") from error
