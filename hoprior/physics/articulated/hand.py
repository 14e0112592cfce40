"""A hand model as 16 rigid bodies with hinges, capsules and masses: what all files for simulators are made from."""

from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int

from hoprior.hand import HandModel
from hoprior.hand.base import Side
from hoprior.hand.bones import KNUCKLES
from hoprior.hand.joint_order import JOINT_NAMES, NEXT_JOINT, PARENTS, TIP_FINGERS
from hoprior.physics.articulated.capsules import Capsule, fit_capsule
from hoprior.physics.articulated.hinges import HINGE_AXES, HINGE_NAMES, hinge_ranges
from hoprior.physics.articulated.tissue import Mass, part_masses

PALM_START = 0.2
"""Where between the wrist and the knuckles the palm's capsules are expected to start."""
BONE_SPAN = (0.05, 0.75)
"""Where between their joints the last bones' capsules are expected to end: a tip is on the skin."""


@dataclass(frozen=True, eq=False)
class Link:
    """One of the rigid bodies. At rest its axes are the hand frame's, and its origin is its joint; metres.

    Attributes:
        name: of its joint, `JOINT_NAMES`.
        parent: its number among the links; -1 for the wrist.
        offset: its joint in its parent's frame.
        axes: of its hinges, `HINGE_NAMES`, at rest; none for the wrist.
        low, high: ranges of the hinges, radians.
        capsules: what it collides with.
        mass: about its origin.
        skin, faces: the skin that moves with it, for looks.
    """

    name: str
    parent: int
    offset: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "h 3"]
    low: Float[np.ndarray, " h"]
    high: Float[np.ndarray, " h"]
    capsules: tuple[Capsule, ...]
    mass: Mass
    skin: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]

    @property
    def hinge_names(self) -> tuple[str, ...]:
        """Names of its hinges: "index1_flexion" and so on; none for the wrist."""
        return tuple(f"{self.name}_{hinge}" for hinge in HINGE_NAMES[: len(self.axes)])


@dataclass(frozen=True, eq=False)
class ArticulatedHand:
    """A hand of rigid bodies in the hand frame.

    Attributes:
        name: of the model that it is made from.
        links: the wrist's first, each after its parent.
        tips: of the five fingertips (`TIP_FINGERS`), the link that each is on and its place there.
        skin, faces, weights: the whole skin at rest and its skinning weights.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = articulated(load_hand())
        >>> len(hand.links), len(hand.hinge_names), bool(0.3 < hand.mass < 0.6)
        (16, 45, True)
    """

    name: str
    side: Side
    origin: str
    links: tuple[Link, ...]
    tips: tuple[tuple[int, Float[np.ndarray, " 3"]], ...]
    skin: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    weights: Float[np.ndarray, "v 16"]

    @property
    def hinge_names(self) -> tuple[str, ...]:
        """Of all its hinges, finger by finger, as `hinges_of` lists their angles."""
        return tuple(name for link in self.links for name in link.hinge_names)

    @property
    def mass(self) -> float:
        """Of the whole hand, kg."""
        return sum(link.mass.mass for link in self.links)

    @property
    def low(self) -> Float[np.ndarray, "15 3"]:
        """Least angles of the hinges."""
        return np.stack([link.low for link in self.links[1:]])

    @property
    def high(self) -> Float[np.ndarray, "15 3"]:
        """Greatest angles of the hinges."""
        return np.stack([link.high for link in self.links[1:]])


def articulated(model: HandModel, betas: Float[np.ndarray, " 10"] | None = None) -> ArticulatedHand:
    """A hand model of a shape (the average one without `betas`) as rigid bodies.

    Joints are where the model has them and turn as it does, so that every pose has the same joints. Ranges are the
    model's limits; capsules are fitted to the skin, masses are the flesh's.
    """
    model = model.cpu()
    shape = None if betas is None else torch.as_tensor(np.asarray(betas), dtype=torch.float32)[None]
    flat = model(torch.zeros(1, 15, 3), shape)
    skin = flat.verts[0].double().numpy()
    joints = flat.joints[0].double().numpy()
    part, faces = model.vertex_part.numpy(), model.faces.numpy()
    masses = part_masses(trimesh.Trimesh(skin, faces, process=False), part, len(PARENTS))
    axes = model.axes[:, HINGE_AXES].double().numpy()
    low, high = hinge_ranges(model.angle_low, model.angle_high, model.axes)
    links = []
    for k, parent in enumerate(PARENTS):
        here = joints[k]
        own_faces = faces[part[faces[:, 0]] == k]
        used, renamed = np.unique(own_faces, return_inverse=True)
        hinged = k > 0
        links.append(
            Link(
                name=JOINT_NAMES[k],
                parent=parent,
                offset=here - (joints[parent] if hinged else 0),
                axes=axes[k - 1] if hinged else np.zeros((0, 3)),
                low=low[k - 1] if hinged else np.zeros(0),
                high=high[k - 1] if hinged else np.zeros(0),
                capsules=tuple(capsule.moved(-here) for capsule in _capsules(k, skin[part == k], joints)),
                mass=masses[k]._replace(center=masses[k].center - here),
                skin=skin[used] - here,
                faces=renamed.reshape(-1, 3),
            )
        )
    tips = []
    for tip, vertex in enumerate(model.tip_ids.tolist()):
        bone = int(part[vertex])
        tips.append((bone, joints[len(PARENTS) + tip] - joints[bone]))
    return ArticulatedHand(
        name=model.name,
        side=model.side,
        origin=model.origin(),
        links=tuple(links),
        tips=tuple(tips),
        skin=skin,
        faces=faces,
        weights=model.weights.double().numpy(),
    )


def tip_names() -> tuple[str, ...]:
    """Names of the five fingertips, in the order of `ArticulatedHand.tips`."""
    return tuple(f"{finger}_tip" for finger in TIP_FINGERS)


def _capsules(link: int, skin: np.ndarray, joints: np.ndarray) -> list[Capsule]:
    """Of one link, in the hand frame: one for a finger's bone, for the palm one along each metacarpal."""
    if link > 0:
        start, end = joints[link], joints[NEXT_JOINT[link - 1]]
        last = NEXT_JOINT[link - 1] >= len(PARENTS)
        span = BONE_SPAN if last else (0.0, 1.0)
        return [fit_capsule(skin, *(start + share * (end - start) for share in span))]
    ends = joints[list(KNUCKLES)]
    starts = joints[0] + PALM_START * (ends - joints[0])
    bones = [Capsule(a, b, 0.0) for a, b in zip(starts, ends, strict=True)]
    nearest = np.argmin([bone.distance(skin) for bone in bones], axis=0)
    return [fit_capsule(skin[nearest == k], bone.start, bone.end) for k, bone in enumerate(bones)]
