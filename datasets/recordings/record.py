"""The one form of a recorded frame: a hand and an object in a scene, as a dataset's own files say it.

Metres and radians. The *scene* is the frame in which a dataset gives its poses: the camera (x right, y down, z away,
as OpenCV has it) or the world; `camera` leads from it into the picture. A left hand stays a left hand here: it is
mirrored only where it becomes a training sample (`source.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.datasets.recordings.hands import Hands, ManoReading
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.samples.sample import ObjectInfo, Side, Split
from hoprior.errors import HopriorError
from hoprior.geometry.camera import project
from hoprior.geometry.mesh import ObjectMesh, prepare_mesh, read_surface
from hoprior.geometry.state import transform_points
from hoprior.hand import HandPose
from hoprior.language.labels import GraspLabel

Centre = Literal["none", "bounds", "mean"]


@dataclass(frozen=True)
class RecordedObject:
    """An object and where its mesh is, which is read only when it is asked for.

    The file's vertices, moved so that the `centre` of their box (`bounds`) or of themselves (`mean`) is the origin,
    then mapped by `T_object_mesh` (which may scale and mirror), are in metres in the object's frame.
    """

    info: ObjectInfo
    T_object_mesh: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    centre: Centre = "none"

    @property
    def path(self) -> Path:
        """The mesh's file."""
        return Path(self.info.mesh)

    def surface(self) -> trimesh.Trimesh:
        """The mesh as it was scanned, metres, object frame.

        Raises:
            HopriorError: the file is missing or damaged.
        """
        mesh = read_surface(self.path)
        if self.centre != "none":
            points = mesh.bounds if self.centre == "bounds" else mesh.vertices
            mesh.apply_translation(-np.asarray(points).mean(axis=0))
        T = self.T_object_mesh.double().numpy()
        faces = mesh.faces if np.linalg.det(T[:3, :3]) > 0 else mesh.faces[:, ::-1]
        return trimesh.Trimesh(np.asarray(mesh.vertices) @ T[:3, :3].T + T[:3, 3], faces, process=False)

    def mesh(self) -> ObjectMesh:
        """The mesh, mended and fit for signed distances; see `prepare_mesh`."""
        return prepare_mesh(self.surface(), self.info.key)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: pixel = K (T_camera_scene @ point), divided by depth. `size` is (width, height), if known."""

    K: Float[Tensor, "3 3"]
    T_camera_scene: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    size: tuple[int, int] | None = None

    def project(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
        """Pixels (x, y) of points of the scene."""
        return project(transform_points(self.T_camera_scene, points)[None], self.K[None])[0]


class Origin(TypedDict):
    """Which frame of which dataset a sample is: arguments of `RecordedSample`, as an adapter's entry says them."""

    dataset: str
    key: str
    side: Side
    hands: Hands
    subject: str
    sequence: str
    frame: int
    split: Split


@dataclass(frozen=True)
class RecordedSample:
    """One hand at one object in one frame of a recording.

    Attributes:
        dataset, key: the adapter's name, and the frame's name, unique within it.
        side: of the hand, as recorded.
        hands: the hand models by which `reading` is understood.
        reading: the hand's parameters in the file's own convention; None where a dataset has only joints.
        joints_given: (21, 3) joints from the file, scene frame, MANO's order; None where there are only parameters.
        object: None in frames without one that is known.
        T_scene_object: the object's frame in the scene.
        frame: number within the sequence.
        images: files by what they show: "image", "depth", "hand_mask", "object_mask"; read when asked for.
        up_scene: which way is up in the scene; None where nobody knows.
        in_contact: whether the dataset says that hand and object touch; None where it does not.
        occluded: which of the joints the dataset says its camera does not see; None where it does not say.
    """

    dataset: str
    key: str
    side: Side
    hands: Hands
    subject: str
    sequence: str
    frame: int
    split: Split
    reading: ManoReading | None = None
    joints_given: Float[Tensor, "21 3"] | None = None
    object: RecordedObject | None = None
    T_scene_object: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    camera: Camera | None = None
    images: Mapping[str, ImageFile] = field(default_factory=dict)
    label: GraspLabel = field(default_factory=GraspLabel)
    text: str = ""
    up_scene: Float[Tensor, " 3"] | None = None
    in_contact: bool | None = None
    occluded: Bool[Tensor, "21"] | None = None

    @property
    def licence(self) -> str:
        """Of the object and the recording."""
        return self.object.info.licence if self.object is not None else ""

    @property
    def category(self) -> str:
        """What a person would call the object."""
        return self.object.info.category if self.object is not None else ""

    @cached_property
    def pose(self) -> HandPose | None:
        """MANO's parameters (one hand) that map the hand frame into the scene; None without them, or without MANO.

        Axis-angle from the flat hand in the hand frame's axes, whatever the file has (docs/conventions.md).
        """
        if self.reading is None or not self.hands.has_mano(self.reading.side):
            return None
        return self.hands.pose(self.reading)

    @cached_property
    def joints(self) -> Float[Tensor, "21 3"]:
        """The file's own joints, else those of MANO, in the scene.

        Raises:
            HopriorError: the file has parameters only, and MANO is not there to understand them.
        """
        if self.joints_given is not None:
            return self.joints_given
        if self.reading is None:
            raise HopriorError(f"{self.dataset} {self.key}: no joints and no hand parameters")
        return self.joints_of_model()

    def joints_of_model(self) -> Float[Tensor, "21 3"]:
        """The joints of MANO with the file's parameters, in the scene."""
        assert self.reading is not None
        return self.hands.joints([self.reading])[0]

    @cached_property
    def T_scene_hand(self) -> Float[Tensor, "4 4"]:
        """The hand frame in the scene: MANO's own, else the open hand's palm laid on the joints."""
        return self.hands.frame(self.side, self.joints, self.pose)

    @property
    def T_object_scene(self) -> Float[Tensor, "4 4"]:
        """The scene in the object's frame."""
        return torch.linalg.inv(self.T_scene_object)

    @property
    def T_object_hand(self) -> Float[Tensor, "4 4"]:
        """The hand frame (of the recorded side) in the object's frame."""
        return self.T_object_scene @ self.T_scene_hand

    @property
    def T_hand_object(self) -> Float[Tensor, "4 4"]:
        """The object in the hand's frame."""
        return torch.linalg.inv(self.T_object_hand)

    @property
    def joints_object(self) -> Float[Tensor, "21 3"]:
        """The joints in the object's frame."""
        return transform_points(self.T_object_scene, self.joints)

    def image(self, name: str = "image") -> Any:
        """A picture of the frame, read now: colours (h, w, 3) uint8, depth (h, w) metres, masks (h, w) bool.

        Raises:
            HopriorError: the dataset has no such picture, or its file is missing or damaged.
        """
        if name not in self.images:
            known = ", ".join(self.images) or "none"
            raise HopriorError(f"{self.dataset} {self.key}: no '{name}' here; there is {known}")
        return self.images[name].read()


def joints_of(samples: Sequence[RecordedSample]) -> Float[Tensor, "n 21 3"]:
    """The joints of samples in their scenes, those of parameters all at once."""
    read = [s.reading for s in samples if s.joints_given is None and s.reading is not None]
    if len(read) == len(samples):
        return samples[0].hands.joints(read)
    return torch.stack([sample.joints for sample in samples])
