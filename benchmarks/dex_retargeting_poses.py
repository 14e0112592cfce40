"""Poses by dex-retargeting, for benchmarks/retarget.py, which runs this in a Python that has it.

usage: python benchmarks/dex_retargeting_poses.py ASKED.npz MADE.npz

Its optimiser of positions with a free base, as its own offline configurations use it; each grasp from several starts
of the base, warm-started as it does itself, and asked again until it stands still.
"""

import sys
import time

import numpy as np
from dex_retargeting.retargeting_config import RetargetingConfig
from pytransform3d import rotations

AGAIN = 40
"""Frames for each start: it moves by little in each."""


def main(asked: str, made: str) -> None:
    """Reads targets (n, k, 3) and starts (n, s, 4, 4), writes bases and joints."""
    with np.load(asked) as arrays:
        targets, starts, links, urdf = (arrays[name] for name in ("targets", "starts", "links", "urdf"))
        driven = arrays["driven"].tolist()
    config = RetargetingConfig(
        type="position",
        urdf_path=str(urdf),
        target_joint_names=driven,
        target_link_names=links.tolist(),
        target_link_human_indices=np.arange(len(links)),
        add_dummy_free_joint=True,
        low_pass_alpha=1,
    )
    seconds, bases, joints = [], [], []
    solver = config.build()
    robot = solver.optimizer.robot
    names = robot.dof_joint_names
    base = next(
        frame.name
        for k, frame in enumerate(robot.model.frames)
        if "dummy" not in frame.name and frame.name in robot.link_names and "BODY" in str(frame.type) and k > 1
    )
    middle = solver.last_qpos.copy()
    for target, own in zip(targets, starts, strict=True):
        began = time.perf_counter()
        best = None
        for start in own:
            solver.last_qpos = middle.copy()
            solver.warm_start(start[:3, 3], rotations.quaternion_from_matrix(start[:3, :3]))
            for _ in range(AGAIN):
                qpos = solver.retarget(target)
            robot.compute_forward_kinematics(qpos)
            places = [robot.get_link_pose(robot.get_link_index(link))[:3, 3] for link in links]
            off = float(np.linalg.norm(np.array(places) - target, axis=1).mean())
            if best is None or off < best[0]:
                best = (off, robot.get_link_pose(robot.get_link_index(base)).copy(), qpos.copy())
        seconds.append(time.perf_counter() - began)
        bases.append(best[1])
        joints.append(best[2])
    np.savez(made, T_object_base=bases, joints=joints, names=np.array(names), seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
