"""A robot's grasp tried in MuJoCo: its position-controlled fingers press, it rises, the object comes along or does not.

The course is that of `hoprior export --lift`, and so are friction, stiffness and what counts as held.
"""

from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.geometry.state import SignedDistance
from hoprior.physics.articulated.forces import planned_forces
from hoprior.physics.articulated.mjcf import FRICTION, SKIN_SOFTNESS, SOLVER, add_object
from hoprior.physics.articulated.scene import STIFFNESS, TORQUE, SceneObject
from hoprior.physics.robots.fit import RobotPose
from hoprior.physics.robots.goals import distances
from hoprior.physics.robots.kinematics import RobotHand, add_hand
from hoprior.physics.simulation.lift import LIFT_HEIGHT, Lift, play

TOUCHING = 0.006
"""Points that are nearer (m) to the object than this press on it."""
SLIDING_STIFFNESS, SLIDING_FORCE = 2000.0, 60.0
"""N/m and N of joints that slide."""


class Carrier:
    """One object and one robot's hand, to try grasps on.

    Args:
        sdf: signed distance to the object's convex parts, by which fingers press.
        T_world_object: how the object stands on the plane z = 0.

    Raises:
        HopriorError: mujoco is not installed.
    """

    def __init__(
        self, hand: RobotHand, item: SceneObject, sdf: SignedDistance, T_world_object: Float[np.ndarray, "4 4"]
    ) -> None:
        self.hand, self.item, self.sdf, self.T_world_object = hand, item, sdf, T_world_object
        root = ElementTree.Element("mujoco", model="robot_lift")
        ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
        ElementTree.SubElement(root, "option", SOLVER)
        add_hand(root, hand.description, free=True)
        add_object(root, item, T_world_object)
        self._add_control(root)
        for geom in root.iter("geom"):
            if geom.get("name", "").startswith("link_"):
                geom.set("friction", f"{FRICTION} 0.005 0.0001")
                geom.set("solref", SKIN_SOFTNESS[0])
                geom.set("solimp", SKIN_SOFTNESS[1])
        self.model = hand.mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))

    def _add_control(self, root: ElementTree.Element) -> None:
        description = self.hand.description
        world = root.find("worldbody")
        assert world is not None
        ElementTree.SubElement(world, "body", name="hand_target", mocap="true")
        held = ElementTree.SubElement(root, "equality")
        ElementTree.SubElement(held, "weld", name="hand_target", body1="hand_target", body2="link_0", solref="0.01 1")
        names = description.joint_names
        motors = ElementTree.SubElement(root, "actuator")
        for k, joint in enumerate(description.joints):
            if joint.mimic is None:
                stiff, most = self.control(k)
                ElementTree.SubElement(
                    motors, "position", name=f"motor_{k}", joint=f"joint_{k}", kp=f"{stiff:.6g}",
                    forcerange=f"{-most:.6g} {most:.6g}",
                )  # fmt: skip
            else:
                column = int(np.abs(description.coupling[k]).argmax())
                ElementTree.SubElement(
                    held, "joint", joint1=f"joint_{k}", joint2=f"joint_{names.index(description.driven[column])}",
                    polycoef=f"{description.offset[k]:.8g} {description.coupling[k, column]:.8g} 0 0 0",
                    solref="0.004 1",
                )  # fmt: skip

    def control(self, joint: int) -> tuple[float, float]:
        """Stiffness and greatest force of a joint's motor."""
        about = self.hand.description.joints[joint]
        if about.sliding:
            return SLIDING_STIFFNESS, min(about.effort, SLIDING_FORCE)
        return STIFFNESS, min(about.effort, TORQUE)

    def pressed(self, pose: RobotPose) -> Float[np.ndarray, " d"]:
        """Targets of the driven joints with which the fingers that touch press on the object."""
        hand, T = self.hand, pose.T_object_base
        placed = hand.place(pose.driven)
        local = placed.points(hand.point_link, hand.points)
        places = local @ T[:3, :3].T + T[:3, 3]
        gaps, slopes = distances(self.sdf, places)
        finger_of = {link: k + 1 for k, finger in enumerate(hand.fingers) for link in finger.links}
        chosen = []
        for link in np.unique(hand.point_link):
            own = np.flatnonzero(hand.point_link == link)
            nearest = own[int(gaps[own].argmin())]
            if gaps[nearest] < TOUCHING:
                chosen.append(nearest)
        fingers = [finger_of.get(int(hand.point_link[k]), 0) for k in chosen]
        if not any(fingers):
            return pose.driven
        normals = slopes[chosen] / np.linalg.norm(slopes[chosen], axis=1, keepdims=True).clip(1e-9)
        forces = planned_forces(places[chosen], normals, fingers, self.item.inertia.center) @ T[:3, :3]
        speeds = placed.velocities(hand.point_link[chosen], local[chosen])
        torques = np.einsum("ni,nid->d", forces, speeds)
        driven = [k for k, joint in enumerate(hand.description.joints) if joint.mimic is None]
        stiff, most = np.array([self.control(k) for k in driven]).T
        return pose.driven + torques.clip(-most, most) / stiff

    def lift(self, pose: RobotPose) -> Lift:
        """Presses and lifts."""
        mujoco, model, hand = self.hand.mujoco, self.model, self.hand
        data = mujoco.MjData(model)
        T = self.T_world_object @ pose.T_object_base
        turned = np.roll(Rotation.from_matrix(T[:3, :3]).as_quat(), 1)
        base = int(model.joint("hand_root").qposadr[0])
        data.qpos[base : base + 7] = [*T[:3, 3], *turned]
        joints = hand.description.all_joints(pose.driven)
        for k, value in enumerate(joints):
            data.qpos[int(model.joint(f"joint_{k}").qposadr[0])] = value
        data.mocap_pos[0], data.mocap_quat[0] = T[:3, 3], turned
        mujoco.mj_forward(model, data)
        targets = self.pressed(pose)
        thing: Any = data.body("object").xpos
        start = float(thing[2])

        def step(pressing: float, raised: float) -> None:
            data.ctrl[:] = pose.driven + pressing * (targets - pose.driven)
            data.mocap_pos[0] = T[:3, 3] + np.array([0.0, 0.0, raised * LIFT_HEIGHT])
            mujoco.mj_step(model, data)

        play(step, float(model.opt.timestep))
        broken = data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number > 0
        return Lift.of(np.nan if broken else float(thing[2]) - start)
