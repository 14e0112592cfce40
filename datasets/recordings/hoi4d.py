"""HOI4D (Liu et al., CVPR 2022): egocentric videos of people using objects of 16 categories.

`handpose/refinehandpose_{side}/{sequence}/{frame}.pickle` has MANO's 48 axis-angle parameters from the flat hand,
betas and translation in the camera (metres); `HOI4D_annotations/{sequence}/objpose/{frame}.json` the object's centre
and Euler angles. A sequence is `ZY*/H*/C*/N*/S*/s*/T*`: camera, person, category, instance, room, layout, task.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hoprior.common.array_files import read_array
from hoprior.common.reading import interpreting, read_json
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import is_file, read_pickle, read_words, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SIDES, Entry
from hoprior.datasets.recordings.record import Camera, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid
from hoprior.language.labels import GraspLabel

CLASSES = {
    1: "ToyCar",
    2: "Mug",
    3: "Laptop",
    4: "StorageFurniture",
    5: "Bottle",
    6: "Safe",
    7: "Bowl",
    8: "Bucket",
    9: "Scissors",
    11: "Pliers",
    12: "Kettle",
    13: "Knife",
    14: "TrashCan",
    17: "Lamp",
    18: "Stapler",
    20: "Chair",
}
TASKS = {
    1: ("move", "push", "put away", "take out"),
    2: ("move", "put away", "take out", "fill", "pour", "move"),
    3: ("move", "open"),
    4: ("open", "open", "put into", "put into"),
    5: ("move", "pour", "put away", "take out", "move", "move"),
    6: ("open", "put into", "take out of"),
    7: ("move", "put away", "take out", "take out of", "put into", "move"),
    8: ("move", "pour"),
    9: ("move", "cut"),
    11: ("move", "take out", "put away", "use"),
    12: ("move", "pour"),
    13: ("move", "take out", "put away", "cut"),
    14: ("open", "put into"),
    17: ("move", "turn", "switch on"),
    18: ("move", "staple"),
    20: ("move", "move", "move", "move"),
}
"""What is done in tasks T1, T2, ... of each category, after the release's task definitions."""
TEST_LISTS = ("testset.txt", "HOI4D-Instructions/testset.txt", "HOI4D-Instructions-main/testset.txt")
"""Where the list of test sequences may lie: in the root, or in the toolkit's repository beside the data."""
SEQUENCE = re.compile(r"ZY\d+/H\d+/C\d+/N\d+/S\d+/s\d+/T\d+", re.IGNORECASE)
SIZE = (1920, 1080)
OBJECT_CHANNEL, HAND_CHANNEL = 0, 1


class HOI4D(Adapter):
    """HOI4D. The split is `testset.txt` of its toolkit (github.com/leolyliu/HOI4D-Instructions), a list of sequences.

    There is no validation set, and the hands of the evaluation set were not published when this was written. The twelve
    clips on which DiffHOI and G-HOP measure reconstruction go by category and number, not by sequence.
    """

    name = "hoi4d"
    title = "HOI4D"
    homepage = "https://hoi4d.github.io"
    licence = "CC BY-NC 4.0"
    layout = "HOI4D_annotations/, HOI4D_release/, handpose/, camera_params/, HOI4D_CAD_Model_for_release/, testset.txt"
    markers = ("handpose", "HOI4D_annotations", "HOI4D_CAD_Model_for_release")
    needs_mano = True

    def scan(self) -> Iterator[Entry]:
        """Every hand pose, right and left."""
        for side in SIDES:
            base = self.path("handpose", f"refinehandpose_{side}")
            for sequence in _sequences(base):
                yield from self.entries_of(sequence, side)

    def entries_of(self, sequence: str, side: Side) -> Iterator[Entry]:
        """The hand poses of one sequence, in order."""
        parts = sequence.split("/")
        thing = f"{CLASSES.get(int(parts[2][1:]), parts[2])}_{int(parts[3][1:]):03d}"
        folder = self.path("handpose", f"refinehandpose_{side}") / sequence
        for stem in sorted(stems(folder, ".pickle"), key=lambda name: (len(name), name)):
            yield Entry(sequence, stem, thing, parts[1], side)

    @cached_property
    def _test_list(self) -> Path | None:
        """The toolkit's list, if the user has put it where it is looked for."""
        return next((path for name in TEST_LISTS if (path := self.path(*name.split("/"))).is_file()), None)

    @cached_property
    def _test_sequences(self) -> frozenset[str]:
        if self._test_list is None:
            return frozenset()
        names = [word.strip("/").casefold() for word in read_words(self._test_list)]
        if odd := next((name for name in names if not SEQUENCE.fullmatch(name)), "" if names else "nothing"):
            raise HopriorError(
                f"{self._test_list}: '{odd}' is no sequence (ZY*/H*/C*/N*/S*/s*/T*), so this is not HOI4D's list of "
                "test sequences: get it from github.com/leolyliu/HOI4D-Instructions"
            )
        return frozenset(names)

    def remarks(self) -> Iterator[str]:
        """Where the split comes from."""
        if self._test_list is None:
            yield (
                "no testset.txt, so every frame counts as train: HOI4D's list of test sequences is in "
                f"github.com/leolyliu/HOI4D-Instructions; put it into {self.root}"
            )

    def split_of(self, entry: Entry) -> Split:
        """Test where testset.txt names the sequence."""
        return "test" if entry.group.casefold() in self._test_sequences else "train"

    def mesh_path(self, name: str) -> Path:
        """The CAD model of an instance."""
        kind, number = name.rsplit("_", 1)
        return self.path("HOI4D_CAD_Model_for_release", "rigid", kind, f"{number}.obj")

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's hand and object, and the camera's intrinsics."""
        yield self.path("handpose", f"refinehandpose_{entry.side}") / entry.group / f"{entry.item}.pickle"
        poses = self.path("HOI4D_annotations") / entry.group / "objpose"
        yield from (poses / f"{number}.json" for number in (int(entry.item), f"{int(entry.item):05d}"))
        yield self.path("camera_params", entry.group.split("/")[0], "intrin.npy")

    def read(self, entry: Entry) -> RecordedSample:
        """One hand of one frame."""
        kind = entry.object.rsplit("_", 1)[0]
        if not is_file(self.mesh_path(entry.object)):
            articulated = self.path("HOI4D_CAD_Model_for_release", "articulated", kind)
            if articulated.is_dir():
                raise FrameSkipped("articulated object: its parts move on their own")
        reading = self.hand_of(entry)
        camera, _, category, _, _, _, task = entry.group.split("/")
        tasks = TASKS.get(int(category[1:]), ())
        verb = tasks[int(task[1:]) - 1] if int(task[1:]) <= len(tasks) else "hold"
        thing = self.object(entry.object)
        number = int(entry.item)
        annotated = self.path("HOI4D_annotations") / entry.group
        return RecordedSample(
            **self.origin(entry, number),
            reading=reading,
            object=thing,
            T_scene_object=self._object_pose(annotated, number),
            camera=self.camera(camera),
            images={"image": ImageFile(self.video(entry.group), "video", number), **self.masks(entry.group, number)},
            label=GraspLabel(intention=verb),
            text=thing.info.text,
        )

    def hand_of(self, entry: Entry) -> ManoReading:
        """The hand of a frame, whether or not the object's pose is annotated."""
        place = self.path("handpose", f"refinehandpose_{entry.side}") / entry.group / f"{entry.item}.pickle"
        hand = read_pickle(place)
        pose = vector(hand["poseCoeff"], 48, "poseCoeff")
        beta, trans = vector(hand["beta"], 10, "beta"), vector(hand["trans"], 3, "trans")
        return ManoReading(entry.side, pose[:3], pose[3:], beta, trans)

    def video(self, sequence: str) -> Path:
        """The colour video of a sequence."""
        return self.path("HOI4D_release") / sequence / "align_rgb" / "image.mp4"

    def masks(self, sequence: str, number: int) -> dict[str, ImageFile]:
        """Where hand and object are seen in a frame."""
        place = _mask(self.path("HOI4D_annotations") / sequence, number)
        channels = {"object_mask": OBJECT_CHANNEL, "hand_mask": HAND_CHANNEL}
        return {name: ImageFile(place, "channel", channel) for name, channel in channels.items()}

    def _object_pose(self, annotated: Path, number: int) -> torch.Tensor:
        for name in (f"{number}.json", f"{number:05d}.json"):
            place = annotated / "objpose" / name
            if is_file(place):
                break
        else:
            raise FrameSkipped("the object's pose is not annotated")
        content = read_json(place)
        listed = content.get("dataList") or content.get("objects")
        if not listed:
            raise FrameSkipped("the object's pose is not annotated")
        centre, angles = ([listed[0][name][axis] for axis in "xyz"] for name in ("center", "rotation"))
        rotation = Rotation.from_euler("XYZ", np.asarray(angles, dtype=float)).as_matrix()
        return rigid(torch.from_numpy(rotation).float(), vector(centre, 3, "center"))

    def camera(self, name: str) -> Camera | None:
        """A camera's intrinsics, where the release has them."""
        place = self.path("camera_params", name, "intrin.npy")
        if not is_file(place):
            return None
        with interpreting(place, what="damaged array"):
            return Camera(vector(read_array(place), 9, "intrin").view(3, 3), size=SIZE)


def _mask(annotated: Path, number: int) -> Path:
    shifted = annotated / "2Dseg" / "shift_mask" / f"{number:05d}.png"
    return shifted if is_file(shifted) else annotated / "2Dseg" / "mask" / f"{number:05d}.png"


def _sequences(base: Path, depth: int = 7) -> Iterator[str]:
    """Relative paths of the folders `depth` levels below."""
    if depth == 0:
        yield ""
        return
    for name in subfolders(base):
        for rest in _sequences(base / name, depth - 1):
            yield f"{name}/{rest}" if rest else name
