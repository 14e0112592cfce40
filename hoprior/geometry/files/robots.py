"""The meshes of URDF, SDF-like and MJCF descriptions, with their scale and place; all joints at zero.

URDF as http://wiki.ros.org/urdf/XML describes it, MJCF as https://mujoco.readthedocs.io/en/stable/XMLreference.html
does. A description says metres and, by convention, z up.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry.files.contents import MeshFile, broken, placed, unique, unsupported
from hoprior.geometry.files.scenes import check_entities

Element = ElementTree.Element
Read = Callable[[Path], MeshFile]


def read_robot(data: bytes, path: Path, read: Read) -> MeshFile:
    """All meshes and simple shapes of a robot's or an object's description, metres.

    Args:
        data: the file's bytes.
        path: where it lies; meshes are looked for from there.
        read: reads a mesh file.

    Raises:
        HopriorError: it is no XML, is of a kind that is not read, or a mesh that it names cannot be read.
    """
    check_entities(data, path.name)
    try:
        # Many begin with an empty line, which XML does not allow before its declaration.
        root = ElementTree.fromstring(data.lstrip())
    except ElementTree.ParseError as error:
        raise broken(path.name, f"is no XML ({error})") from error
    if any("xacro" in str(element.tag) for element in root.iter()):
        raise unsupported(path.name, "is a xacro template", "expand it (xacro FILE > robot.urdf), and give that")
    if root.tag == "robot":
        parts = _urdf(root, path, read)
    elif root.tag == "mujoco":
        parts = _mjcf(root, path, read)
    else:
        named = [element.text or "" for element in root.iter("uri") if element.text] + [
            element.get("filename", "") for element in root.iter("mesh") if element.get("filename")
        ]
        advice = f"give the mesh that it names, {named[0][:80]}" if named else "give a mesh file"
        raise unsupported(path.name, f"is an XML file with <{root.tag[:40]}>", advice)
    if not parts:
        raise HopriorError(f"{path.name}: describes no shape that can be held: give the object's mesh itself")
    return MeshFile(parts, metres_per_unit=1.0, up="z", up_reason="robots' descriptions are")


def _urdf(root: Element, path: Path, read: Read) -> dict[str, trimesh.Trimesh]:
    joints = {child_of(joint, "child").get("link", ""): joint for joint in root.findall("joint")}

    def of_link(link: str, depth: int = 0) -> np.ndarray:
        joint = joints.get(link)
        if joint is None:
            return np.eye(4)
        if depth > len(joints):
            raise broken(path.name, "has joints in a circle")
        return of_link(child_of(joint, "parent").get("link", ""), depth + 1) @ origin_of(joint, path)

    parts: dict[str, trimesh.Trimesh] = {}
    for kind in ("visual", "collision"):
        for link in root.iter("link"):
            name = link.get("name", "link")
            for shape in link.findall(kind):
                at = of_link(name) @ origin_of(shape, path)
                for mesh in shapes_of(shape.find("geometry"), path, read):
                    parts[unique(name, parts)] = placed(mesh, at)
        if parts:
            break
    return parts


def shapes_of(geometry: Element | None, path: Path, read: Read) -> Iterator[trimesh.Trimesh]:
    for shape in [] if geometry is None else list(geometry):
        if shape.tag == "mesh":
            scale = numbers_of(shape.get("scale"), [1.0, 1.0, 1.0], path)
            yield from _meshes(found_mesh(shape.get("filename", ""), path.parent, path.name), scale, read)
        elif shape.tag == "box":
            yield trimesh.creation.box(numbers_of(shape.get("size"), [], path, 3))
        elif shape.tag in ("cylinder", "capsule"):
            radius, length = (numbers_of(shape.get(key), [], path, 1)[0] for key in ("radius", "length"))
            make = trimesh.creation.cylinder if shape.tag == "cylinder" else trimesh.creation.capsule
            if radius > 0 and length > 0:  # shapes of no size mark places
                yield make(radius=radius, height=length)
        elif shape.tag == "sphere":
            radius = numbers_of(shape.get("radius"), [], path, 1)[0]
            if radius > 0:
                yield trimesh.creation.icosphere(3, radius)


def origin_of(element: Element, path: Path) -> np.ndarray:
    origin = element.find("origin")
    matrix = np.eye(4)
    if origin is not None:
        roll, pitch, yaw = numbers_of(origin.get("rpy"), [0.0, 0.0, 0.0], path)
        matrix = trimesh.transformations.euler_matrix(roll, pitch, yaw, "sxyz")
        matrix[:3, 3] = numbers_of(origin.get("xyz"), [0.0, 0.0, 0.0], path)
    return matrix


Attributes = dict[str, str]
MADE_LATER = ("include", "attach", "replicate", "composite", "flexcomp")
"""Elements of MJCF that stand for others, which MuJoCo's compiler makes."""


def _mjcf(root: Element, path: Path, read: Read) -> dict[str, trimesh.Trimesh]:
    for made in (element.tag for element in root.iter() if element.tag in MADE_LATER):
        advice = "give the file that MuJoCo saves of it (mj_saveLastXML), or the mesh itself"
        raise unsupported(path.name, f"has <{made}>, which MuJoCo itself expands", advice)
    compiler = {key: value for element in root.iter("compiler") for key, value in element.attrib.items()}
    folder = path.parent / compiler.get("meshdir", compiler.get("assetdir", ""))
    places = _MjcfPlaces(compiler.get("angle", "degree") != "radian", compiler.get("eulerseq", "xyz"), path)
    defaults = _mjcf_defaults(root)
    assets: dict[str, tuple[str, list[float]]] = {}
    for mesh in root.findall("./asset/mesh"):
        about = defaults(mesh, "main")
        file = about.get("file", "")
        assets[about.get("name", Path(file).stem)] = (file, numbers_of(about.get("scale"), [1.0, 1.0, 1.0], path))
    geoms: list[tuple[Attributes, str, np.ndarray]] = []

    def walk(body: Element, name: str, of_class: str, at: np.ndarray, depth: int = 0) -> None:
        of_class = body.get("childclass", of_class)
        for child in body if depth < 200 else ():
            if child.tag in ("body", "frame"):
                walk(child, child.get("name", name), of_class, at @ places.of(child.attrib), depth + 1)
            elif child.tag == "geom":
                about = defaults(child, of_class)
                geoms.append((about, name, at @ places.of(about)))

    for world in root.findall("worldbody"):
        walk(world, "body", "main", np.eye(4))
    # Of a body that has shapes to be seen and shapes to collide, the ones to be seen are the object.
    seen = [item for item in geoms if item[0].get("contype") == "0" or "visual" in item[0].get("class", "").lower()]
    meshes = [item for item in geoms if "mesh" in item[0]]
    chosen = [item for item in seen if item in meshes] or meshes or seen or geoms
    parts: dict[str, trimesh.Trimesh] = {}
    for about, body, at in chosen:
        if "mesh" in about:
            if about["mesh"] not in assets:
                raise broken(path.name, f"has a geom of the mesh '{about['mesh'][:60]}', which is not in it")
            source, factors = assets[about["mesh"]]
            shapes = list(_meshes(found_mesh(source, folder, path.name), factors, read))
        else:
            shapes = list(_mjcf_shape(about, path))
        for shape in shapes:
            parts[unique(about.get("name", body), parts)] = placed(shape, at)
    return parts


def _mjcf_defaults(root: Element) -> Callable[[Element, str], Attributes]:
    """A function of an element and the class that holds where it stands: all attributes of the element.

    A class has what the class around it has, unless it says otherwise.
    """
    known: dict[str, dict[str, Attributes]] = {"main": {}}

    def learn(holder: Element, name: str, outer: dict[str, Attributes]) -> None:
        own = {child.tag: {**outer.get(child.tag, {}), **child.attrib} for child in holder if child.tag != "default"}
        known[name] = {**outer, **own}
        for inner in holder.findall("default"):
            learn(inner, inner.get("class", "main"), known[name])

    for holder in root.findall("default"):
        learn(holder, holder.get("class", "main"), known["main"])
    return lambda element, of_class: {
        **known.get(element.get("class", of_class), {}).get(element.tag, {}),
        **element.attrib,
    }


def _mjcf_shape(geom: Attributes, path: Path) -> Iterator[trimesh.Trimesh]:
    """A simple shape; planes are floors and are left out."""
    kind = geom.get("type", "sphere")
    size = numbers_of(geom.get("size"), [0.0, 0.0, 0.0], path, None)
    if "fromto" in geom and size:
        start, end = _ends(geom, path)
        half = float(np.linalg.norm(end - start)) / 2
        size = [size[0], half] if kind in ("cylinder", "capsule") else [size[0], size[0], half]
    if kind == "box" and len(size) == 3:
        yield trimesh.creation.box(2 * np.array(size))
    elif kind == "sphere" and size and size[0] > 0:
        yield trimesh.creation.icosphere(3, size[0])
    elif kind == "ellipsoid" and len(size) == 3:
        ball = trimesh.creation.icosphere(3)
        ball.apply_scale(size)
        yield ball
    elif kind in ("cylinder", "capsule") and len(size) >= 2:
        make = trimesh.creation.cylinder if kind == "cylinder" else trimesh.creation.capsule
        yield make(radius=size[0], height=2 * size[1])


def _ends(about: Attributes, path: Path) -> np.ndarray:
    """From where to where (2, 3) a shape goes."""
    return np.reshape(numbers_of(about["fromto"], [], path, 6), (2, 3))


@dataclass(frozen=True)
class _MjcfPlaces:
    """Places of bodies and geoms, as the description's compiler has its angles."""

    degrees: bool
    order: str
    path: Path

    def of(self, about: Attributes) -> np.ndarray:
        """T_outer_element (4, 4)."""
        matrix, path = np.eye(4), self.path
        if "fromto" in about:
            start, end = _ends(about, path)
            matrix[:3, :3] = _turn_to(end - start)
            matrix[:3, 3] = (start + end) / 2
            return matrix
        if "quat" in about:
            matrix = trimesh.transformations.quaternion_matrix(numbers_of(about["quat"], [], path, 4))
        elif "euler" in about:
            angles = np.array(numbers_of(about["euler"], [], path, 3))
            for axis, angle in zip(self.order, np.radians(angles) if self.degrees else angles, strict=False):
                turn = trimesh.transformations.rotation_matrix(angle, np.eye(3)["xyz".index(axis.lower())])
                # Small letters turn the axes along, capitals turn about the fixed ones.
                matrix = turn @ matrix if axis.isupper() else matrix @ turn
        elif "axisangle" in about:
            *axis_of, turned = numbers_of(about["axisangle"], [], path, 4)
            matrix = trimesh.transformations.rotation_matrix(math.radians(turned) if self.degrees else turned, axis_of)
        elif "xyaxes" in about:
            both = np.array(numbers_of(about["xyaxes"], [], path, 6)).reshape(2, 3)
            x = both[0] / np.linalg.norm(both[0])
            y = both[1] - x * (x @ both[1])
            y /= np.linalg.norm(y)
            matrix[:3, :3] = np.stack([x, y, np.cross(x, y)], axis=1)
        elif "zaxis" in about:
            matrix[:3, :3] = _turn_to(np.array(numbers_of(about["zaxis"], [], path, 3)))
        matrix[:3, 3] = numbers_of(about.get("pos"), [0.0, 0.0, 0.0], path)
        return matrix


def _turn_to(direction: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes z to a direction; none for no direction."""
    x, y, z = direction / max(float(np.linalg.norm(direction)), 1e-12)
    angle, across = math.atan2(math.hypot(x, y), z), (-y, x, 0.0) if x or y else (1.0, 0.0, 0.0)
    return trimesh.transformations.rotation_matrix(angle, across)[:3, :3]


def _meshes(path: Path, scale: list[float], read: Read) -> Iterator[trimesh.Trimesh]:
    """The surfaces of a mesh file, in the description's metres."""
    content = read(path)
    factor = np.array(scale) * (content.metres_per_unit or 1.0)
    for mesh in content.parts.values():
        yield placed(mesh, np.diag([*factor, 1.0]))


def found_mesh(name: str, folder: Path, source: str) -> Path:
    """The file that a description names: beside it, or in the package whose folder is above it.

    Raises:
        HopriorError: it is not there.
    """
    plain = re.sub(r"^(package|file|model)://", "", name)
    tries = [folder / plain]
    if name != plain:
        # package://mug/meshes/mug.stl: the folder of the package, or the one above it, is above the description.
        rest = plain.partition("/")[2]
        tries += [above / part for above in [folder, *folder.resolve().parents][:6] for part in (plain, rest) if part]
    for candidate in tries:
        if candidate.is_file():
            return candidate
    raise HopriorError(
        f"{source}: names the mesh '{name[:80]}', which is not there: put it there, or give the mesh itself"
    )


def child_of(element: Element, tag: str) -> Element:
    found = element.find(tag)
    return Element(tag) if found is None else found


def numbers_of(text: str | None, default: list[float], path: Path, count: int | None = 3) -> list[float]:
    """Numbers of an attribute; those of a default where it is not given."""
    if text is None:
        if count is not None and len(default) != count:
            raise broken(path.name, "has a shape without its size")
        return default
    try:
        found = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        found = [math.nan]
    if (count is not None and len(found) != count) or not np.isfinite(found).all():
        raise broken(path.name, f"has '{text[:40]}' where {count or 'some'} numbers are expected")
    return found
