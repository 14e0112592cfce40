"""Grasps carried out in exported files: the fingers press, the hand rises, and what it holds comes along or does not.

The hand is the articulated one of `hoprior.results.simulators`: its fingers are turned by position control, its wrist
follows a body that nothing moves but we.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from hoprior.common.reading import interpreting, read_json
from hoprior.errors import HopriorError
from hoprior.physics.simulation.bullet import GRAVITY
from hoprior.physics.simulation.extras import require, silence

PRESSING, HOLDING, LIFTING = 0.6, 0.4, 1.2
"""Seconds of each part; the last hold is as long as the first."""
LIFT_HEIGHT = 0.3
"""m."""
HELD_SHARE = 0.8
"""Of the hand's rise, what the object has to have come along by to count as held."""
BULLET_STEP = 1 / 480
WRIST_FORCE = 500.0
"""The most (N) that pybullet pulls the wrist with to where it is told to be."""
BULLET_GAIN = 0.1
"""Of pybullet's position control: the share of what is missing that is made good in one step, up to the torque."""


class Lift(NamedTuple):
    """How a lift went: how far the object rose (m), and whether that counts as held."""

    rise: float
    held: bool

    @classmethod
    def of(cls, rise: float) -> "Lift":
        """The lift of an object that rose by so much; a simulation that broke down held nothing."""
        return cls(rise, bool(np.isfinite(rise)) and HELD_SHARE * LIFT_HEIGHT < rise < 2 * LIFT_HEIGHT)


def lift_mujoco(folder: Path, name: str) -> Lift:
    """Lifts by one key frame of an export to MJCF, in MuJoCo.

    Raises:
        HopriorError: mujoco is not installed, or the folder or the key frame is not there.
    """
    mujoco = require("mujoco", "sim")
    path = folder / "scene.xml"
    if not path.is_file():
        raise HopriorError(f"{folder}: no scene.xml in it: give a folder that `hoprior export OUT --to mjcf` wrote")
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    try:
        key = model.key(name)
    except KeyError as error:
        raise HopriorError(f"{path}: no key frame '{name}'") from error
    mujoco.mj_resetDataKeyframe(model, data, key.id)
    mujoco.mj_forward(model, data)
    thing, start = data.body("object").xpos, float(data.body("object").xpos[2])
    wrist = data.mocap_pos[0].copy()
    hinges = np.array([data.joint(model.actuator(k).name).qpos[0] for k in range(model.nu)])

    def step(pressing: float, raised: float) -> None:
        data.ctrl[:] = hinges + pressing * (key.ctrl - hinges)
        data.mocap_pos[0] = wrist + np.array([0.0, 0.0, raised * LIFT_HEIGHT])
        mujoco.mj_step(model, data)

    play(step, float(model.opt.timestep))
    broken = data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number > 0
    return Lift.of(np.nan if broken else float(thing[2]) - start)


def lift_bullet(folder: Path, name: str) -> Lift:
    """Lifts by one key frame of an export to URDF, in pybullet.

    Raises:
        HopriorError: pybullet is not installed, or the folder or the key frame is not there.
    """
    bullet = require("pybullet", "bullet")
    path = folder / "keyframes.json"
    if not path.is_file():
        raise HopriorError(
            f"{folder}: no keyframes.json in it: give a folder that `hoprior export OUT --to urdf` wrote"
        )
    about = read_json(path, "export again")
    with interpreting(path, "export again"):
        frames = {frame["name"]: frame for frame in about["keyframes"]}
        if name not in frames:
            raise HopriorError(f"{path}: no key frame '{name}'")
        frame, torque = frames[name], about["control"]["torque"]
    client = bullet.connect(bullet.DIRECT)
    try:
        bullet.setPhysicsEngineParameter(
            fixedTimeStep=BULLET_STEP, numSolverIterations=200, enableFileCaching=0, physicsClientId=client
        )
        bullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
        with silence():
            hand = _placed(bullet, client, folder / "hand.urdf", np.array(frame["T_world_wrist"]))
            thing = _placed(bullet, client, folder / "object.urdf", np.array(about["T_world_object"]))
            ground = bullet.createMultiBody(
                0, bullet.createCollisionShape(bullet.GEOM_PLANE, physicsClientId=client), physicsClientId=client
            )
        joints = {}
        for k in range(bullet.getNumJoints(hand, physicsClientId=client)):
            info = bullet.getJointInfo(hand, k, physicsClientId=client)
            bullet.setCollisionFilterPair(hand, ground, k, -1, 0, physicsClientId=client)
            bullet.changeDynamics(hand, k, lateralFriction=1.0, physicsClientId=client)
            if info[1].decode() in frame["hinges"]:
                joints[info[1].decode()] = k
        bullet.setCollisionFilterPair(hand, ground, -1, -1, 0, physicsClientId=client)
        bullet.changeDynamics(hand, -1, lateralFriction=1.0, physicsClientId=client)
        for joint, number in joints.items():
            bullet.resetJointState(hand, number, frame["hinges"][joint], physicsClientId=client)
        wrist, turn = bullet.getBasePositionAndOrientation(hand, physicsClientId=client)
        held = bullet.createConstraint(
            hand, -1, -1, -1, bullet.JOINT_FIXED, (0, 0, 0), (0, 0, 0), wrist,
            childFrameOrientation=turn, physicsClientId=client,
        )  # fmt: skip
        start = bullet.getBasePositionAndOrientation(thing, physicsClientId=client)[0][2]
        hinges = np.array([frame["hinges"][joint] for joint in joints])
        targets = np.array([frame["targets"][joint] for joint in joints])

        def step(pressing: float, raised: float) -> None:
            bullet.setJointMotorControlArray(
                hand, list(joints.values()), bullet.POSITION_CONTROL,
                targetPositions=(hinges + pressing * (targets - hinges)).tolist(), forces=[torque] * len(joints),
                positionGains=[BULLET_GAIN] * len(joints), physicsClientId=client,
            )  # fmt: skip
            up = (wrist[0], wrist[1], wrist[2] + raised * LIFT_HEIGHT)
            bullet.changeConstraint(held, up, turn, maxForce=WRIST_FORCE, physicsClientId=client)
            bullet.stepSimulation(physicsClientId=client)

        play(step, BULLET_STEP)
        end = bullet.getBasePositionAndOrientation(thing, physicsClientId=client)[0][2]
    finally:
        bullet.disconnect(client)
    return Lift.of(end - start)


LIFTS: dict[str, Callable[[Path, str], Lift]] = {"mjcf": lift_mujoco, "urdf": lift_bullet}
"""What lifts in the files of which export."""


def play(step: Callable[[float, float], None], time_step: float) -> None:
    """Calls `step(how hard pressed, how far raised)`, from 0 to 1 each: press, hold, lift, hold."""
    ends = np.cumsum([PRESSING, HOLDING, LIFTING, HOLDING])
    for now in np.arange(time_step, ends[-1], time_step):
        step(_smooth(now / PRESSING), _smooth((now - ends[1]) / LIFTING))


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _placed(bullet: Any, client: int, path: Path, T_world_body: np.ndarray) -> int:
    """Loads a file and puts its first link's frame somewhere; pybullet itself speaks of that link's centre of mass."""
    body = bullet.loadURDF(str(path), physicsClientId=client)
    turn = Rotation.from_matrix(T_world_body[:3, :3]).as_quat().tolist()
    center, axes = bullet.getDynamicsInfo(body, -1, physicsClientId=client)[3:5]
    place, turned = bullet.multiplyTransforms(T_world_body[:3, 3].tolist(), turn, center, axes)
    bullet.resetBasePositionAndOrientation(body, place, turned, physicsClientId=client)
    return body
