"""HO3D v2 and v3 (Hampali et al., CVPR 2020; arXiv 2107.00887): people handling ten YCB objects, one camera a frame.

`{train|evaluation}/{SEQ}/meta/{ID}.pkl` has MANO's 48 axis-angle parameters from the flat hand, the 21 joints in MANO's
order, and the object's axis-angle and translation, in metres and the axes of OpenGL.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import read_pickle, read_words, stems, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import HO3D_DEPTH_UNIT, ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import Camera, RecordedSample
from hoprior.datasets.samples.sample import Split
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid, transform_points

OPENCV_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
"""OpenGL's camera (y up, looking along -z) in OpenCV's."""
SIZE = (640, 480)


class HO3Dv3(Adapter):
    """HO3D version 3."""

    name = "ho3d_v3"
    title = "HO3D v3"
    homepage = "https://github.com/shreyashampali/ho3d"
    licence = "HO3D: research only; YCB meshes CC BY 4.0"
    layout = "train/ and evaluation/ with {SEQ}/{rgb,depth,meta}, train.txt, evaluation.txt, models/{YCB name}"
    markers = ("train", "models")
    one_object_a_group = True
    image_suffix: ClassVar[str] = ".jpg"

    def scan(self) -> Iterator[Entry]:
        """Every meta file."""
        for part in ("train", "evaluation"):
            folder = self.path(part)
            for sequence in subfolders(folder):
                subject = re.sub(r"\d+$", "", sequence)
                for stem in stems(folder / sequence / "meta", ".pkl"):
                    yield Entry(f"{part}/{sequence}", stem, subject=subject)

    def expected(self) -> Iterator[Path]:
        """The frames of train.txt and evaluation.txt."""
        for part in ("train", "evaluation"):
            listed = self.path(f"{part}.txt")
            for line in read_words(listed) if listed.is_file() else ():
                sequence, _, frame = line.partition("/")
                yield self.path(part) / sequence / "meta" / f"{frame}.pkl"

    def split_of(self, entry: Entry) -> Split:
        """HO3D's own: train and evaluation."""
        return "train" if entry.group.startswith("train/") else "test"

    def mesh_path(self, name: str) -> Path:
        """The YCB mesh of HO3D's archive of models."""
        return self.path("models", name, "textured_simple.obj")

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's."""
        yield self.path(*entry.group.split("/")) / "meta" / f"{entry.item}.pkl"

    def read(self, entry: Entry) -> RecordedSample:
        """One frame; those of the evaluation set have no hand."""
        part, sequence = entry.group.split("/")
        folder = self.path(part) / sequence
        meta = read_pickle(folder / "meta" / f"{entry.item}.pkl")
        if meta.get("handPose") is None or meta.get("handTrans") is None:
            published = "the hand's pose is not published (evaluation set)"
            raise FrameSkipped(published if part == "evaluation" else "no hand in the frame")
        if meta.get("objName") is None or meta.get("objRot") is None:
            raise FrameSkipped("no object in the frame")
        pose = vector(meta["handPose"], 48, "handPose")
        joints = vector(meta["handJoints3D"], 63, "handJoints3D").view(21, 3)
        rotation = rotvec_to_rotmat(vector(meta["objRot"], 3, "objRot"))
        contact = meta.get("handVertContact")
        return RecordedSample(
            **self.origin(entry, int(entry.item)),
            reading=ManoReading(
                "right",
                pose[:3],
                pose[3:],
                vector(meta["handBeta"], 10, "handBeta"),
                vector(meta["handTrans"], 3, "handTrans"),
                T_scene_file=OPENCV_OPENGL,
            ),
            joints_given=transform_points(OPENCV_OPENGL, joints),
            object=self.object(str(meta["objName"])),
            T_scene_object=OPENCV_OPENGL @ rigid(rotation, vector(meta["objTrans"], 3, "objTrans")),
            camera=Camera(vector(meta["camMat"], 9, "camMat").view(3, 3), size=SIZE),
            images={
                "image": ImageFile(folder / "rgb" / f"{entry.item}{self.image_suffix}"),
                "depth": ImageFile(folder / "depth" / f"{entry.item}.png", "depth in colours", HO3D_DEPTH_UNIT),
            },
            text=self.object(str(meta["objName"])).info.text,
            in_contact=None if contact is None else bool(np.asarray(contact).any()),
        )


class HO3Dv2(HO3Dv3):
    """HO3D version 2: the same form, with PNG pictures."""

    name = "ho3d_v2"
    title = "HO3D v2"
    image_suffix = ".png"
