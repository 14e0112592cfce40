"""DexYCB (Chao et al., CVPR 2021): ten people grasp twenty YCB objects, eight cameras.

`{subject}/{sequence}/{serial}/labels_%06d.npz` has `pose_m` (global rotation, 45 PCA coefficients around MANO's mean
pose, translation; zeros without a hand), `joint_3d` (metres, -1 without a hand) and `pose_y`, the objects' poses in
the camera. `meta.yml` of a sequence says which objects, which of them is grasped, the side, whose hand.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.common.reading import read_yaml
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import read_npz, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import Camera, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.hand import reorder_joints

SUBJECTS = (
    "20200709-weiy",
    "20200813-ceppner",
    "20200820-amousavian",
    "20200903-ynarang",
    "20200908-yux",
    "20200918-ftozetoramos",
    "20200928-ahanda",
    "20201002-dieterf",
    "20201015-ychao",
    "20201022-lmanuelli",
)
SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
YCB_NAMES = {
    1: "002_master_chef_can",
    2: "003_cracker_box",
    3: "004_sugar_box",
    4: "005_tomato_soup_can",
    5: "006_mustard_bottle",
    6: "007_tuna_fish_can",
    7: "008_pudding_box",
    8: "009_gelatin_box",
    9: "010_potted_meat_can",
    10: "011_banana",
    11: "019_pitcher_base",
    12: "021_bleach_cleanser",
    13: "024_bowl",
    14: "025_mug",
    15: "035_power_drill",
    16: "036_wood_block",
    17: "037_scissors",
    18: "040_large_marker",
    19: "051_large_clamp",
    20: "052_extra_large_clamp",
    21: "061_foam_brick",
}
SEQUENCES = 100
"""Of each subject; S0 and S3 are by their rank."""
VAL_SEQUENCES, TEST_SEQUENCES = (3, 19), (7, 11, 15)
"""S3: fives of sequences, one object each, by the toolkit."""
SIZE = (640, 480)
HAND_LABEL = 255


class DexYCB(Adapter):
    """DexYCB; splits S0 to S3 are those of its toolkit."""

    name = "dexycb"
    title = "DexYCB"
    homepage = "https://dex-ycb.github.io"
    licence = "CC BY-NC 4.0; YCB meshes CC BY 4.0"
    layout = "{subject}/{sequence}/{meta.yml, serial/{labels,color,aligned_depth}}, calibration/, models/{YCB name}"
    markers = ("2020*", "calibration", "models")
    protocols = ("s1", "s0", "s2", "s3")
    one_object_a_group = True

    def scan(self) -> Iterator[Entry]:
        """Every label file."""
        for subject in SUBJECTS:
            folder = self.path(subject)
            for sequence in subfolders(folder):
                for serial in subfolders(folder / sequence):
                    for stem in stems(folder / sequence / serial, ".npz", "labels_"):
                        yield Entry(f"{subject}/{sequence}/{serial}", stem.removeprefix("labels_"), subject=subject)

    def expected(self) -> Iterator[Path]:
        """All frames of the sequences' meta files."""
        for subject in SUBJECTS:
            for sequence in subfolders(self.path(subject)):
                try:
                    frames = int(self._meta(subject, sequence)["num_frames"])
                except (HopriorError, KeyError, TypeError, ValueError):
                    yield self.path(subject) / sequence / "meta.yml:num_frames"
                    continue
                for serial in subfolders(self.path(subject) / sequence):
                    folder = self.path(subject) / sequence / serial
                    yield from (folder / f"labels_{i:06d}.npz" for i in range(frames))

    def moment(self, entry: Entry) -> tuple[str, str]:
        """The frame of the sequence, whichever camera."""
        return entry.group.rsplit("/", 1)[0], entry.item

    def split_of(self, entry: Entry) -> Split:
        """S0 unseen sequences, S1 unseen subjects, S2 unseen cameras, S3 unseen objects."""
        subject, sequence, serial = entry.group.split("/")
        person = SUBJECTS.index(subject)
        if self.protocol == "s1":
            return "val" if person == 6 else "test" if person in (7, 8) else "train"
        if self.protocol == "s2":
            return "val" if serial == SERIALS[6] else "test" if serial == SERIALS[7] else "train"
        rank = self._ranks[subject][sequence]
        if self.protocol == "s3":
            return "val" if rank // 5 in VAL_SEQUENCES else "test" if rank // 5 in TEST_SEQUENCES else "train"
        if rank % 5 != 4:
            return "train"
        return "val" if person in (0, 1) else "test"

    @cached_property
    def _ranks(self) -> dict[str, dict[str, int]]:
        ranks = {}
        for subject in SUBJECTS:
            sequences = subfolders(self.path(subject))
            if sequences and len(sequences) != SEQUENCES:
                raise HopriorError(
                    f"{self.path(subject)}: {len(sequences)} of {SEQUENCES} sequences are there, and the split "
                    f"'{self.protocol}' goes by their rank: get the rest, or use s1 or s2"
                )
            ranks[subject] = {name: rank for rank, name in enumerate(sequences)}
        return ranks

    def mesh_path(self, name: str) -> Path:
        """The mesh of the YCB-Video set."""
        return self.path("models", name, "textured_simple.obj")

    def _meta(self, subject: str, sequence: str) -> dict[str, Any]:
        return self._read_yaml(self.path(subject) / sequence / "meta.yml")

    @cached_property
    def _read_yaml(self):  # type: ignore[no-untyped-def]  # thousands of frames share a few of these files
        return lru_cache(maxsize=4096)(read_yaml)

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's, the sequence's, and the calibration of all cameras and persons."""
        subject, sequence, serial = entry.group.split("/")
        yield self.path(subject) / sequence / serial / f"labels_{entry.item}.npz"
        yield self.path(subject) / sequence / "meta.yml"
        yield from self._calibration

    @cached_property
    def _calibration(self) -> list[Path]:
        return sorted(self.path("calibration").rglob("*.yml"))

    def read(self, entry: Entry) -> RecordedSample:
        """One frame of one camera."""
        subject, sequence, serial = entry.group.split("/")
        folder = self.path(subject) / sequence / serial
        meta = self._meta(subject, sequence)
        label = read_npz(folder / f"labels_{entry.item}.npz")
        pose, joints = label["pose_m"].reshape(-1), label["joint_3d"].reshape(-1, 3)
        if not pose.any() or (joints == -1).all():
            raise FrameSkipped("no hand in the frame")
        grasped = int(meta["ycb_grasp_ind"])
        name = YCB_NAMES[int(meta["ycb_ids"][grasped])]
        pose_y = np.asarray(label["pose_y"])[grasped]
        if not pose_y.any():
            raise FrameSkipped("the grasped object is not seen")
        side: Side = "left" if meta["mano_sides"][0] == "left" else "right"
        betas = self._read_yaml(self.path("calibration", f"mano_{meta['mano_calib'][0]}", "mano.yml"))["betas"]
        parameters = vector(pose, 51, "pose_m")
        T_scene_object = torch.eye(4)
        T_scene_object[:3] = vector(pose_y, 12, "pose_y").view(3, 4)
        thing = self.object(name)
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=side,
            hands=self.hands,
            subject=subject,
            sequence=f"{subject}/{sequence}",
            frame=int(entry.item),
            split=self.split_of(entry),
            reading=ManoReading(
                side,
                parameters[:3],
                parameters[3:48],
                vector(betas, 10, "betas"),
                parameters[48:],
                is_pca=True,
                flat_hand_mean=False,
            ),
            joints_given=reorder_joints(vector(joints, 63, "joint_3d").view(21, 3), "dexycb"),
            object=thing,
            T_scene_object=T_scene_object,
            camera=self._camera(serial),
            images={
                "image": ImageFile(folder / f"color_{entry.item}.jpg"),
                "depth": ImageFile(folder / f"aligned_depth_to_color_{entry.item}.png", "depth", 0.001),
                "hand_mask": ImageFile(folder / f"labels_{entry.item}.npz", "label", HAND_LABEL),
                "object_mask": ImageFile(folder / f"labels_{entry.item}.npz", "label", float(meta["ycb_ids"][grasped])),
            },
            text=thing.info.text,
        )

    def _camera(self, serial: str) -> Camera:
        file = self.path("calibration", "intrinsics", f"{serial}_{SIZE[0]}x{SIZE[1]}.yml")
        colour = self._read_yaml(file)["color"]
        K = torch.tensor([[colour["fx"], 0, colour["ppx"]], [0, colour["fy"], colour["ppy"]], [0, 0, 1]])
        return Camera(K.float(), size=SIZE)
