"""What is written for simulators: a hand, and perhaps an object on a plane with the grasps of it as key frames."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.state import SignedDistance
from hoprior.physics.articulated.forces import GRIP, planned_forces
from hoprior.physics.articulated.hand import ArticulatedHand
from hoprior.physics.articulated.tissue import Mass
from hoprior.physics.posed import FINGER_PARTS, surface_normals
from hoprior.physics.simulation.convex import ConvexParts

STIFFNESS = 3.0
"""Of a hinge's position control, Nm/rad."""
TORQUE = 3.0
"""The most that a hinge is turned with, Nm."""
TOUCHING = 0.008
"""Skin that is nearer (m) than this to the object presses on it."""
OPEN_STEP = np.radians(2.5)
"""Fingers open in steps of this until they are clear of the object."""
SAME_GAP = 2e-4
"""Gaps (m) that differ by less are the same: a finger opens no farther for so little."""
THUMB_BASE = 13
"""The link of the thumb's first joint."""
OPENED = np.radians(45.0)
"""How far a finger opens at most at each of its joints."""
OPEN_CLEARANCE = 0.001
"""How far (m) an open finger's capsules are from the object. Not farther: a finger in a handle is to stay in it."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """The object, in its file's axes, metres: convex parts to collide with, a surface to look at, its mass (kg)."""

    name: str
    parts: ConvexParts
    surface: trimesh.Trimesh
    mass: float

    @property
    def density(self) -> float:
        """Of its convex parts, kg/m³."""
        return self.mass / self.parts.volume

    @property
    def inertia(self) -> Mass:
        """Of its convex parts about their common centre, in the axes of its file."""
        pieces = [piece.copy() for piece in self.parts.hulls]
        for piece in pieces:
            piece.density = self.density
        center = np.sum([piece.mass * piece.center_mass for piece in pieces], axis=0) / self.mass
        inertia = np.zeros((3, 3))
        for piece in pieces:
            off = piece.center_mass - center
            inertia += piece.moment_inertia + piece.mass * (off @ off * np.eye(3) - np.outer(off, off))
        return Mass(self.mass, center, inertia)


@dataclass(frozen=True, eq=False)
class Keyframe:
    """One grasp, as simulators can start from it.

    Attributes:
        name: "grasp_000" and so on.
        T_object_hand: the wrist in the object's frame, metres.
        hinges: of the grasp, `ArticulatedHand.hinge_names`, radians.
        targets: what the position control is told, so that the fingers press; the grasp's, and a little farther.
        opened: the same fingers before they close.
    """

    name: str
    T_object_hand: Float[np.ndarray, "4 4"]
    hinges: Float[np.ndarray, "15 3"]
    targets: Float[np.ndarray, "15 3"]
    opened: Float[np.ndarray, "15 3"]


@dataclass(frozen=True, eq=False)
class Scene:
    """A hand, an object that stands on the plane z = 0 of the world, and grasps of it."""

    hand: ArticulatedHand
    item: SceneObject
    T_world_object: Float[np.ndarray, "4 4"]
    keyframes: tuple[Keyframe, ...]


def standing(surface: trimesh.Trimesh, up: str = "auto") -> Float[np.ndarray, "4 4"]:
    """Takes an object's frame to a world whose z is up: where it stands at the origin, the way it likeliest does.

    Example:
        >>> standing(trimesh.creation.box((0.1, 0.1, 0.3)), up="z")[:3, 3].round(3) + 0.0
        array([0.  , 0.  , 0.15])
    """
    rest = rest_poses(surface, up)
    direction = np.array([0.0, 0.0, 1.0])
    if rest is not None:
        direction = rest.likeliest_up().double().numpy()
    T_world_object = np.eye(4)
    T_world_object[:3, :3] = Rotation.align_vectors([[0.0, 0.0, 1.0]], direction[None])[0].as_matrix()
    points = surface.vertices @ T_world_object[:3, :3].T
    low, high = points.min(axis=0), points.max(axis=0)
    T_world_object[:3, 3] = -np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return T_world_object


@dataclass(frozen=True, eq=False)
class Placed:
    """The links of a hand that is bent: their frames, and the axes of the hinges, in the frame of its wrist."""

    rotations: Float[np.ndarray, "16 3 3"]
    origins: Float[np.ndarray, "16 3"]
    axes: Float[np.ndarray, "16 3 3"]

    def points(self, link: int, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points that a link carries."""
        return points @ self.rotations[link].T + self.origins[link]


def place_links(hand: ArticulatedHand, hinges: Float[np.ndarray, "15 3"]) -> Placed:
    """Forward kinematics over the hinges, as the written files have them.

    Example:
        >>> from hoprior.hand import load_hand
        >>> from hoprior.physics.articulated.hand import articulated
        >>> place_links(articulated(load_hand()), np.zeros((15, 3))).origins[0]
        array([0., 0., 0.])
    """
    rotations, origins, axes = np.zeros((16, 3, 3)), np.zeros((16, 3)), np.zeros((16, 3, 3))
    rotations[0] = np.eye(3)
    for k, link in enumerate(hand.links[1:], start=1):
        origins[k] = rotations[link.parent] @ link.offset + origins[link.parent]
        turned = rotations[link.parent]
        for hinge, (axis, angle) in enumerate(zip(link.axes, hinges[k - 1], strict=True)):
            axes[k, hinge] = turned @ axis
            turned = turned @ Rotation.from_rotvec(angle * axis).as_matrix()
        rotations[k] = turned
    return Placed(rotations, origins, axes)


class Press(NamedTuple):
    """Where a link touches the object, in the object's frame: the point, and the way out of the surface."""

    link: int
    point: Float[np.ndarray, " 3"]
    normal: Float[np.ndarray, " 3"]


def presses(
    hand: ArticulatedHand, placed: Placed, T_object_hand: Float[np.ndarray, "4 4"], sdf: SignedDistance
) -> list[Press]:
    """The point of each link, the wrist's among them, that is nearest to the object, where it touches."""
    skins = [placed.points(k, link.skin) for k, link in enumerate(hand.links)]
    points = torch.tensor(np.concatenate(skins) @ T_object_hand[:3, :3].T + T_object_hand[:3, 3], dtype=torch.float32)
    distance = sdf(points[None])[0]
    found = []
    for k, (own, gaps) in enumerate(
        zip(points.split([len(s) for s in skins]), distance.split([len(s) for s in skins]), strict=True)
    ):
        if float(gaps.min()) < TOUCHING:
            point = own[gaps.argmin()]
            normal = surface_normals(sdf, point[None, None])[0, 0]
            found.append(Press(k, point.double().numpy(), normal.double().numpy()))
    return found


def pressed(
    hand: ArticulatedHand,
    hinges: Float[np.ndarray, "15 3"],
    T_object_hand: Float[np.ndarray, "4 4"],
    sdf: SignedDistance,
    center: Float[np.ndarray, " 3"],
    grip: float = GRIP,
) -> Float[np.ndarray, "15 3"]:
    """Targets of the hinges with which the fingers that touch the object press on it, about `grip` newton each.

    Torques of `planned_forces` (the transposed Jacobian) over the control's stiffness are how much farther hinges are
    told to go.

    Args:
        center: the object's centre of mass, in its frame.
    """
    placed, targets = place_links(hand, hinges), hinges.copy()
    touching = presses(hand, placed, T_object_hand, sdf)
    if not touching:
        return targets
    points, normals = (np.array([getattr(press, name) for press in touching]) for name in ("point", "normal"))
    forces = planned_forces(points, normals, [(press.link + 2) // 3 for press in touching], center, grip)
    turn, shift = T_object_hand[:3, :3], T_object_hand[:3, 3]
    for press, force in zip(touching, forces @ turn, strict=True):
        point, link = turn.T @ (press.point - shift), press.link
        while link > 0:
            levers = np.cross(placed.axes[link], point - placed.origins[link])
            targets[link - 1] += (levers @ force).clip(-TORQUE, TORQUE) / STIFFNESS
            link = hand.links[link].parent
    return targets


def opened(
    hand: ArticulatedHand,
    hinges: Float[np.ndarray, "15 3"],
    T_object_hand: Float[np.ndarray, "4 4"],
    sdf: SignedDistance,
) -> Float[np.ndarray, "15 3"]:
    """The same hand with every finger opened by as little as takes its capsules off the object, or as far as it goes.

    Fingers straighten at all their joints alike; the thumb opens to its side. One that nothing takes off the object is
    left where it is farthest out of it.
    """
    found = hinges.copy()
    for chain in FINGER_PARTS:
        best = -np.inf
        for step in np.arange(0.0, OPENED + OPEN_STEP, OPEN_STEP):
            tried = found.copy()
            for link in chain:
                # What bends a thumb across the palm is the abduction of its first joint.
                move = np.array([0.0, -step, 0.0] if link == THUMB_BASE else [-step, 0.0, 0.0])
                least = np.minimum(hand.links[link].low, hinges[link - 1])
                tried[link - 1] = np.maximum(hinges[link - 1] + move, least)
            gap = _least_gap(hand, tried, T_object_hand, sdf, chain)
            if gap > best + SAME_GAP:
                best, chosen = gap, tried
            if gap > OPEN_CLEARANCE:
                break
        found = chosen
    return found


def _least_gap(
    hand: ArticulatedHand,
    hinges: np.ndarray,
    T_object_hand: np.ndarray,
    sdf: SignedDistance,
    chain: tuple[int, ...],
) -> float:
    placed, gaps = place_links(hand, hinges), []
    for link in chain:
        for capsule in hand.links[link].capsules:
            along = capsule.start + np.linspace(0, 1, 8)[:, None] * (capsule.end - capsule.start)
            points = placed.points(link, along) @ T_object_hand[:3, :3].T + T_object_hand[:3, 3]
            distance = sdf(torch.tensor(points[None], dtype=torch.float32))
            gaps.append(float(distance.min()) - capsule.radius)
    return min(gaps)
