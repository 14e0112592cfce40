"""ContactPose (Brahmbhatt et al., ECCV 2020): 2,300 static grasps of 25 objects by 50 people, to use or to hand off.

`contactpose_data/full{p}_{use|handoff}/{object}/annotations.json` has up to two hands' 21 joints, in the object's frame
or, of a moving hand, in its own (`hTo` leads there); `mano_fits_15.json` has MANO with 15 PCA coefficients around the
mean pose, and `mTc`, the joints' frame in MANO's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from hoprior.common.reading import read_json
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, is_file, listing, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.samples.sample import Side
from hoprior.geometry.rotations import quat_wxyz_to_xyzw, unitquat_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import reorder_joints
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence

BASE = "contactpose_data"
HANDS: tuple[Side, Side] = ("left", "right")
INTENTS = {"use": "use", "handoff": "hand over"}
NO_OBJECTS = ("palm_print", "hands")


class ContactPose(Adapter):
    """ContactPose; it has no official split, so all is for training."""

    name = "contactpose"
    title = "ContactPose"
    homepage = "https://contactpose.cc.gatech.edu"
    licence = "MIT; each 3D model has its own"
    layout = "contactpose_data/full{p}_{use|handoff}/{object}/{annotations.json, mano_fits_15.json, {object}.ply}"
    markers = ("contactpose_data",)
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Both hands of every grasp."""
        base = self.path(BASE)
        for session in subfolders(base):
            if not session.startswith("full"):
                continue
            for name in subfolders(base / session):
                if name not in NO_OBJECTS and "annotations.json" in listing(base / session / name):
                    for side in reversed(HANDS):
                        yield Entry(f"{session}/{name}", "grasp", name, session.split("_")[0][4:], side)

    def mesh_path(self, name: str) -> Path:
        """The mesh with somebody's contact map: the shape is the same in all."""
        for session in subfolders(self.path(BASE)):
            place = self.path(BASE, session, name, f"{name}.ply")
            if is_file(place):
                return place
        return self.path(BASE, "full1_use", name, f"{name}.ply")

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """Of the whole grasp."""
        folder = self.path(BASE, *entry.group.split("/"))
        yield from (folder / name for name in ("annotations.json", "mano_fits_15.json"))

    def read(self, entry: Entry) -> RecordedSample:
        """One hand of one grasp, in the object's frame."""
        session, name = entry.group.split("/")
        folder = self.path(BASE, session, name)
        annotations = read_json(find(folder, "annotations.json"))
        which = HANDS.index(entry.side)
        hand = annotations["hands"][which]
        if not hand["valid"]:
            raise FrameSkipped("this hand takes no part in the grasp")
        T_object_file = torch.eye(4)
        if hand["moving"]:
            T_object_file = torch.linalg.inv(transform_of(annotations["frames"][0]["hTo"][which]))
        joints = reorder_joints(vector(hand["joints"], 63, "joints").view(21, 3), "openpose")
        intent = session.split("_")[1]
        thing = self.object(name)
        return RecordedSample(
            **self.origin(entry, 0),
            reading=_reading(find(folder, "mano_fits_15.json"), which, T_object_file),
            joints_given=transform_points(T_object_file, joints),
            object=thing,
            label=GraspLabel(intention=INTENTS.get(intent, intent)),
            text=sentence(thing.info.category, "use" if intent == "use" else "handover"),
            in_contact=True,
        )


def _reading(place: Path, which: int, T_object_file: torch.Tensor) -> ManoReading | None:
    fit = read_json(place)[which] if is_file(place) else None
    if fit is None or not fit["valid"]:
        return None
    pose = torch.as_tensor(fit["pose"], dtype=torch.float32).flatten()
    return ManoReading(
        HANDS[which],
        pose[:3],
        pose[3:],
        vector(fit["betas"], 10, "betas"),
        torch.zeros(3),
        is_pca=True,
        flat_hand_mean=False,
        T_scene_file=T_object_file @ torch.linalg.inv(transform_of(fit["mTc"])),
    )


def transform_of(pose: dict[str, Any]) -> torch.Tensor:
    """A file's pose (translation, quaternion w x y z) as a transform."""
    quaternion = quat_wxyz_to_xyzw(vector(pose["rotation"], 4, "rotation"))
    return rigid(unitquat_to_rotmat(quaternion / quaternion.norm()), vector(pose["translation"], 3, "translation"))
