"""MJCF, MuJoCo's files: the hand alone, and with an object on a plane and a key frame for each grasp."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.physics.articulated.hand import ArticulatedHand, tip_names
from hoprior.physics.articulated.scene import STIFFNESS, TORQUE, Scene, SceneObject

SOLVER = {"timestep": "0.002", "cone": "elliptic", "impratio": "10", "integrator": "implicitfast"}
"""Of simulations of a hand that holds."""
HAND_FILE, SCENE_FILE = "hand.xml", "scene.xml"
DAMPING, ARMATURE = 0.05, 2e-4
"""Of a hinge: Nm s/rad, and kg m² that make light bones as easy to control as a motor's rotor would."""
FRICTION = 1.0
"""Of skin on most things it is between 0.5 and 1.5 (Derler and Gerhardt, Tribology Letters 45, 2012)."""
SKIN_SOFTNESS = ("0.01 1", "0.7 0.95 0.004")
"""MuJoCo's `solref` and `solimp`: flesh gives way by some millimetres before it is as stiff as a bone."""
SKIN_COLOUR, OBJECT_COLOUR = "0.87 0.68 0.57 1", "0.75 0.77 0.8 1"


def write_hand(hand: ArticulatedHand, folder: Path) -> list[str]:
    """Writes `hand.xml`; returns the names of the files."""
    root = ElementTree.Element("mujoco", model=f"{hand.side}_hand")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    _add_hand(root, hand)
    _write(root, folder / HAND_FILE)
    return [HAND_FILE]


def write_scene(scene: Scene, folder: Path) -> list[str]:
    """Writes `scene.xml`, and beside it `hand.xml` and the object's meshes, which it names."""
    files = write_hand(scene.hand, folder)
    root = ElementTree.Element("mujoco", model=f"{scene.hand.side}_hand_and_{scene.item.name}")
    ElementTree.SubElement(root, "option", SOLVER)
    ElementTree.SubElement(root, "include", file=HAND_FILE)
    add_object(root, scene.item, scene.T_world_object)
    placed = scene.T_world_object @ np.append(scene.item.parts.center, 1.0)
    turn = Rotation.from_matrix(scene.T_world_object[:3, :3])
    frames = ElementTree.SubElement(root, "keyframe")
    for keyframe in scene.keyframes:
        T_world_hand = scene.T_world_object @ keyframe.T_object_hand
        turned = Rotation.from_matrix(T_world_hand[:3, :3])
        wrist = f"{numbers(T_world_hand[:3, 3])} {_quaternion(turned)}"
        thing = f"{numbers(placed[:3])} {_quaternion(turn)}"
        for name, hinges, targets in (
            (keyframe.name, keyframe.hinges, keyframe.targets),
            (f"{keyframe.name}_open", keyframe.opened, keyframe.opened),
        ):
            ElementTree.SubElement(
                frames, "key", name=name, qpos=f"{wrist} {numbers(hinges)} {thing}",
                ctrl=numbers(targets),
                mpos=numbers(T_world_hand[:3, 3]), mquat=_quaternion(turned),
            )  # fmt: skip
    _write(root, folder / SCENE_FILE)
    return [*files, SCENE_FILE]


def add_object(root: ElementTree.Element, item: SceneObject, T_world_object: Float[np.ndarray, "4 4"]) -> None:
    """Adds the object, which lies where it is put, a plane below it, and a light."""
    assets = ElementTree.SubElement(root, "asset")
    world = ElementTree.SubElement(root, "worldbody")
    ElementTree.SubElement(world, "light", pos="0 0 2", dir="0 0 -1")
    # The hand passes through the plane: grasps do not know of it, and what stands on it is to stand.
    ElementTree.SubElement(
        world, "geom", name="plane", type="plane", size="1 1 0.05", contype="4", conaffinity="4", rgba="0.9 0.9 0.9 1"
    )
    centre = item.parts.center
    placed = T_world_object @ np.append(centre, 1.0)
    turn = Rotation.from_matrix(T_world_object[:3, :3])
    body = ElementTree.SubElement(world, "body", name="object", pos=numbers(placed[:3]), quat=_quaternion(turn))
    ElementTree.SubElement(body, "freejoint", name="object_root")
    for k, hull in enumerate(item.parts.hulls):
        name = f"object_{k:03d}"
        ElementTree.SubElement(assets, "mesh", name=name, vertex=numbers(hull.vertices - centre))
        ElementTree.SubElement(
            body, "geom", name=name, type="mesh", mesh=name, density=f"{item.density:.6g}",
            contype="7", conaffinity="5", condim="4", friction=f"{FRICTION} 0.005 0.0001", rgba=OBJECT_COLOUR,
        )  # fmt: skip


def _add_hand(root: ElementTree.Element, hand: ArticulatedHand) -> None:
    world = ElementTree.SubElement(root, "worldbody")
    actuators = ElementTree.SubElement(root, "actuator")
    ElementTree.SubElement(world, "body", name="hand_target", mocap="true")
    bodies: list[ElementTree.Element] = []
    for k, link in enumerate(hand.links):
        place = world if k == 0 else bodies[link.parent]
        body = ElementTree.SubElement(place, "body", name=link.name, pos=numbers(link.offset), gravcomp="1")
        bodies.append(body)
        if k == 0:
            ElementTree.SubElement(body, "freejoint", name="hand_root")
        for name, axis, low, high in zip(link.hinge_names, link.axes, link.low, link.high, strict=True):
            ElementTree.SubElement(
                body, "joint", name=name, type="hinge", axis=numbers(axis), range=f"{low:.6g} {high:.6g}",
                damping=str(DAMPING), armature=str(ARMATURE),
            )  # fmt: skip
            ElementTree.SubElement(
                actuators, "position", name=name, joint=name, kp=str(STIFFNESS), forcerange=f"{-TORQUE} {TORQUE}"
            )
        inertia = link.mass.inertia
        ElementTree.SubElement(
            body, "inertial", pos=numbers(link.mass.center), mass=f"{link.mass.mass:.6g}",
            fullinertia=numbers(inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]),
        )  # fmt: skip
        for number, capsule in enumerate(link.capsules):
            ElementTree.SubElement(
                body, "geom", name=f"{link.name}_{number}", type="capsule", size=f"{capsule.radius:.6g}",
                fromto=f"{numbers(capsule.start)} {numbers(capsule.end)}", group="3", contype="1", conaffinity="2",
                condim="4", friction=f"{FRICTION} 0.005 0.0001", rgba=SKIN_COLOUR, solref=SKIN_SOFTNESS[0],
                solimp=SKIN_SOFTNESS[1],
            )  # fmt: skip
    for name, (link_number, place_on) in zip(tip_names(), hand.tips, strict=True):
        ElementTree.SubElement(bodies[link_number], "site", name=name, pos=numbers(place_on), size="0.002", group="4")
    held = ElementTree.SubElement(root, "equality")
    ElementTree.SubElement(held, "weld", name="hand_target", body1="hand_target", body2="wrist", solref="0.01 1")
    _add_skin(root, hand)


def _add_skin(root: ElementTree.Element, hand: ArticulatedHand) -> None:
    """The skin that the bones move, as MuJoCo's viewer shows it: for looks alone."""
    place = ElementTree.SubElement(root, "deformable")
    faces = " ".join(map(str, hand.faces.reshape(-1)))
    skin = ElementTree.SubElement(place, "skin", name="skin", rgba=SKIN_COLOUR, vertex=numbers(hand.skin), face=faces)
    at = np.zeros((len(hand.links), 3))
    for k, link in enumerate(hand.links):
        at[k] = link.offset + (at[link.parent] if k else 0)
        own = np.flatnonzero(hand.weights[:, k] > 1e-3)
        ElementTree.SubElement(
            skin, "bone", body=link.name, bindpos=numbers(at[k]), bindquat="1 0 0 0",
            vertid=" ".join(map(str, own)), vertweight=numbers(hand.weights[own, k]),
        )  # fmt: skip


def numbers(values: np.ndarray) -> str:
    """Numbers as XML has them.

    Example:
        >>> numbers(np.array([0.1, 2.0]))
        '0.1 2'
    """
    return " ".join(f"{value:.7g}" for value in np.asarray(values, dtype=float).reshape(-1))


def _quaternion(rotation: Rotation) -> str:
    return numbers(np.roll(rotation.as_quat(), 1))


def _write(root: ElementTree.Element, path: Path) -> None:
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
