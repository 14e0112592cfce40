"""The lift test: an open hand closes on an object on a table, presses, and rises by half a metre, in MuJoCo.

Closing, the fingers go to where they oppose each other (`closing`), and on until the object stops them; the object is
held fast meanwhile, as if it were heavy, and the wrist gives way. Then it is let go, and the fingers press with forces
that are planned anew all the time from what touches. Fingers are moved by position control throughout: a torque is a
target that is ahead of the joint.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.sdf import SdfGrid
from hoprior.physics.articulated import mjcf
from hoprior.physics.articulated.closing import Closed, Surface, brought_together, pad_of
from hoprior.physics.articulated.forces import planned_forces
from hoprior.physics.articulated.hand import ArticulatedHand
from hoprior.physics.articulated.scene import STIFFNESS, TORQUE, Scene, SceneObject, opened, place_links
from hoprior.physics.posed import FINGER_PARTS, surface_normals
from hoprior.physics.simulation.convex import convex_parts
from hoprior.physics.simulation.extras import require

CLOSING, FEELING, PRESSING, LETTING_GO, LIFTING, HOLDING = 0.4, 0.6, 0.5, 0.2, 1.2, 0.3
"""Seconds of each part."""
HEIGHT = 0.5
"""m, as HUG-Bench lifts (arXiv 2606.17054)."""
HELD_SHARE = 0.8
"""Of the hand's rise, what the object has to have come along by."""
DENSITY, LEAST_MASS, MOST_MASS = 600.0, 0.03, 0.5
"""kg/m³ and kg: an object's mass is that of its volume, within these."""
LEAST_PROBABLE = 0.02
"""Ways to stand that are less probable are not asked."""
BELOW = 0.01
"""Ways to stand in which a hand is as deep in the table to a multiple of this (m) are alike."""
NEAR = 0.03
"""A finger that is nearer (m) than this to the object without a point to go to closes along the surface's normal."""
NEXT_LINK = 0.01
"""Of a finger's links the outermost presses that is within this (m) of the nearest."""
UPDATED = 0.02
"""Forces are worked out anew every so many seconds."""
WRIST_INERTIA = 1.5e-3
"""kg m², of a hand about its wrist, by which the arm's turning is damped."""
CLOSES = np.zeros((15, 3))
CLOSES[:, 0] = 1.0
CLOSES[[chain[0] - 1 for chain in FINGER_PARTS], 1] = 1.0
CLOSES[12:] = 1.0
"""Hinges that give way to what stops a finger: those that bend and spread; of the thumb all."""


@dataclass(frozen=True)
class LiftSettings:
    """What the test is calibrated by, on recorded grasps of people alone (`benchmarks/lift.py`).

    Attributes:
        friction: of skin on the object; in turning about the normal, m.
        planned_friction: less, so that forces are well inside their cones.
        table_friction: of the object on the table.
        skin_solref, skin_solimp: MuJoCo's softness of the fingers' contacts.
        palm_solimp: the same of the palm's, which is fleshier.
        touch: N, of a finger that has not met the object yet.
        grip, grip_of_weight: N of each finger that touches: so much, and so much of the object's weight.
        follow: 1/s, how fast the pose that the fingers' springs pull to follows them while they close.
        wrist_stiffness: N/m and Nm/rad, of the arm.
    """

    friction: tuple[float, float] = (1.0, 0.005)
    planned_friction: float = 0.8
    table_friction: float = 0.4
    skin_solref: tuple[float, float] = (0.02, 1.0)
    skin_solimp: tuple[float, float, float] = (0.5, 0.95, 0.002)
    palm_solimp: tuple[float, float, float] = (0.05, 0.9, 0.02)
    touch: float = 1.5
    grip: float = 2.0
    grip_of_weight: float = 1.0
    follow: float = 15.0
    wrist_stiffness: tuple[float, float] = (300.0, 3.0)


class TableLift(NamedTuple):
    """How one grasp lifted its object: how far it rose (m), and whether that counts as held."""

    rise: float
    held: bool


def mass_of(volume: float) -> float:
    """The mass (kg) of an object of so many m³, of which nothing more is known.

    Example:
        >>> mass_of(1e-6), mass_of(3e-4), mass_of(1.0)
        (0.03, 0.18, 0.5)
    """
    return float(np.clip(DENSITY * volume, LEAST_MASS, MOST_MASS))


class LiftTest:
    """One object, to try grasps on.

    The hand passes through the table; the object does not.

    Args:
        solid: a closed surface, metres.
        mass: kg; by `mass_of` without it.
        settings: as calibrated.

    Raises:
        HopriorError: mujoco or coacd is not installed.
    """

    def __init__(self, solid: trimesh.Trimesh, mass: float | None = None, settings: LiftSettings | None = None) -> None:
        self.mujoco = require("mujoco", "sim")
        self.settings = settings or LiftSettings()
        parts = convex_parts(solid, "coacd-fine")
        self.item = SceneObject("object", parts, solid, mass or mass_of(float(solid.volume)))
        self.sdf = SdfGrid.from_mesh(solid)
        self.surface, self.rest = Surface.of(solid), rest_poses(solid)
        self.models: dict[bytes, Any] = {}

    def __call__(
        self, body: ArticulatedHand, hinges: Float[np.ndarray, "15 3"], T_object_hand: Float[np.ndarray, "4 4"]
    ) -> TableLift:
        """Opens the hand of a grasp where it is, closes it, presses, and lifts."""
        closed = brought_together(body, hinges, T_object_hand, self.sdf, self.surface)
        before = opened(body, closed.hinges, closed.T_object_hand, self.sdf)
        return _Trial(self, body, closed, before.reshape(-1)).carried_out()

    def model(self, body: ArticulatedHand) -> Any:
        """MuJoCo's model of object, table and a hand."""
        key = body.skin.tobytes()
        if key not in self.models:
            with tempfile.TemporaryDirectory() as folder:
                mjcf.write_scene(Scene(body, self.item, np.eye(4), ()), Path(folder))
                model = self.mujoco.MjModel.from_xml_path(str(Path(folder) / mjcf.SCENE_FILE))
            self._soften(model)
            self.models = {key: model}
        return self.models[key]

    def _soften(self, model: Any) -> None:
        chosen = self.settings
        model.opt.noslip_iterations = 5  # soft contacts creep
        model.eq_active0[:] = 0  # the arm is a spring of ours
        for k in range(model.ngeom):
            name = model.geom(k).name
            if name == "plane" or name.startswith("object_"):
                model.geom_friction[k, 0] = chosen.table_friction
                continue
            # What the hand touches rubs as skin does, whatever the object does on the table.
            model.geom_priority[k], model.geom_friction[k, :2] = 1, chosen.friction
            model.geom_solref[k] = chosen.skin_solref
            model.geom_solimp[k, :3] = chosen.palm_solimp if name.startswith("wrist") else chosen.skin_solimp

    def standing(self, points_object: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "4 4"]:
        """The likeliest way to stand with a hand of these points (m) clear of the table, or least deep in it."""
        T_world_object = np.eye(4)
        if self.rest is None:
            T_world_object[2, 3] = -float(self.item.surface.bounds[0, 2])
            return T_world_object
        up, base = self.rest.up_object.double().numpy(), self.rest.base.double().numpy()
        probable = self.rest.log_prob.exp().double().numpy()
        below = np.maximum(base - (points_object @ up.T).min(axis=0), 0.0)
        unlikely = probable < min(LEAST_PROBABLE, float(probable.max()))
        # Centimetres in the table count before how probable a way to stand is.
        best = int(np.lexsort((-probable, np.ceil(below / BELOW), unlikely))[0])
        T_world_object[:3, :3] = Rotation.align_vectors([[0.0, 0.0, 1.0]], up[best][None])[0].as_matrix()
        T_world_object[2, 3] = -base[best]
        return T_world_object


class _Trial:
    """One grasp in the simulator."""

    def __init__(self, test: LiftTest, body: ArticulatedHand, closed: Closed, before: np.ndarray) -> None:
        self.test, self.body, self.closed, self.before = test, body, closed, before
        self.grasp, self.settings = closed.hinges.reshape(-1), test.settings
        model = self.model = test.model(body)
        joints = [model.joint(name) for name in body.hinge_names]
        self.place_of_hinge = np.array([int(joint.qposadr[0]) for joint in joints])
        self.speed_of_hinge = np.array([int(joint.dofadr[0]) for joint in joints])
        self.links = [int(model.body(link.name).id) for link in body.links]
        self.thing = int(model.body("object").id)
        self.weight = np.array([0.0, 0.0, -9.81 * test.item.mass])
        hand, thing = model.joint("hand_root"), model.joint("object_root")
        self.hand_at, self.hand_speed = int(hand.qposadr[0]), int(hand.dofadr[0])
        self.thing_at, self.thing_speed = int(thing.qposadr[0]), int(thing.dofadr[0])
        self.jacobian = np.zeros((3, model.nv))
        self.ends = np.cumsum([CLOSING, FEELING, PRESSING, LETTING_GO, LIFTING, HOLDING])
        self.data = self._start()

    def _start(self) -> Any:
        placed = self._placed_skin()
        T_world_object = self.test.standing(placed)
        T_world_hand = T_world_object @ self.closed.T_object_hand
        data = self.test.mujoco.MjData(self.model)
        centre = T_world_object @ np.append(self.test.item.parts.center, 1.0)
        for first, place, turn in (
            (self.hand_at, T_world_hand[:3, 3], T_world_hand[:3, :3]),
            (self.thing_at, centre[:3], T_world_object[:3, :3]),
        ):
            data.qpos[first : first + 7] = [*place, *np.roll(Rotation.from_matrix(turn).as_quat(), 1)]
        data.qpos[self.place_of_hinge] = self.before
        data.eq_active[:] = 0
        self.wrist, self.turn = T_world_hand[:3, 3], T_world_hand[:3, :3]
        self.test.mujoco.mj_forward(self.model, data)
        return data

    def _placed_skin(self) -> Float[np.ndarray, "v 3"]:
        placed, T = place_links(self.body, self.closed.hinges), self.closed.T_object_hand
        skin = np.concatenate([placed.points(k, link.skin) for k, link in enumerate(self.body.links)])
        return skin @ T[:3, :3].T + T[:3, 3]

    def carried_out(self) -> TableLift:
        """All parts, one after the other."""
        mujoco, model, data = self.test.mujoco, self.model, self.data
        closed, felt, pressed, free, _, end = self.ends
        step = float(model.opt.timestep)
        every = round(UPDATED / step)
        still = data.qpos[self.thing_at : self.thing_at + 7].copy()
        reference, torque, felt_torque = self.grasp.copy(), np.zeros(45), np.zeros(45)
        moves = CLOSES.reshape(-1)
        for count, now in enumerate(np.arange(step, end, step)):
            goal = self.before + (self.grasp - self.before) * _smooth(now / CLOSING)
            if now > closed:
                if now <= free:
                    reference = reference + step * self.settings.follow * moves * (
                        data.qpos[self.place_of_hinge] - reference
                    )
                if count % every == 0:
                    if now <= felt:
                        torque = felt_torque = self._feel()
                    else:
                        torque = felt_torque + (self._press() - felt_torque) * _smooth((now - felt) / PRESSING)
                goal = reference + torque / STIFFNESS
            data.ctrl[:] = goal
            self._hold_wrist(now, step)
            mujoco.mj_step(model, data)
            if now < pressed:
                data.qpos[self.thing_at : self.thing_at + 7] = still
                data.qvel[self.thing_speed : self.thing_speed + 6] = 0
        broken = data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number > 0
        rise = np.nan if broken else float(data.qpos[self.thing_at + 2] - still[2])
        return TableLift(rise, bool(np.isfinite(rise)) and HELD_SHARE * HEIGHT < rise < 2 * HEIGHT)

    def _hold_wrist(self, now: float, step: float) -> None:
        """The arm: a damped spring to where the wrist is to be, which carries the object's weight from the press on."""
        data, root = self.data, self.links[0]
        raised, next_raised = (HEIGHT * _smooth((at - self.ends[3]) / LIFTING) for at in (now, now + step))
        stiff, stiff_turn = self.settings.wrist_stiffness
        damp, damp_turn = 2 * np.sqrt(stiff * self.body.mass), 2 * np.sqrt(stiff_turn * WRIST_INERTIA)
        turn = data.xmat[root].reshape(3, 3)
        speed, spin = np.split(data.qvel[self.hand_speed : self.hand_speed + 6], 2)
        up = np.array([0.0, 0.0, 1.0])
        force = stiff * (self.wrist + raised * up - data.xpos[root])
        force = force - damp * (speed - (next_raised - raised) / step * up)
        force = force - self.weight * _smooth((now - self.ends[2]) / LETTING_GO)
        torque = stiff_turn * Rotation.from_matrix(self.turn @ turn.T).as_rotvec() - damp_turn * (turn @ spin)
        data.xfrc_applied[root, :3] = force
        data.xfrc_applied[root, 3:] = torque + np.cross(data.xpos[root] - data.xipos[root], force)

    def _torque(self, link: int, place: np.ndarray, force: np.ndarray) -> Float[np.ndarray, " 45"]:
        """Of the hinges, Nm, so that a link gives a force (N) at a place (m), in the world."""
        self.test.mujoco.mj_jac(self.model, self.data, self.jacobian, None, place, self.links[link])
        return self.jacobian[:, self.speed_of_hinge].T @ force

    def _world(self, link: int, points: np.ndarray) -> np.ndarray:
        body = self.links[link]
        return points @ self.data.xmat[body].reshape(3, 3).T + self.data.xpos[body]

    def _feel(self) -> Float[np.ndarray, " 45"]:
        """Torques (Nm) that lead pads to their points, and other fingers that are near to the surface."""
        data, torque = self.data, np.zeros(45)
        turn, center = data.xmat[self.thing].reshape(3, 3), self.test.item.parts.center
        for finger, chain in enumerate(FINGER_PARTS):
            if finger in self.closed.goals:
                link, pad = pad_of(self.body, finger)
                place = self._world(link, pad[None])[0]
                way = turn @ (self.closed.goals[finger] - center) + data.xpos[self.thing] - place
            else:
                skins = [self._world(link, self.body.links[link].skin) for link in chain]
                local = [(skin - data.xpos[self.thing]) @ turn + center for skin in skins]
                gaps = [self.test.sdf(torch.tensor(points[None], dtype=torch.float32))[0].numpy() for points in local]
                least = np.array([gap.min() for gap in gaps])
                if least.min() > NEAR:
                    continue
                k = int(np.flatnonzero(least < least.min() + NEXT_LINK)[-1])
                nearest = int(gaps[k].argmin())
                link, place = chain[k], skins[k][nearest]
                at = torch.tensor(local[k][nearest][None, None], dtype=torch.float32)
                way = -turn @ surface_normals(self.test.sdf, at)[0, 0].double().numpy()
            force = self.settings.touch * way / (np.linalg.norm(way) + 1e-9)
            torque += CLOSES.reshape(-1) * self._torque(link, place, force)
        return torque.clip(-TORQUE, TORQUE)

    def _press(self) -> Float[np.ndarray, " 45"]:
        """Torques (Nm) with which the fingers that touch carry the object."""
        found = self._touching()
        torque = np.zeros(45)
        if not found:
            return torque
        links = [link for link, _, _ in found]
        forces = planned_forces(
            np.array([place for _, place, _ in found]),
            np.array([normal for _, _, normal in found]),
            [(link + 2) // 3 for link in links],
            self.data.xipos[self.thing],
            self.settings.grip + self.settings.grip_of_weight * float(-self.weight[2]),
            self.weight,
            self.settings.planned_friction,
        )
        for (link, place, _), force in zip(found, forces, strict=True):
            if link:
                torque += self._torque(link, place, force)
        return torque.clip(-TORQUE, TORQUE)

    def _touching(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Link, place (m) and the object's normal of the deepest contact of each of the capsules, in the world."""
        numbers = {body: link for link, body in enumerate(self.links)}
        best: dict[int, tuple[float, int, np.ndarray, np.ndarray]] = {}
        for k in range(self.data.ncon):
            contact = self.data.contact[k]
            bodies = [int(self.model.geom_bodyid[geom]) for geom in (contact.geom1, contact.geom2)]
            if self.thing not in bodies or not (set(bodies) & set(self.links)):
                continue
            # MuJoCo's normals lead from the first to the second.
            first = bodies[0] == self.thing
            normal = contact.frame[:3].copy() * (1 if first else -1)
            geom, link = int(contact.geom2 if first else contact.geom1), numbers[bodies[1 if first else 0]]
            if geom not in best or contact.dist < best[geom][0]:
                best[geom] = (float(contact.dist), link, contact.pos.copy(), normal)
        return [(link, place, normal) for _, link, place, normal in best.values()]


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)
