"""ObMan (Hasson et al., CVPR 2019): rendered hands that grasp ShapeNet objects of eight kinds.

`{split}/meta/%08d.pkl` has the hand's 21 joints and the object's affine transform (with its scale), metres, in the axes
of OpenGL. Meshes are ShapeNet's own: `ShapeNetCore.v2/{class}/{sample}/models/model_normalized.obj`.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, read_pickle, stems
from hoprior.datasets.recordings.hands import vector
from hoprior.datasets.recordings.ho3d import OPENCV_OPENGL
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SPLITS, Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import reorder_joints

SHAPENET = "ShapeNetCore.v2"
CLASSES = {
    "02876657": "bottle",
    "02880940": "bowl",
    "02942699": "camera",
    "02946921": "can",
    "02992529": "phone",
    "03593526": "jar",
    "03624134": "knife",
    "03797390": "mug",
    "04074963": "remote control",
}
FOCAL, CENTRE, SIZE = 480.0, 128.0, (256, 256)


class ObMan(Adapter):
    """ObMan, with ShapeNetCore.v2 in its folder or beside it."""

    name = "obman"
    title = "ObMan"
    homepage = "https://www.di.ens.fr/willow/research/obman/data"
    licence = "ObMan: non-commercial research; ShapeNet: its own terms"
    layout = "{train,val,test}/{meta,rgb,segm}, ShapeNetCore.v2/{class}/{sample}/models/model_normalized.obj"
    markers = ("*/meta",)
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Every meta file."""
        for split in SPLITS:
            for stem in stems(self.path(split) / "meta", ".pkl"):
                yield Entry(split, stem)

    def split_of(self, entry: Entry) -> Split:
        """The folder's name."""
        return next(split for split in SPLITS if split == entry.group)

    @cached_property
    def _shapenet(self) -> Path:
        inside = self.path(SHAPENET)
        return inside if inside.is_dir() else find(self.root.absolute().parent, SHAPENET)

    def mesh_path(self, name: str) -> Path:
        """ShapeNet's normalised model; a name is CLASS_SAMPLE_SCALE."""
        kind, sample, _ = name.split("_")
        return find(self._shapenet, kind, sample, "models", "model_normalized.obj")

    def make_object(self, name: str) -> RecordedObject:
        """A model in one of the sizes in which it is grasped."""
        kind, _, scale = name.split("_")
        size = float(scale)
        return RecordedObject(
            self.info(name, CLASSES.get(kind, name)), torch.diag(torch.tensor([size, size, size, 1.0]))
        )

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The frame's."""
        yield self.path(entry.group) / "meta" / f"{entry.item}.pkl"

    def read(self, entry: Entry) -> RecordedSample:
        """One frame."""
        folder = self.path(entry.group)
        meta = read_pickle(folder / "meta" / f"{entry.item}.pkl")
        if meta.get("coords_3d") is None:
            raise FrameSkipped("no hand in the frame")
        side: Side = "left" if meta["side"] == "left" else "right"
        affine = vector(meta["affine_transform"], 16, "affine_transform").view(4, 4).double()
        scale = float(torch.linalg.det(affine[:3, :3]).abs() ** (1 / 3))
        if scale < 1e-6:
            raise HopriorError("'affine_transform' has no extent")
        rotation = affine[:3, :3] / scale
        if (rotation @ rotation.mT - torch.eye(3)).abs().max() > 1e-3 or torch.linalg.det(rotation) < 0:
            raise HopriorError("'affine_transform' is not a rotation, a scale and a translation")
        joints = reorder_joints(vector(meta["coords_3d"], 63, "coords_3d").view(21, 3), "manopth")
        # Sizes to half a per mille, so that a model grasped often in one size is one object.
        thing = self.object(f"{meta['class_id']}_{meta['sample_id']}_{scale:.4g}")
        K = torch.tensor([[FOCAL, 0, CENTRE], [0, FOCAL, CENTRE], [0, 0, 1]])
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=side,
            hands=self.hands,
            subject="",
            sequence=f"{entry.group}/{entry.item}",
            frame=0,
            split=self.split_of(entry),
            joints_given=transform_points(OPENCV_OPENGL, joints),
            object=thing,
            T_scene_object=OPENCV_OPENGL @ rigid(rotation.float(), affine[:3, 3].float()),
            camera=Camera(K, size=SIZE),
            images={
                "image": ImageFile(folder / "rgb" / f"{entry.item}.jpg"),
                "segmentation": ImageFile(folder / "segm" / f"{entry.item}.png"),
            },
            text=thing.info.text,
            in_contact=True,
        )
