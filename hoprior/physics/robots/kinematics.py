"""How a robot's hand moves: places and Jacobians of its links, points on them, and how near they come to each other.

MuJoCo computes it; the hand is told to it link by link, with its fixed frames, which its own reader of URDF drops.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.physics.articulated.mjcf import numbers
from hoprior.physics.robots.description import RobotDescription
from hoprior.physics.robots.fingers import RobotFinger
from hoprior.physics.simulation.extras import require

ARMATURE, DAMPING = 2e-4, 0.05
"""As the open hand's: a motor's rotor, and what joints lose."""
LEAST_MASS, LEAST_INERTIA = 0.005, 2e-6
POINT_SPACING = 0.006
"""Points on a link's shapes are about so far (m) apart."""
MOST_POINTS = 60
"""Of one shape."""
SELF_MARGIN = 0.002
"""Links are told from each other when nearer (m) than this."""
TRIED_POSES, ALWAYS = 40, 0.5
"""Two links that meet in more than this share of poses always do: their shapes are simpler than they are."""
SYMMETRIC = 0.3
"""A joint whose range lies about zero by less than this share to one side neither opens nor closes."""


@dataclass(frozen=True, eq=False)
class PlacedLinks:
    """Links of a bent hand in the frame of its base: where they are, and how they move with the driven joints.

    Attributes:
        turning, moving: angular velocity, and velocity of a link's origin, for each driven joint.
    """

    rotations: Float[np.ndarray, "l 3 3"]
    origins: Float[np.ndarray, "l 3"]
    turning: Float[np.ndarray, "l 3 d"]
    moving: Float[np.ndarray, "l 3 d"]

    def points(self, link: Int[np.ndarray, " n"], points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points that links carry."""
        return np.einsum("nij,nj->ni", self.rotations[link], points) + self.origins[link]

    def velocities(self, link: Int[np.ndarray, " n"], places: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 d"]:
        """How points at `places`, which links carry, move with the driven joints."""
        arms = places - self.origins[link]
        return self.moving[link] + np.cross(self.turning[link], arms[:, :, None], axis=1)


@dataclass(frozen=True, eq=False)
class Shape:
    """One convex shape of a link that collides: its planes' normals, outwards, and offsets along them."""

    link: int
    bounds: Float[np.ndarray, "2 3"]
    normals: Float[np.ndarray, "f 3"]
    offsets: Float[np.ndarray, " f"]

    @classmethod
    def of(cls, link: int, hull: trimesh.Trimesh) -> "Shape":
        """A link's hull."""
        offsets = np.einsum("fj,fj->f", hull.face_normals, hull.triangles[:, 0])
        return cls(link, np.asarray(hull.bounds), np.asarray(hull.face_normals), offsets)

    def under(
        self, placed: PlacedLinks, points: Float[np.ndarray, "n 3"]
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k f"]]:
        """Of points in the base's frame those in its box, and how far (m) each is beneath each plane."""
        local = (points - placed.origins[self.link]) @ placed.rotations[self.link]
        rows = np.flatnonzero(((local >= self.bounds[0]) & (local <= self.bounds[1])).all(axis=1))
        return rows, self.offsets - local[rows] @ self.normals.T


@dataclass(frozen=True, eq=False)
class Meeting:
    """Two of its links that are too near to each other: by how much, m, and how that changes with driven joints."""

    depth: float
    slope: Float[np.ndarray, " d"]


class RobotHand:
    """A robot's hand that bends.

    Attributes:
        description, fingers: what it is made of.
        shapes: the convex ones that collide.
        point_link, points, normals: points on the shapes that collide, in their links' frames, with normals outwards.

    Raises:
        HopriorError: mujoco is not installed.
    """

    def __init__(self, description: RobotDescription, fingers: tuple[RobotFinger, ...]) -> None:
        self.mujoco = require("mujoco", "sim")
        self.description, self.fingers = description, fingers
        root = ElementTree.Element("mujoco", model="robot")
        ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
        add_hand(root, description, meets_itself=True)
        self.model = self.mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
        self.data = self.mujoco.MjData(self.model)
        names = [f"link_{k}" for k in range(len(description.links))]
        self.body = np.array([self.model.body(name).id for name in names])
        self.link_of = {int(body): k for k, body in enumerate(self.body)}
        self.at = np.array([int(self.model.joint(f"joint_{k}").qposadr[0]) for k in range(len(description.joints))])
        self.dof = np.array([int(self.model.joint(f"joint_{k}").dofadr[0]) for k in range(len(description.joints))])
        hulls = [(k, hull) for k, link in enumerate(description.links) for hull in link.hulls]
        self.shapes = [Shape.of(k, hull) for k, hull in hulls]
        sampled = [_surface_points(hull) for _, hull in hulls]
        self.points = np.concatenate([points for points, _ in sampled])
        self.normals = np.concatenate([normals for _, normals in sampled])
        self.point_link = np.repeat([k for k, _ in hulls], [len(points) for points, _ in sampled])
        self._ignored = self._always_meeting()

    @property
    def low(self) -> Float[np.ndarray, " d"]:
        """Least values of the driven joints."""
        return self.description.low

    @property
    def high(self) -> Float[np.ndarray, " d"]:
        """Greatest values of the driven joints."""
        return self.description.high

    @cached_property
    def corners(self) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, "c 3"]]:
        """Of all corners of its shapes the link, and the place in its frame."""
        hulls = [(k, hull) for k, link in enumerate(self.description.links) for hull in link.hulls]
        links = np.repeat([k for k, _ in hulls], [len(hull.vertices) for _, hull in hulls])
        return links, np.concatenate([np.asarray(hull.vertices) for _, hull in hulls])

    @cached_property
    def closing(self) -> Float[np.ndarray, " d"]:
        """Of each driven joint +1 or -1, as it bends its finger: the longer side of its range; 0 if it spreads."""
        reach, middle = self.high - self.low, self.high + self.low
        return np.where(np.abs(middle) < SYMMETRIC * reach, 0.0, np.sign(middle))

    def closed(self, share: float) -> Float[np.ndarray, " d"]:
        """Driven joints of a hand whose fingers are all closed by a share of what they can."""
        opened = np.clip(0.0, self.low, self.high)
        ends = np.where(self.closing > 0, self.high, np.where(self.closing < 0, self.low, opened))
        return opened + share * (ends - opened)

    def place(self, driven: Float[np.ndarray, " d"]) -> PlacedLinks:
        """Forward kinematics."""
        self._bend(driven)
        self.mujoco.mj_comPos(self.model, self.data)
        count = len(self.body)
        moving, turning = np.zeros((count, 3, self.model.nv)), np.zeros((count, 3, self.model.nv))
        for k, body in enumerate(self.body):
            self.mujoco.mj_jacBody(self.model, self.data, moving[k], turning[k], body)
        coupled = self.description.coupling
        return PlacedLinks(
            self.data.xmat[self.body].reshape(-1, 3, 3).copy(),
            self.data.xpos[self.body].copy(),
            turning[:, :, self.dof] @ coupled,
            moving[:, :, self.dof] @ coupled,
        )

    def meetings(self, driven: Float[np.ndarray, " d"], placed: PlacedLinks) -> list[Meeting]:
        """Where its links are nearer to each other than `SELF_MARGIN`, apart from those that always are."""
        found = []
        for contact in self._contacts(driven):
            first, second = (self.link_of[int(self.model.geom_bodyid[geom])] for geom in (contact.geom1, contact.geom2))
            if (min(first, second), max(first, second)) in self._ignored:
                continue
            normal, place = contact.frame[:3], contact.pos[None]
            speeds = placed.velocities(np.array([second]), place) - placed.velocities(np.array([first]), place)
            found.append(Meeting(SELF_MARGIN - float(contact.dist), -(normal @ speeds[0])))
        return found

    def self_depth(self, driven: Float[np.ndarray, " d"]) -> float:
        """How deep (m) its links are in each other at worst; 0 where they are not."""
        placed = self.place(driven)
        return max([0.0, *(meeting.depth - SELF_MARGIN for meeting in self.meetings(driven, placed))])

    def surface(self, driven: Float[np.ndarray, " d"], T: Float[np.ndarray, "4 4"]) -> trimesh.Trimesh:
        """What the bent hand looks like, its base at `T`."""
        placed, pieces = self.place(driven), []
        for k, link in enumerate(self.description.links):
            if link.seen is not None:
                verts = np.asarray(link.seen.vertices) @ placed.rotations[k].T + placed.origins[k]
                pieces.append(trimesh.Trimesh(verts @ T[:3, :3].T + T[:3, 3], link.seen.faces, process=False))
        joined = cast(trimesh.Trimesh, trimesh.util.concatenate(pieces))
        return trimesh.Trimesh(joined.vertices, joined.faces, process=False)

    @cached_property
    def link_of_vertex(self) -> Int[np.ndarray, " v"]:
        """The number of the link that carries each vertex of `surface`."""
        seen = [(k, len(link.seen.vertices)) for k, link in enumerate(self.description.links) if link.seen is not None]
        return np.repeat(*(np.array(column) for column in zip(*seen, strict=True)))

    def _bend(self, driven: np.ndarray) -> None:
        self.data.qpos[self.at] = self.description.all_joints(driven)
        self.mujoco.mj_kinematics(self.model, self.data)

    def _contacts(self, driven: np.ndarray) -> list[Any]:
        self._bend(driven)
        self.mujoco.mj_comPos(self.model, self.data)
        self.mujoco.mj_collision(self.model, self.data)
        return list(self.data.contact[: self.data.ncon])

    def _always_meeting(self) -> frozenset[tuple[int, int]]:
        generator = np.random.default_rng(0)
        rest = [self.closed(0.0), self.closed(0.25), self.closed(0.5)]
        tried = [generator.uniform(self.low, self.high) for _ in range(TRIED_POSES)]
        counts: dict[tuple[int, int], int] = {}
        for number, driven in enumerate((*rest, *tried)):
            pairs = set()
            for contact in self._contacts(driven):
                links = [self.link_of[int(self.model.geom_bodyid[geom])] for geom in (contact.geom1, contact.geom2)]
                if contact.dist < 0:
                    pairs.add((min(links), max(links)))
            for pair in pairs:
                # Open hands do not touch themselves.
                counts[pair] = counts.get(pair, 0) + (len(tried) if number == 0 else 1)
        return frozenset(pair for pair, count in counts.items() if count > ALWAYS * len(tried))


def add_hand(
    root: ElementTree.Element, description: RobotDescription, meets_itself: bool = False, free: bool = False
) -> None:
    """Adds a hand's bodies, joints and shapes to an MJCF document: `link_0` and so on, `joint_0` and so on.

    Args:
        meets_itself: whether its links collide with each other, and not with an object.
        free: whether its base moves freely.
    """
    assets = ElementTree.SubElement(root, "asset")
    world = ElementTree.SubElement(root, "worldbody")
    bodies: list[ElementTree.Element] = []
    count = 0
    for k, link in enumerate(description.links):
        T = link.T_parent_link
        place = world if k == 0 else bodies[link.parent]
        turned = trimesh.transformations.quaternion_from_matrix(T)
        body = ElementTree.SubElement(
            place, "body", name=f"link_{k}", pos=numbers(T[:3, 3]), quat=numbers(turned), gravcomp="1"
        )
        bodies.append(body)
        if k == 0 and free:
            ElementTree.SubElement(body, "freejoint", name="hand_root")
        if link.joint is not None:
            joint = link.joint
            ElementTree.SubElement(
                body, "joint", name=f"joint_{count}", type="slide" if joint.sliding else "hinge",
                axis=numbers(joint.axis), range=numbers(np.array([joint.low, max(joint.high, joint.low + 1e-6)])),
                armature=str(ARMATURE), damping=str(DAMPING),
            )  # fmt: skip
            count += 1
        size = max([0.01, *(float(hull.extents.max()) for hull in link.hulls)])
        mass = max(link.mass, LEAST_MASS)
        inertia = max(0.1 * mass * size**2, LEAST_INERTIA)
        middle = np.mean([hull.center_mass for hull in link.hulls], axis=0) if link.hulls else np.zeros(3)
        ElementTree.SubElement(
            body, "inertial", pos=numbers(middle), mass=f"{mass:.6g}", diaginertia=numbers(np.full(3, inertia))
        )
        for number, hull in enumerate(link.hulls):
            name = f"link_{k}_{number}"
            ElementTree.SubElement(assets, "mesh", name=name, vertex=numbers(np.asarray(hull.vertices)))
            ElementTree.SubElement(
                body, "geom", name=name, type="mesh", mesh=name, contype="1", mass="0", group="3",
                conaffinity="1" if meets_itself else "2", condim="4",
                margin=str(SELF_MARGIN if meets_itself else 0),
            )  # fmt: skip


def _surface_points(hull: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Points all over a convex shape, its corners among them, with normals outwards."""
    count = int(np.clip(hull.area / POINT_SPACING**2, 12, MOST_POINTS))
    points, faces = trimesh.sample.sample_surface(hull, 4 * count, seed=0)
    chosen = _spread(points, count)
    return np.asarray(points)[chosen], np.asarray(hull.face_normals)[faces][chosen]


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Numbers of points that are far from each other: the farthest one is added again and again."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    away = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
