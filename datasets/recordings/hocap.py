"""HO-Cap (Wang et al., NeurIPS 2025): nine people, 64 objects, eight cameras and a headset.

`subject_{k}/{sequence}/` has `meta.yaml`, `poses_m.npy` (2, T, 51: the right hand first, then the left; rotation, 45
PCA coefficients around MANO's mean pose, translation; -1 where there is no hand) and `poses_o.npy` (objects, T, 7:
quaternion x y z w, translation), metres, in the world of the table's tag; `{camera}/label_{frame}.npz` has the hands'
joints in that camera. `calibration/mano/{subject}.yaml` has betas, `calibration/extrinsics/` the cameras' places.
"""

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.common.reading import read_yaml
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import find, is_file, listing, read_npz, read_numbers, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SIDES, Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import unitquat_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import reorder_joints

MESHES = ("cleaned_mesh_10000.obj", "textured_mesh.obj")
CODE = re.compile(r"G\d+_\d+$", re.IGNORECASE)
"""Objects have numbers for names."""
ABSENT = -1.0


class HOCap(Adapter):
    """HO-Cap: of each hand in a frame, the object that is nearest to it; it has no official split of grasps."""

    name = "hocap"
    title = "HO-Cap"
    homepage = "https://irvlutd.github.io/HOCap"
    licence = "CC BY 4.0"
    layout = "calibration/, models/{object}/cleaned_mesh_10000.obj, subject_{k}/{sequence}/{meta.yaml, poses_{m,o}.npy}"
    markers = ("calibration", "models", "subject_*")

    def scan(self) -> Iterator[Entry]:
        """Every frame of every hand that is in it; the sequences' poses are opened for that."""
        for subject in subfolders(self.root):
            if not subject.lower().startswith("subject_"):
                continue
            for sequence in subfolders(self.root / subject):
                group = f"{subject}/{sequence}"
                try:
                    yield from self._listed_hands(group, subject)
                except (HopriorError, KeyError, TypeError, ValueError, IndexError):
                    # A sequence that cannot be read stands there once, to be named when it is opened.
                    yield Entry(group, "0", "", subject)

    def _listed_hands(self, group: str, subject: str) -> list[Entry]:
        meta, hands, objects = self._sequence(group)
        names = [str(name) for name in meta["object_ids"]]
        entries = []
        for which, side in enumerate(SIDES):
            there = ~(hands[which] == ABSENT).all(axis=1)
            # MANO's translation is some centimetres from the wrist, which is near enough to tell objects apart.
            apart = np.linalg.norm(objects[:, :, 4:] - hands[which, None, :, 48:], axis=2)
            apart[(objects == ABSENT).all(axis=2)] = np.inf
            for frame in np.flatnonzero(there & np.isfinite(apart).any(axis=0)):
                entries.append(Entry(group, str(frame), names[int(apart[:, frame].argmin())], subject, side))
        return entries

    @cached_property
    def _sequence(self):  # type: ignore[no-untyped-def]  # frames follow each other, so the last sequences are kept
        return lru_cache(maxsize=4)(self._read_sequence)

    def _read_sequence(self, group: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        folder = self.path(*group.split("/"))
        meta = read_yaml(find(folder, "meta.yaml"))
        hands, objects = read_numbers(find(folder, "poses_m.npy"), 51), read_numbers(find(folder, "poses_o.npy"), 7)
        if hands.ndim != 3 or len(hands) != 2 or objects.ndim != 3 or hands.shape[1] != objects.shape[1]:
            raise HopriorError(
                f"{folder}: poses of hands {hands.shape} and objects {objects.shape} do not fit together"
            )
        if len(meta["object_ids"]) != len(objects):
            raise HopriorError(f"{folder}: meta.yaml names {len(meta['object_ids'])} objects of {len(objects)}")
        return meta, hands, objects

    def mesh_path(self, name: str) -> Path:
        """The cleaned scan, else the textured one."""
        places = [self.path("models", name, mesh) for mesh in MESHES]
        return next((place for place in places if is_file(place)), places[0])

    def make_object(self, name: str) -> RecordedObject:
        """The set has no words for its objects."""
        return RecordedObject(self.info(name, "object" if CODE.match(name) else None))

    @cached_property
    def _yaml(self):  # type: ignore[no-untyped-def]  # calibrations are those of many sequences
        return lru_cache(maxsize=32)(read_yaml)

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """Of the whole sequence, and the frame's labels."""
        folder = self.path(*entry.group.split("/"))
        yield from (find(folder, name) for name in ("meta.yaml", "poses_m.npy", "poses_o.npy"))
        cameras = sorted(name for name in listing(folder).values() if name.isdigit())
        yield from (folder / serial / f"label_{int(entry.item):06d}.npz" for serial in cameras)

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one frame, in the table's world."""
        meta, hands, objects = self._sequence(entry.group)
        which, number = SIDES.index(entry.side), int(entry.item)
        values = vector(hands[which, number], 51, "poses_m")
        if (values == ABSENT).all():
            raise FrameSkipped("no such hand in the frame")
        place = vector(objects[[str(name) for name in meta["object_ids"]].index(entry.object), number], 7, "poses_o")
        betas = self._yaml(self.path("calibration", "mano", f"{meta['subject_id']}.yaml"))["betas"]
        joints, camera, images = self._seen(entry, meta, which)
        thing = self.object(entry.object)
        return RecordedSample(
            **self.origin(entry, number),
            reading=ManoReading(
                entry.side,
                values[:3],
                values[3:48],
                vector(betas, 10, "betas"),
                values[48:],
                is_pca=True,
                flat_hand_mean=False,
            ),
            joints_given=joints,
            object=thing,
            T_scene_object=rigid(unitquat_to_rotmat(place[:4] / place[:4].norm()), place[4:]),
            camera=camera,
            images=images,
            text=thing.info.text,
        )

    def _seen(
        self, entry: Entry, meta: dict[str, Any], which: int
    ) -> tuple[torch.Tensor | None, Camera | None, dict[str, ImageFile]]:
        """Joints in the world, camera and pictures of the first camera with labels of the frame; none without any."""
        folder, number = self.path(*entry.group.split("/")), int(entry.item)
        for serial in map(str, meta["realsense"]["serials"]):
            label = folder / serial / f"label_{number:06d}.npz"
            if not is_file(label):
                continue
            content = read_npz(label)
            joints = vector(content["hand_joints_3d"][which], 63, "hand_joints_3d").view(21, 3)
            K = vector(content["cam_K"], 9, "cam_K").view(3, 3)
            T_world_camera = self._camera(str(meta["extrinsics"]), serial)
            size = (int(meta["realsense"]["width"]), int(meta["realsense"]["height"]))
            images = {
                "image": ImageFile(folder / serial / f"color_{number:06d}.jpg"),
                "depth": ImageFile(folder / serial / f"depth_{number:06d}.png", "depth", 0.001),
            }
            camera = Camera(K, torch.linalg.inv(T_world_camera), size)
            if (joints == ABSENT).all():
                return None, camera, images
            return transform_points(T_world_camera, reorder_joints(joints, "openpose")), camera, images
        return None, None, {}

    def _camera(self, name: str, serial: str) -> torch.Tensor:
        """A camera in the world of the table's tag: both are given in the frame of one camera."""
        places = self._yaml(self.path("calibration", "extrinsics", name if name.endswith(".yaml") else f"{name}.yaml"))
        tag, camera = (_transform(places["extrinsics"][which]) for which in ("tag_1", serial))
        return torch.linalg.inv(tag) @ camera


def _transform(values: object) -> torch.Tensor:
    rows = vector(values, 12, "extrinsics").view(3, 4)
    return rigid(rows[:, :3], rows[:, 3])
