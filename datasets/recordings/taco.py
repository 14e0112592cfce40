"""TACO (Liu et al., CVPR 2024): two hands, a tool and what it is used on; 2,300 sequences, 30 frames a second.

`Hand_Poses/(verb, tool, target)/{sequence}/{left,right}_hand.pkl` maps frames to MANO's `hand_pose` (48 axis-angle from
the flat hand) and `hand_trans`, the wrist's place, metres, world; `{side}_hand_shape.pkl` has the betas, `hand_shape`.
`Object_Poses/.../{tool,target}_{number}.npy` are (T, 4, 4), metres; `Object_Models/{number}_cm.obj` centimetres. The
right hand has the tool and the left one the target: these pairs are the samples.
"""

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import find, is_file, listing, read_numbers, read_pickle, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence

CENTIMETRE = 0.01
ROLES: dict[Side, str] = {"right": "tool", "left": "target"}
TRIPLET = re.compile(r"\((?P<verb>[^,]+),\s*(?P<tool>[^,]+),\s*(?P<target>[^,]+)\)$")
VERBS = {"cut": "cut", "pour in some": "pour", "screw": "screw"}
"""Verbs that say what the hand does with the tool; of the others, it uses the tool."""
SPLIT_LISTS = ("v1_overall_data_train_test_split.txt", "train_test_split.txt")


class TACO(Adapter):
    """TACO; its four test sets are one, where the toolkit's list is beside the data."""

    name = "taco"
    title = "TACO"
    homepage = "https://taco2024.github.io"
    licence = "CC BY 4.0"
    layout = "Hand_Poses/(verb, tool, target)/SEQUENCE/*.pkl, Object_Poses/.../*.npy, Object_Models/NNN_cm.obj"
    markers = ("Hand_Poses", "Object_Poses", "Object_Models")
    needs_mano = True

    def scan(self) -> Iterator[Entry]:
        """Every frame of both hands; how many there are is read from the objects' files."""
        base = self.path("Object_Poses")
        for triplet in subfolders(base):
            for sequence in subfolders(base / triplet):
                folder = base / triplet / sequence
                for side, role in ROLES.items():
                    for stem in stems(folder, ".npy", f"{role}_"):
                        try:
                            frames = len(self._poses(folder / f"{stem}.npy"))
                        except HopriorError:
                            # A sequence that cannot be read stands there once, to be named when it is opened.
                            frames = 1
                        for frame in range(frames):
                            yield Entry(f"{triplet}/{sequence}", str(frame), stem.split("_", 1)[1], "", side)

    @cached_property
    def _poses(self):  # type: ignore[no-untyped-def]  # frames follow each other, so the last sequences are kept
        return lru_cache(maxsize=8)(lambda path: read_numbers(path, 4, 4))

    @cached_property
    def _hand(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=8)(_read_hand)

    @cached_property
    def _splits(self) -> dict[str, Split] | None:
        """The split of each sequence; None without the toolkit's list."""
        places = [self.path(*folder, name) for name in SPLIT_LISTS for folder in ((), ("data_lists",))]
        place = next((place for place in places if is_file(place)), None)
        if place is None:
            return None
        try:
            rows = [line.split(",") for line in place.read_text(encoding="utf-8-sig").split()]
        except UnicodeDecodeError as error:
            raise HopriorError(f"{place}: damaged text ({error.reason}): get a fresh copy") from error
        return {row[0].strip(): "test" if row[-1].strip().startswith("test") else "train" for row in rows}

    def remarks(self) -> Iterator[str]:
        """Where the split comes from."""
        if self._splits is None:
            yield (
                f"no {SPLIT_LISTS[0]}, so every frame counts as train: TACO's list is in "
                f"github.com/leolyliu/TACO-Instructions, data_lists; put it into {self.root}"
            )

    def split_of(self, entry: Entry) -> Split:
        """As the toolkit's list has it; its test sets 1 to 4 are all test."""
        return (self._splits or {}).get(entry.group.split("/")[1], "train")

    @property
    def revision(self) -> str:
        """Whether there is a list of the split."""
        return f"1 {self._splits is not None}"

    def mesh_path(self, name: str) -> Path:
        """The scanned model of an object's number."""
        return self.path("Object_Models", f"{name}_cm.obj")

    @cached_property
    def _words(self) -> dict[str, str]:
        """What the objects are called, by number: in the names of folders."""
        words: dict[str, str] = {}
        base = self.path("Object_Poses")
        for triplet in subfolders(base):
            match = TRIPLET.match(triplet)
            if match is None:
                continue
            for sequence in subfolders(base / triplet):
                for role in ROLES.values():
                    for stem in stems(base / triplet / sequence, ".npy", f"{role}_"):
                        words.setdefault(stem.split("_", 1)[1], match[role].strip())
        return words

    def make_object(self, name: str) -> RecordedObject:
        """The scans are in centimetres."""
        scale = torch.diag(torch.tensor([CENTIMETRE, CENTIMETRE, CENTIMETRE, 1.0]))
        return RecordedObject(self.info(name, self._words.get(name)), scale)

    def _files(self, entry: Entry) -> tuple[Path, Path, Path]:
        triplet, sequence = entry.group.split("/")
        hands, objects = self.path("Hand_Poses", triplet, sequence), self.path("Object_Poses", triplet, sequence)
        return (
            find(hands, f"{entry.side}_hand.pkl"),
            find(hands, f"{entry.side}_hand_shape.pkl"),
            find(objects, f"{ROLES[entry.side]}_{entry.object}.npy"),
        )

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The hand's, its shape's, and the object's."""
        yield from self._files(entry)

    def read(self, entry: Entry) -> RecordedSample:
        """One hand with its object in one frame, in the world."""
        pose_file, shape_file, object_file = self._files(entry)
        number = int(entry.item)
        poses, betas = self._hand(pose_file, shape_file)
        if number >= len(poses):
            raise HopriorError(f"{pose_file}: has {len(poses)} frames, and {object_file.name} more")
        placement = torch.from_numpy(self._poses(object_file)[number]).float()
        rotation = placement[:3, :3]
        if (rotation @ rotation.mT - torch.eye(3)).abs().max() > 1e-2 or torch.linalg.det(rotation) < 0:
            raise HopriorError(f"{object_file}: the pose of frame {number} is no rotation and translation")
        triplet, sequence = entry.group.split("/")
        match = TRIPLET.match(triplet)
        verb = match["verb"].strip() if match is not None else ""
        thing = self.object(entry.object)
        intention = VERBS.get(verb, "use") if entry.side == "right" else "hold"
        video = self.path("Egocentric_RGB_Videos", triplet, sequence)
        images = {"image": ImageFile(video / "color.mp4", "video", number)} if listing(video) else {}
        return RecordedSample(
            **self.origin(entry, number),
            reading=ManoReading(
                entry.side, poses[number, :3], poses[number, 3:48], betas, poses[number, 48:], origin="wrist"
            ),
            object=thing,
            T_scene_object=rigid(rotation, placement[:3, 3]),
            images=images,
            label=GraspLabel(intention=intention),
            text=sentence(thing.info.category, intention),
        )


def _read_hand(pose_file: Path, shape_file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose and place (n, 51) of all frames, and betas (10,), zeros where there is no file of them."""
    frames = read_pickle(pose_file)
    rows = [
        torch.cat(
            [vector(frames[key]["hand_pose"], 48, "hand_pose"), vector(frames[key]["hand_trans"], 3, "hand_trans")]
        )
        for key in sorted(frames)
    ]
    betas = vector(read_pickle(shape_file)["hand_shape"], 10, "hand_shape") if is_file(shape_file) else torch.zeros(10)
    return torch.stack(rows) if rows else torch.zeros(0, 51), betas
