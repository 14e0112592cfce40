"""A robot's hand as its URDF describes it: links, joints with limits and mimics, shapes to see and to collide.

URDF as http://wiki.ros.org/urdf/XML describes it. Nothing is read but the file and the meshes that it names.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import QhullError

from hoprior.common.reading import interpreting
from hoprior.errors import HopriorError
from hoprior.geometry.files.contents import MeshFile, broken, placed, unsupported
from hoprior.geometry.files.plain import read_bytes
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.files.robots import child_of, numbers_of, origin_of, shapes_of
from hoprior.geometry.files.scenes import check_entities

MESHES = (".stl", ".obj", ".dae", ".ply", ".glb", ".gltf", ".off", ".3mf")
"""What a link's shape may lie in."""
MOVING = ("revolute", "continuous", "prismatic")
LEAST_RANGE = 1e-6
"""A joint that moves by less (rad, m) does not move."""
MOST_LINKS = 500
MOST_FACES = 3000
"""Of one shape to be seen; more are simplified away."""
USUAL_EFFORT = 3.0
"""Nm, of joints that say nothing."""


@dataclass(frozen=True)
class RobotJoint:
    """What turns or shifts a link at its parent.

    Attributes:
        axis: unit vector in the link's frame.
        low, high: limits, rad or m.
        effort: the most that its motor gives, Nm or N.
        mimic: the joint that it follows, by how much and from where: value = multiplier * that + offset.
    """

    name: str
    sliding: bool
    axis: Float[np.ndarray, " 3"]
    low: float
    high: float
    effort: float = USUAL_EFFORT
    mimic: tuple[str, float, float] | None = None


@dataclass(frozen=True, eq=False)
class RobotLink:
    """One rigid body.

    Attributes:
        parent: its number among the links; -1 for the base.
        T_parent_link: where it is at its parent, with its joint at zero.
        joint: None where it is fixed.
        seen: what it looks like, in its frame, m; None for a mere frame.
        hulls: convex shapes that it collides with, in its frame, m.
        mass: kg.
    """

    name: str
    parent: int
    T_parent_link: Float[np.ndarray, "4 4"]
    joint: RobotJoint | None
    seen: trimesh.Trimesh | None
    hulls: tuple[trimesh.Trimesh, ...]
    mass: float


@dataclass(frozen=True, eq=False)
class RobotDescription:
    """A robot's hand; each link comes after its parent.

    Attributes:
        coupling, offset: all joints' values from those of the driven ones: `coupling @ driven + offset`.
        low, high: limits of the driven joints, within which followers keep to theirs as well.

    Example:
        >>> import tempfile
        >>> text = '''<robot name="finger"><link name="base"/><link name="tip">
        ... <collision><geometry><sphere radius="1"/></geometry></collision></link><joint name="bend" type="revolute">
        ... <parent link="base"/><child link="tip"/><axis xyz="0 1 0"/><limit lower="0" upper="1"/></joint></robot>'''
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "finger.urdf"
        ...     _ = path.write_text(text)
        ...     hand = read_description(path)
        >>> hand.name, hand.driven, hand.high
        ('finger', ('bend',), array([1.]))
    """

    name: str
    source: str
    links: tuple[RobotLink, ...]
    driven: tuple[str, ...]
    coupling: Float[np.ndarray, "j d"]
    offset: Float[np.ndarray, " j"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]

    @property
    def joints(self) -> tuple[RobotJoint, ...]:
        """All that move, in the order of their links."""
        return tuple(link.joint for link in self.links if link.joint is not None)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of all that move, in the order of all arrays of joints."""
        return tuple(joint.name for joint in self.joints)

    def all_joints(self, driven: Float[np.ndarray, " d"]) -> Float[np.ndarray, " j"]:
        """Values of all joints, followers among them."""
        return self.coupling @ driven + self.offset

    def number(self, link: str) -> int:
        """Of the link of a name."""
        return [one.name for one in self.links].index(link)

    def chain(self, link: int) -> list[int]:
        """A link and those that carry it, from it to the base."""
        found = []
        while link >= 0:
            found.append(link)
            link = self.links[link].parent
        return found


def read_description(path: str | Path) -> RobotDescription:
    """Reads a URDF and its meshes.

    Raises:
        HopriorError: it is no URDF, or names a mesh that is not there, or has joints that cannot be kept.
    """
    path = Path(path)
    data = read_bytes(path)
    check_entities(data, path.name)
    try:
        root = ElementTree.fromstring(data.lstrip())
    except ElementTree.ParseError as error:
        raise HopriorError(f"{path.name}: is no URDF ({error}): give a robot hand's .urdf") from error
    if root.tag != "robot":
        raise HopriorError(f"{path.name}: is no URDF (its root is <{root.tag[:40]}>): give a robot hand's .urdf")
    with interpreting(path.name):
        links = _links(root, path)
    joints = tuple(link.joint for link in links if link.joint is not None)
    driven, coupling, offset = _couplings(joints, path.name)
    low, high = _ranges(joints, driven, coupling, offset, path.name)
    name = root.get("name") or path.stem
    names = tuple(joints[k].name for k in driven)
    return RobotDescription(name, str(path), links, names, coupling, offset, low, high)


def _links(root: ElementTree.Element, path: Path) -> tuple[RobotLink, ...]:
    elements = {element.get("name", ""): element for element in root.findall("link")}
    if not elements:
        raise HopriorError(f"{path.name}: describes no links: give a robot hand's .urdf")
    if len(elements) > MOST_LINKS:
        raise HopriorError(f"{path.name}: has {len(elements)} links: give the hand alone, without its robot")
    above: dict[str, ElementTree.Element] = {}
    for joint in root.findall("joint"):
        child, parent = (child_of(joint, tag).get("link", "") for tag in ("child", "parent"))
        for link in (child, parent):
            if link not in elements:
                raise broken(
                    path.name, f"has a joint '{joint.get('name', '')[:60]}' of the link '{link[:60]}', which it lacks"
                )
        if child in above:
            raise broken(path.name, f"has two joints that carry the link '{child[:60]}'")
        above[child] = joint
    bases = [name for name in elements if name not in above]
    if len(bases) != 1:
        found = (
            "joints in a circle" if not bases else f"{len(bases)} links that nothing carries ({', '.join(bases)[:80]})"
        )
        raise broken(path.name, f"has {found}, where one base carries all")
    order, waiting = [bases[0]], [bases[0]]
    children: dict[str, list[str]] = {}
    for child, joint in above.items():
        children.setdefault(child_of(joint, "parent").get("link", ""), []).append(child)
    while waiting:
        order_of = children.get(waiting.pop(0), [])
        order += order_of
        waiting += order_of
    if len(order) != len(elements):
        raise broken(path.name, "has joints in a circle")
    built: list[RobotLink] = []
    for name in order:
        element, mover = elements[name], above.get(name)
        moving = None if mover is None else _joint(mover, path)
        number = -1 if mover is None else order.index(child_of(mover, "parent").get("link", ""))
        place = np.eye(4) if mover is None else origin_of(mover, path)
        seen, hulls = _shapes(element, "visual", path), _shapes(element, "collision", path)
        convex = tuple(hull for shape in hulls or seen for hull in _convex(shape))
        looks = _joined(seen or hulls)
        mass = child_of(child_of(element, "inertial"), "mass").get("value")
        weight = numbers_of(mass, [0.0], path, 1)[0]
        built.append(RobotLink(name, number, place, moving, looks, convex, max(weight, 0.0)))
    return tuple(built)


def _joint(element: ElementTree.Element, path: Path) -> RobotJoint | None:
    name, kind = element.get("name", ""), element.get("type", "")
    if kind == "fixed":
        return None
    if kind not in MOVING:
        raise HopriorError(
            f"{path.name}: joint '{name[:60]}' is of the type '{kind[:20]}': hands have revolute, continuous, prismatic"
            " and fixed ones, give such a hand without a floating base"
        )
    axis = np.array(numbers_of(child_of(element, "axis").get("xyz"), [1.0, 0.0, 0.0], path))
    if not np.linalg.norm(axis) > 0:
        raise broken(path.name, f"has a joint '{name[:60]}' without an axis")
    limit, mimic = child_of(element, "limit"), element.find("mimic")
    low, high = (numbers_of(limit.get(key), [0.0], path, 1)[0] for key in ("lower", "upper"))
    if kind == "continuous":
        low, high = -math.pi, math.pi
    if low > high:
        raise broken(path.name, f"has a joint '{name[:60]}' whose lower limit is above its upper one")
    effort = numbers_of(limit.get("effort"), [0.0], path, 1)[0]
    follows = None
    if mimic is not None:
        multiplier = numbers_of(mimic.get("multiplier"), [1.0], path, 1)[0]
        follows = (mimic.get("joint", ""), multiplier, numbers_of(mimic.get("offset"), [0.0], path, 1)[0])
    return RobotJoint(
        name, kind == "prismatic", axis / np.linalg.norm(axis), low, high, effort or USUAL_EFFORT, follows
    )


def _couplings(joints: tuple[RobotJoint, ...], name: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Numbers of the joints that are driven, and how all follow them."""
    number = {joint.name: k for k, joint in enumerate(joints)}
    if len(number) < len(joints):
        raise broken(name, "has two joints of one name")
    driven = [k for k, joint in enumerate(joints) if joint.mimic is None]
    if not driven:
        raise HopriorError(f"{name}: has no joint that moves: give a hand with fingers")
    coupling, offset = np.zeros((len(joints), len(driven))), np.zeros(len(joints))
    for k, joint in enumerate(joints):
        at, factor, shift, seen = joint, 1.0, 0.0, {joint.name}
        while at.mimic is not None:
            leader, multiplier, added = at.mimic
            if leader not in number:
                raise HopriorError(
                    f"{name}: mimic joint '{joint.name[:60]}' follows '{leader[:60]}', which does not move: mend the"
                    " URDF, or take the <mimic> out"
                )
            shift, factor, at = shift + factor * added, factor * multiplier, joints[number[leader]]
            if at.name in seen:
                raise HopriorError(f"{name}: mimic joint '{joint.name[:60]}' follows itself: take the <mimic> out")
            seen.add(at.name)
        coupling[k, driven.index(number[at.name])] = factor
        offset[k] = shift
    return driven, coupling, offset


def _ranges(
    joints: tuple[RobotJoint, ...], driven: list[int], coupling: np.ndarray, offset: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([joints[k].low for k in driven]), np.array([joints[k].high for k in driven])
    for k, joint in enumerate(joints):
        if joint.mimic is None:
            continue
        column = int(np.abs(coupling[k]).argmax())
        factor = coupling[k, column]
        if factor == 0:
            continue
        ends = sorted((limit - offset[k]) / factor for limit in (joint.low, joint.high))
        # Files round multipliers and limits; what is missing by a hundredth of the way is no contradiction.
        slack = 0.01 * (high[column] - low[column])
        if ends[0] > high[column] + slack or ends[1] < low[column] - slack:
            raise HopriorError(
                f"{name}: mimic joint '{joint.name[:60]}' cannot follow '{joint.mimic[0][:60]}' within its own limits:"
                " mend its <limit>, or take the <mimic> out"
            )
        if ends[1] - ends[0] > LEAST_RANGE:
            low[column], high[column] = (
                min(max(low[column], ends[0]), high[column]),
                max(min(high[column], ends[1]), low[column]),
            )
    return low, high


def _shapes(link: ElementTree.Element, kind: str, path: Path) -> list[trimesh.Trimesh]:
    found = []
    for shape in link.findall(kind):
        at = origin_of(shape, path)
        found += [placed(mesh, at) for mesh in shapes_of(shape.find("geometry"), path, _read)]
    return [mesh for mesh in found if len(mesh.faces)]


def _read(path: Path) -> MeshFile:
    if path.suffix.lower() not in MESHES:
        raise unsupported(path.name, "is no mesh that a link may have", f"use {', '.join(MESHES)}")
    # A link's glTF lies as it is written: descriptions say themselves which way is up.
    return read_mesh_file(path)


def _joined(shapes: list[trimesh.Trimesh]) -> trimesh.Trimesh | None:
    if not shapes:
        return None
    plain = [trimesh.Trimesh(s.vertices, s.faces, process=True) for s in shapes]
    light = [s.simplify_quadric_decimation(face_count=MOST_FACES) if len(s.faces) > MOST_FACES else s for s in plain]
    return cast(trimesh.Trimesh, trimesh.util.concatenate(light))


def _convex(shape: trimesh.Trimesh) -> list[trimesh.Trimesh]:
    try:
        hull = shape.convex_hull
    except (QhullError, ValueError):
        return []
    return [hull] if hull.volume > 1e-10 else []
