"""`hoprior.retarget`: a person's grasps carried over to the hand of a URDF."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import trimesh
from jaxtyping import Int

from hoprior.common.console import Progress
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import ObjectMesh, prepare_mesh
from hoprior.geometry.repair import place_of
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import SignedDistance
from hoprior.geometry.watertight import watertight_mesh
from hoprior.physics.articulated.scene import SceneObject, standing
from hoprior.physics.contact_map import contact_map
from hoprior.physics.robots.carry import Carrier
from hoprior.physics.robots.description import read_description
from hoprior.physics.robots.fingers import find_fingers
from hoprior.physics.robots.fit import RobotPose, fit_hand
from hoprior.physics.robots.goals import FingerGoal, goals_of
from hoprior.physics.robots.kinematics import RobotHand
from hoprior.physics.robots.measures import RobotMeasures, measure
from hoprior.physics.robots.way import find_way
from hoprior.physics.simulation.convex import convex_parts
from hoprior.results.folder import package_versions
from hoprior.results.grasps import GraspResult, GraspResults
from hoprior.results.robot_grasps import RobotGrasp, RobotGrasps
from hoprior.tasks.retarget.around import TOLD, Around, around_of

CANDIDATES = 4
"""Poses of the robot that are tried in simulation for one grasp, the nearest to what was asked first."""
ENOUGH_FINGERS = 3
"""Contacts that are kept by so many fingers are as good as more."""
SURFACE_POINTS = 4000
"""On the object, which are kept out of links."""
USUAL_MASS = 0.3
"""kg, as `hoprior export` has it."""


def load_robot(robot: str | Path, fingers: str | Path | Mapping[str, str] | None = None) -> RobotHand:
    """A robot's hand from its URDF.

    Args:
        robot: the URDF; its meshes lie where it names them, relative to it or to the folder of their package.
        fingers: the last link of each finger by the finger's name (thumb, index, middle, ring, pinky), or a YAML file
            of that; None for a guess from links' names.

    Raises:
        HopriorError: mujoco is not installed, or see `read_description` and `find_fingers`.

    Example:
        >>> hand = load_robot("hand.urdf", {"thumb": "f3_tip", "index": "f1_tip"})  # doctest: +SKIP
        >>> [finger.name for finger in hand.fingers]  # doctest: +SKIP
        ['thumb', 'index']
    """
    description = read_description(robot)
    return RobotHand(description, find_fingers(description, fingers))


def retarget(
    grasps: GraspResults | str | Path,
    robot: RobotHand | str | Path,
    fingers: str | Path | Mapping[str, str] | None = None,
    *,
    lift: bool = True,
    mass: float = USUAL_MASS,
    seed: int = 0,
    progress: Progress | None = None,
) -> RobotGrasps:
    """The same grasps on a robot's hand.

    Each finger of the robot touches where the person's presses. The robot goes neither into the object nor into itself
    nor into the table and scene that the grasps were made with; joints keep to their limits, mimics follow. Of several
    poses the first that lifts the object in simulation is taken.

    Args:
        grasps: of one object, of any hand; or the folder that they were saved to.
        robot: a URDF, or what `load_robot` made of it.
        fingers: see `load_robot`.
        lift: try poses in simulation (needs coacd, of the extra "sim"; without it they are not tried).
        mass: of the object, kg.
        seed: of the starts.
        progress: called with what is done and the share that is.

    Raises:
        HopriorError: there are no grasps, or see `load_robot`.

    Example:
        >>> found = hoprior.retarget("out/mug_grasps", "hand.urdf")  # doctest: +SKIP
        >>> found[0].T_object_base, found[0].joints, found[0].held  # doctest: +SKIP
        >>> found.save("out/mug_robot")  # doctest: +SKIP
    """
    if not mass > 0:
        raise ArgumentError("mass", mass, "is no mass: give kilograms, above 0")
    folder = None if isinstance(grasps, GraspResults) else str(grasps)
    results = grasps if isinstance(grasps, GraspResults) else GraspResults.load(grasps)
    if not results.grasps:
        raise HopriorError("there are no grasps to retarget: ask for at least one")
    hand = robot if isinstance(robot, RobotHand) else load_robot(robot, fingers)
    tell = progress or (lambda stage, share: None)
    began = time.perf_counter()
    tell("preparing", 0.0)
    held = HeldObject.of(results, hand, lift, mass)
    prepared = time.perf_counter()
    told = {name: results.config[name] for name in TOLD if results.config.get(name) is not None}
    if told:
        told["notes"] = list(held.around.notes)
    found = []
    for number, grasp in enumerate(results):
        tell("retargeting", number / len(results))
        found.append(retarget_one(hand, held, grasp, results.faces, seed).grasp)
    done = time.perf_counter()
    timings = {"preparing": prepared - began, "retargeting": done - prepared}
    return RobotGrasps(
        grasps=tuple(found),
        faces=np.asarray(hand.surface(hand.closed(0.0), np.eye(4)).faces),
        link_of_vertex=hand.link_of_vertex,
        robot=_about(hand),
        object_mesh=results.object_mesh,
        object_name=results.object_name,
        source=results.source,
        grasps_from=folder,
        text=results.text,
        seed=seed,
        config={"robot": hand.description.source, "lift": lift, "mass": mass, "seed": seed} | told,
        versions=package_versions(),
        timings=timings,
    )


@dataclass(frozen=True, eq=False)
class HeldObject:
    """The object of grasps, moved near the origin by `-place`, what is around it, and what tries poses at it.

    Attributes:
        free: signed distance to the nearest of the object and what is around it.
        carrier: None where nothing tries poses.
    """

    item: ObjectMesh
    place: np.ndarray
    sdf: SdfGrid
    around: Around
    free: SignedDistance
    up: np.ndarray | None
    carrier: Carrier | None
    surface: np.ndarray

    @classmethod
    def of(cls, results: GraspResults, hand: RobotHand, lift: bool = True, mass: float = USUAL_MASS) -> "HeldObject":
        """The object of some grasps."""
        item = prepare_mesh(results.object_mesh, results.object_name)
        place = place_of(item.mesh)
        near = item.moved(-place)
        sdf = SdfGrid.from_mesh(near)
        asked = str(results.config.get("up", "auto"))
        rest = rest_poses(near.solid, asked, usual=item.up or "z")
        around = around_of(dict(results.config), replace(item, metres_per_unit=results.metres_per_unit), near, place)
        up = around.up
        if up is None and rest is not None:
            up = rest.likeliest_up().double().numpy()
        carrier = None
        if lift and find_spec("coacd") is not None:
            parts = convex_parts(watertight_mesh(near, resolution=64))
            thing = SceneObject(item.name, parts, near.mesh, mass)
            body = trimesh.util.concatenate([trimesh.Trimesh(hull.vertices, hull.faces) for hull in parts.hulls])
            pressed = SdfGrid.from_mesh(cast(trimesh.Trimesh, body))
            carrier = Carrier(hand, thing, pressed, standing(near.solid, asked))
        surface, _ = trimesh.sample.sample_surface(near.solid, SURFACE_POINTS, seed=0)
        return cls(near, place, sdf, around, around.with_object(sdf), up, carrier, np.asarray(surface))


@dataclass(frozen=True, eq=False)
class Retargeted:
    """One grasp with what was measured on it."""

    grasp: RobotGrasp
    measures: RobotMeasures


def retarget_one(
    hand: RobotHand, held: HeldObject, grasp: GraspResult, faces: Int[np.ndarray, "f 3"], seed: int = 0
) -> Retargeted:
    """One of a person's grasps on a robot's hand; see `retarget`."""
    verts, joints = (np.asarray(a, dtype=float) - held.place for a in (grasp.verts_object, grasp.joints_object))
    touch = contact_map(verts, faces, joints, held.item.mesh)
    goals = goals_of(touch, joints, held.sdf, [finger.name for finger in hand.fingers])
    pose, measures, lifted = _chosen(hand, held, goals, seed)
    way = find_way(hand, held.free, pose, held.up)
    way.T_object_base[:, :3, 3] += held.place
    T = pose.T_object_base.copy()
    T[:3, 3] += held.place
    metrics = {
        "depth_mm": 1e3 * measures.depth,
        "overlap_cm3": 1e6 * measures.overlap,
        "self_depth_mm": 1e3 * measures.self_depth,
        "fingers_kept": float(measures.fingers_kept),
        "fingers_touching": float(len(measures.kept)),
    }
    if measures.around_depth is not None:
        metrics["around_depth_mm"] = 1e3 * measures.around_depth
    away = {finger: 1e3 * value for finger, value in measures.kept.items()}
    surface = np.asarray(hand.surface(pose.driven, T).vertices)
    carried = RobotGrasp(T, hand.description.all_joints(pose.driven), surface, metrics, away, lifted, way)
    return Retargeted(carried, measures)


def _chosen(
    hand: RobotHand, held: HeldObject, goals: tuple[FingerGoal, ...], seed: int
) -> tuple[RobotPose, RobotMeasures, bool | None]:
    """Of poses that lift the best one; else the best: clear, with enough contacts kept, near what was asked."""
    around = None if held.around.surroundings is None else held.around.surroundings.distance
    measured = [
        (pose, measure(hand, held.sdf, pose, goals, around))
        for pose in fit_hand(hand, held.free, goals, CANDIDATES, seed, held.surface)
    ]
    measured.sort(key=lambda pair: (not pair[1].clear, -min(pair[1].fingers_kept, ENOUGH_FINGERS), pair[0].cost))
    if held.carrier is None:
        return (*measured[0], None)
    for pose, measures in measured:
        if (measures.clear or not measured[0][1].clear) and held.carrier.lift(pose).held:
            return pose, measures, True
    return (*measured[0], False)


def _about(hand: RobotHand) -> dict[str, Any]:
    description = hand.description
    return {
        "name": description.name,
        "urdf": description.source,
        "base": description.links[0].name,
        "links": [link.name for link in description.links],
        "parents": [link.parent for link in description.links],
        "joints": list(description.joint_names),
        "driven": list(description.driven),
        "low": [joint.low for joint in description.joints],
        "high": [joint.high for joint in description.joints],
        "fingers": {finger.name: description.links[finger.tip].name for finger in hand.fingers},
    }
