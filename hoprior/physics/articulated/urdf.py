"""URDF, read by pybullet, ROS, Isaac, Drake: the hand, the object, and key frames as JSON, which URDF has none of."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hoprior.common.io import strict_json
from hoprior.physics.articulated.capsules import Capsule
from hoprior.physics.articulated.chain import BETWEEN_RADIUS, hinge_bodies
from hoprior.physics.articulated.hand import ArticulatedHand, tip_names
from hoprior.physics.articulated.mjcf import DAMPING, FRICTION, OBJECT_COLOUR, SKIN_COLOUR, numbers
from hoprior.physics.articulated.scene import STIFFNESS, TORQUE, Scene, SceneObject
from hoprior.physics.articulated.tissue import Mass

HAND_FILE, OBJECT_FILE, KEYFRAMES_FILE = "hand.urdf", "object.urdf", "keyframes.json"
TIP_MASS = 1e-6
"""kg of the frames of the fingertips, which are for looking up alone."""
VELOCITY = 10.0
"""rad/s that a hinge turns at most."""


def write_hand(hand: ArticulatedHand, folder: Path) -> list[str]:
    """Writes `hand.urdf` and what its links look like; returns the names of the files."""
    root, files = ElementTree.Element("robot", name=f"{hand.side}_hand"), [HAND_FILE]
    colour = ElementTree.SubElement(root, "material", name="skin")
    ElementTree.SubElement(colour, "color", rgba=SKIN_COLOUR)
    for body in hinge_bodies(hand):
        link = ElementTree.SubElement(root, "link", name=body.name)
        _add_mass(link, body.mass)
        if body.link is not None:
            looks = f"hand_{body.name}.obj"
            (folder / looks).write_text(_obj(trimesh.Trimesh(body.link.skin, body.link.faces, process=False)))
            files.append(looks)
            visual = ElementTree.SubElement(link, "visual")
            ElementTree.SubElement(ElementTree.SubElement(visual, "geometry"), "mesh", filename=looks)
            ElementTree.SubElement(visual, "material", name="skin")
            for capsule in body.link.capsules:
                _add_capsule(link, capsule)
        if body.hinge is None:
            continue
        joint = ElementTree.SubElement(root, "joint", name=body.hinge, type="revolute")
        ElementTree.SubElement(joint, "parent", link=str(body.parent))
        ElementTree.SubElement(joint, "child", link=body.name)
        ElementTree.SubElement(joint, "origin", xyz=numbers(body.offset))
        ElementTree.SubElement(joint, "axis", xyz=numbers(body.axis))
        ElementTree.SubElement(
            joint, "limit", lower=f"{body.low:.6g}", upper=f"{body.high:.6g}", effort=str(TORQUE),
            velocity=str(VELOCITY),
        )  # fmt: skip
        ElementTree.SubElement(joint, "dynamics", damping=str(DAMPING))
    for name, (number, place) in zip(tip_names(), hand.tips, strict=True):
        # Without a mass, pybullet would give it a kilogram.
        tip = Mass(TIP_MASS, np.zeros(3), 0.4 * TIP_MASS * BETWEEN_RADIUS**2 * np.eye(3))
        _add_mass(ElementTree.SubElement(root, "link", name=name), tip)
        joint = ElementTree.SubElement(root, "joint", name=f"{name}_fixed", type="fixed")
        ElementTree.SubElement(joint, "parent", link=hand.links[number].name)
        ElementTree.SubElement(joint, "child", link=name)
        ElementTree.SubElement(joint, "origin", xyz=numbers(place))
    _write(root, folder / HAND_FILE)
    return files


def write_scene(scene: Scene, folder: Path) -> list[str]:
    """Writes `hand.urdf`, `object.urdf` and `keyframes.json`, and the meshes that they name."""
    files = [*write_hand(scene.hand, folder), *_write_object(scene.item, folder), KEYFRAMES_FILE]
    names = scene.hand.hinge_names
    frames = [
        {
            "name": keyframe.name,
            "T_world_wrist": scene.T_world_object @ keyframe.T_object_hand,
            "hinges": dict(zip(names, keyframe.hinges.reshape(-1).tolist(), strict=True)),
            "targets": dict(zip(names, keyframe.targets.reshape(-1).tolist(), strict=True)),
            "opened": dict(zip(names, keyframe.opened.reshape(-1).tolist(), strict=True)),
        }
        for keyframe in scene.keyframes
    ]
    about = {
        "unit": "metres, radians; the world's z is up and the object stands on z = 0",
        "T_world_object": scene.T_world_object,
        "control": {"stiffness": STIFFNESS, "damping": DAMPING, "torque": TORQUE},
        "keyframes": frames,
    }
    (folder / KEYFRAMES_FILE).write_text(strict_json(about), encoding="utf-8")
    return files


def _write_object(item: SceneObject, folder: Path) -> list[str]:
    root, files = ElementTree.Element("robot", name="object"), [OBJECT_FILE, "object.obj"]
    colour = ElementTree.SubElement(root, "material", name="grey")
    ElementTree.SubElement(colour, "color", rgba=OBJECT_COLOUR)
    link = ElementTree.SubElement(root, "link", name="object")
    contact = ElementTree.SubElement(link, "contact")
    ElementTree.SubElement(contact, "lateral_friction", value=str(FRICTION))
    _add_mass(link, item.inertia)
    (folder / "object.obj").write_text(_obj(item.surface))
    visual = ElementTree.SubElement(link, "visual")
    ElementTree.SubElement(ElementTree.SubElement(visual, "geometry"), "mesh", filename="object.obj")
    ElementTree.SubElement(visual, "material", name="grey")
    for k, hull in enumerate(item.parts.hulls):
        name = f"object_{k:03d}.obj"
        (folder / name).write_text(_obj(hull))
        files.append(name)
        collision = ElementTree.SubElement(link, "collision")
        ElementTree.SubElement(ElementTree.SubElement(collision, "geometry"), "mesh", filename=name)
    _write(root, folder / OBJECT_FILE)
    return files


def _add_mass(link: ElementTree.Element, mass: Mass) -> None:
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "origin", xyz=numbers(mass.center))
    ElementTree.SubElement(inertial, "mass", value=f"{mass.mass:.6g}")
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = mass.inertia
    values = {"ixx": xx, "ixy": xy, "ixz": xz, "iyy": yy, "iyz": yz, "izz": zz}
    ElementTree.SubElement(inertial, "inertia", {name: f"{value:.6g}" for name, value in values.items()})


def _add_capsule(link: ElementTree.Element, capsule: Capsule) -> None:
    """A cylinder and two balls: URDF itself has no capsules."""
    along = capsule.end - capsule.start
    length = float(np.linalg.norm(along))
    turn = Rotation.align_vectors(along[None] / length, [[0.0, 0.0, 1.0]])[0]
    middle = (capsule.start + capsule.end) / 2
    radius = f"{capsule.radius:.6g}"
    for place, kind, size in (
        (middle, "cylinder", {"radius": radius, "length": f"{length:.6g}"}),
        (capsule.start, "sphere", {"radius": radius}),
        (capsule.end, "sphere", {"radius": radius}),
    ):
        collision = ElementTree.SubElement(link, "collision")
        ElementTree.SubElement(collision, "origin", xyz=numbers(place), rpy=numbers(turn.as_euler("xyz")))
        ElementTree.SubElement(ElementTree.SubElement(collision, "geometry"), kind, size)


def _obj(mesh: trimesh.Trimesh) -> str:
    return str(trimesh.exchange.obj.export_obj(mesh, include_normals=False, header=None))


def _write(root: ElementTree.Element, path: Path) -> None:
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
