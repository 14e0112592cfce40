"""HOGraspNet (Cho et al., ECCV 2024): 99 people, 30 objects, 28 kinds of grasp, four cameras.

`labeling_data/{date}_S{subject}_obj_{object}_grasp_{kind}/trial_{t}/annotation/{camera}/{camera}_{frame}.json`. What
the files call `mano_trans` is the global rotation. The hand is MANO's divided by `mano_scale`, wrist at
`mano_xyz_root`; world and translations are in centimetres, in the frame of the camera `mas`. Flags of occlusion are
read from `occluded/{sequence}/trial_{t}/{camera}/{camera}_{frame}.txt`, where there are any.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from hoprior.common.reading import read_json
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import is_file, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid
from hoprior.geometry.units import length_text, number_text
from hoprior.hand import reorder_joints
from hoprior.language.labels import GraspLabel
from hoprior.metrics.hand_validity import bone_lengths

CENTIMETRE = 0.01
OBJECTS = {
    1: "cracker_box",
    2: "potted_meat_can",
    3: "banana",
    4: "apple",
    5: "wine_glass",
    6: "bowl",
    7: "mug",
    8: "plate",
    9: "spoon",
    10: "knife",
    11: "small_marker",
    12: "spatula",
    13: "flat_screwdriver",
    14: "hammer",
    15: "baseball",
    16: "golf_ball",
    17: "credit_card",
    18: "dice",
    19: "disk_lid",
    20: "smartphone",
    21: "mouse",
    22: "tape",
    23: "master_chef_can",
    24: "scrub_cleanser_bottle",
    25: "large_marker",
    26: "stapler",
    27: "note",
    28: "scissors",
    29: "foldable_phone",
    30: "cardboard_box",
}
OBJECT_SCALE = {5: 0.8296698468, 11: 0.1035083229, 13: 0.6706711338, 16: 0.43}
TEST_OBJECTS = (10, 2, 12, 20, 4, 6, 11)
TEST_GRASPS = (23, 25, 29, 16)
TRAIN_SUBJECTS = 73
"""S1: subjects 1 to 73 train, the others test. The toolkit takes the first 73 as the folder happens to list them."""
CAMERAS = ("mas", "sub1", "sub2", "sub3")
SEQUENCE = re.compile(r".*_S(?P<subject>\d+)_obj_(?P<object>\d+)_grasp_(?P<grasp>\d+)$", re.IGNORECASE)
HAND_BONES = (0.55, 1.4)
"""Total length (m) of a hand's 20 bones: 0.85 of the open hand."""


class HOGraspNet(Adapter):
    """HOGraspNet; splits by trial (S0), subject (S1), camera (S2), object (S3) and kind of grasp (S4)."""

    name = "hograspnet"
    title = "HOGraspNet"
    homepage = "https://hograspnet2024.github.io"
    licence = "HOGraspNet: academic research only; no redistribution, modification or commercial use"
    layout = "labeling_data/, source_data/ or source_augmented/, extra_data/, obj_scanned_models/{oo}_{name}"
    markers = ("labeling_data", "obj_scanned_models")
    protocols = ("s1", "s0", "s2", "s3", "s4")
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Every annotation file."""
        base = self.path("labeling_data")
        for sequence in subfolders(base):
            match = SEQUENCE.match(sequence)
            if match is None:
                continue
            for trial in subfolders(base / sequence):
                for camera in CAMERAS:
                    for stem in stems(base / sequence / trial / "annotation" / camera, ".json"):
                        yield Entry(
                            f"{sequence}/{trial}/{camera}", stem, str(int(match["object"])), f"S{int(match['subject'])}"
                        )

    def moment(self, entry: Entry) -> tuple[str, str]:
        """The frame of the trial, whichever camera."""
        return entry.group.rsplit("/", 1)[0], entry.item.rsplit("_", 1)[1]

    def split_of(self, entry: Entry) -> Split:
        """By the protocol; the toolkit's validation sets are parts of the training sets and stay there."""
        sequence, trial, camera = entry.group.split("/")
        match = SEQUENCE.match(sequence)
        assert match is not None
        if self.protocol == "s0":
            trials = subfolders(self.path("labeling_data") / sequence)
            test = trial == trials[0]
        elif self.protocol == "s1":
            test = int(match["subject"]) > TRAIN_SUBJECTS
        elif self.protocol == "s2":
            test = camera == CAMERAS[-1]
        elif self.protocol == "s3":
            test = int(match["object"]) in TEST_OBJECTS
        else:
            test = int(match["grasp"]) in TEST_GRASPS
        return "test" if test else "train"

    def mesh_path(self, name: str) -> Path:
        """The scanned model of an object's number."""
        stem = f"{int(name):02d}_{OBJECTS[int(name)]}"
        return self.path("obj_scanned_models", stem, f"{stem}.obj")

    def make_object(self, name: str) -> RecordedObject:
        """The scans are in centimetres, four of them to be scaled."""
        number = int(name)
        scale = CENTIMETRE * OBJECT_SCALE.get(number, 1.0)
        return RecordedObject(self.info(name, OBJECTS[number]), torch.diag(torch.tensor([scale, scale, scale, 1.0])))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's."""
        sequence, trial, camera = entry.group.split("/")
        yield self.path("labeling_data") / sequence / trial / "annotation" / camera / f"{entry.item}.json"

    def read(self, entry: Entry) -> RecordedSample:
        """One frame of one camera."""
        sequence, trial, camera = entry.group.split("/")
        match = SEQUENCE.match(sequence)
        assert match is not None
        place = self.path("labeling_data") / sequence / trial / "annotation" / camera / f"{entry.item}.json"
        content = read_json(place)
        if not content.get("annotations") or not content.get("Mesh") or content.get("hand") is None:
            raise FrameSkipped("no hand in the frame")
        mesh, hand = content["Mesh"][0], content["hand"]
        side: Side = "left" if str(mesh.get("mano_side", "right")).lower().startswith("l") else "right"
        joints = vector(content["annotations"][0]["data"], 63, "data").view(21, 3) * CENTIMETRE
        joints = reorder_joints(joints, "manopth")
        length = float(bone_lengths(joints[None]).sum())
        if not HAND_BONES[0] <= length <= HAND_BONES[1]:
            raise HopriorError(
                f"{place.name}: the hand's bones sum to {length_text(length)} where a human's do to {HAND_BONES[0]} to "
                f"{HAND_BONES[1]} m, so this copy is not in centimetres: get the published annotations"
            )
        object_mat = vector(mesh["object_mat"], 16, "object_mat").view(4, 4)
        if abs(float(torch.linalg.det(object_mat[:3, :3])) - 1) > 0.02:
            raise HopriorError(f"{place.name}: 'object_mat' is not a rotation and a translation")
        thing = self.object(entry.object)
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=side,
            hands=self.hands,
            subject=entry.subject,
            sequence=f"{sequence}/{trial}",
            frame=int(entry.item.rsplit("_", 1)[1]),
            split=self.split_of(entry),
            reading=ManoReading(
                side,
                vector(mesh["mano_trans"], 3, "mano_trans"),
                vector(mesh["mano_pose"], 45, "mano_pose"),
                vector(mesh["mano_betas"], 10, "mano_betas"),
                vector(hand["mano_xyz_root"], 3, "mano_xyz_root") * CENTIMETRE,
                origin="wrist",
                scale=hand_scale(float(vector(hand["mano_scale"], 1, "mano_scale"))),
            ),
            joints_given=joints,
            object=thing,
            T_scene_object=rigid(object_mat[:3, :3], object_mat[:3, 3] * CENTIMETRE),
            camera=_camera(content["calibration"]),
            images=self._images(sequence, trial, camera, entry.item),
            label=GraspLabel(taxonomy=int(match["grasp"])),
            text=thing.info.text,
            occluded=self._occluded(sequence, trial, camera, entry.item),
        )

    def _occluded(self, sequence: str, trial: str, camera: str, stem: str) -> Bool[Tensor, "21"] | None:
        """The flags of an image, 21 zeros or ones in the annotations' order; None without such a file."""
        path = self.path("occluded") / sequence / trial / camera / f"{stem}.txt"
        if not is_file(path):
            return None
        flags = vector(path.read_text(encoding="utf-8").replace(",", " ").split(), 21, path.name)
        if not bool(((flags == 0) | (flags == 1)).all()):
            raise HopriorError(f"{path.name}: flags of occlusion are 0 or 1")
        return reorder_joints(flags[:, None] > 0.5, "manopth")[:, 0]

    def _images(self, sequence: str, trial: str, camera: str, stem: str) -> dict[str, ImageFile]:
        source = self.path("source_data") / sequence / trial
        cropped = self.path("source_augmented") / sequence / trial
        extra = self.path("extra_data") / sequence / trial
        return {
            "image": ImageFile(source / "rgb" / camera / f"{stem}.jpg"),
            "image_crop": ImageFile(cropped / "rgb_crop" / camera / f"{stem}.jpg"),
            "depth": ImageFile(source / "depth" / camera / f"{stem}.png", "depth", 0.001),
            "hand_mask": ImageFile(extra / "hand_mask" / camera / f"{stem}.png", "mask"),
            "object_mask": ImageFile(extra / "obj_mask" / camera / f"{stem}.png", "mask"),
        }


def hand_scale(mano_scale: float) -> float:
    """Size of the recorded hand relative to MANO: `mano_scale` divides MANO in millimetres, or in metres, to give
    centimetres; which of them, only one gives a hand's size."""
    if mano_scale <= 0:
        raise HopriorError(f"'mano_scale' is {number_text(mano_scale)}, a scale is positive")
    return min((10 / mano_scale, 0.01 / mano_scale), key=lambda scale: abs(scale - 1))


def _camera(calibration: dict[str, object]) -> Camera:
    extrinsic = vector(calibration["extrinsic"], 12, "extrinsic").view(3, 4)
    K = vector(calibration["intrinsic"], 9, "intrinsic").view(3, 3)
    return Camera(K, rigid(extrinsic[:, :3], extrinsic[:, 3] * CENTIMETRE))
