"""How far an object slips from a hand that stands still: the displacement of Hasson et al. (CVPR 2019), in pybullet.

This module imports neither torch nor trimesh, so that workers that run it start within half a second.
"""

import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from hoprior.physics.simulation.beside import Beside
from hoprior.physics.simulation.extras import require

if TYPE_CHECKING:
    from hoprior.physics.simulation.convex import ConvexParts

GRAVITY_DIRECTION = (0.0, 0.0, -1.0)
"""Of the displacement's gravity in the object's frame: scans of objects mostly stand on z."""

# The rest of the protocol, as GraspTTA has it.
TIME_STEP = 1 / 240
STEPS = 35
GRAVITY = 9.8
SOLVER_ITERATIONS = 150
FRICTION = 3.0
RESTITUTION_HAND, RESTITUTION_OBJECT = 0.0, 0.5
OBJECT_MASS = 1.0
FAILURE_CM = 10.0
"""What a simulation that breaks down counts as; 35 steps of free fall are 10.7 cm."""
HANDS_PER_WORKER = 8
"""Fewer (an eighth of a second each) are not worth starting another process."""
_beside = Beside()


def displacement_cm(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    parts: "ConvexParts",
    gravity_direction: Sequence[float] = GRAVITY_DIRECTION,
) -> float:
    """How far the object's centre moves (cm) in 35 steps of 1/240 s, the hand standing still.

    A simulation that breaks down counts as 10 cm. Objects that are thrown out of a deep penetration may move farther.

    Raises:
        HopriorError: pybullet is not installed.
    """
    return _displacement_cm(verts, faces, *_body(parts), gravity_direction)


def displacements_cm(
    verts: Float[np.ndarray, "b V 3"],
    faces: Int[np.ndarray, "F 3"],
    parts: "ConvexParts",
    gravity_direction: Sequence[float] = GRAVITY_DIRECTION,
    workers: int = 1,
) -> Float[np.ndarray, " b"]:
    """`displacement_cm` of b hands at one object, where they are many, or processes are there, in up to `workers`.

    Raises:
        HopriorError: pybullet is not installed.
    """
    require("pybullet", "bullet")
    if not _beside.started(workers):
        workers = min(workers, len(verts) // HANDS_PER_WORKER)
    hulls, center = _body(parts)
    of_one = partial(_displacement_cm, faces=faces, hulls=hulls, center=center, gravity_direction=gravity_direction)
    return np.array(_beside.call(of_one, list(verts), workers))


def start_workers(workers: int) -> None:
    """Starts processes that `displacements_cm` will find ready; does not wait for them."""
    _beside.start(workers, partial(require, "pybullet", "bullet"))


def _body(parts: "ConvexParts") -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Hulls about the centre of mass, and where it is, as plain arrays, which workers read without trimesh."""
    hulls = [(np.asarray(hull.vertices) - parts.center, np.asarray(hull.faces)) for hull in parts.hulls]
    return hulls, np.asarray(parts.center)


def _displacement_cm(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    hulls: Sequence[tuple[np.ndarray, np.ndarray]],
    center: Float[np.ndarray, "3"],
    gravity_direction: Sequence[float],
) -> float:
    pybullet = require("pybullet", "bullet")
    gravity = GRAVITY * np.asarray(gravity_direction, dtype=np.float64) / np.linalg.norm(gravity_direction)
    client = pybullet.connect(pybullet.DIRECT)
    try:
        # pybullet remembers meshes by file name and would give every grasp the first hand. So its memory is switched
        # off, and each grasp has a folder of its own, whose name no other had.
        with tempfile.TemporaryDirectory(prefix="hoprior_") as folder:
            hand_file, object_file = Path(folder) / "hand.obj", Path(folder) / "object.obj"
            hand_file.write_text(_obj([(verts, faces)]))
            object_file.write_text(_obj(hulls))
            pybullet.setPhysicsEngineParameter(
                enableFileCaching=0,
                fixedTimeStep=TIME_STEP,
                numSolverIterations=SOLVER_ITERATIONS,
                physicsClientId=client,
            )
            pybullet.setGravity(*gravity, physicsClientId=client)
            hand_shape = pybullet.createCollisionShape(
                pybullet.GEOM_MESH,
                fileName=str(hand_file),
                flags=pybullet.GEOM_FORCE_CONCAVE_TRIMESH,
                physicsClientId=client,
            )
            object_shape = pybullet.createCollisionShape(
                pybullet.GEOM_MESH, fileName=str(object_file), physicsClientId=client
            )
            # Bodies read the files once more, for looks.
            hand = pybullet.createMultiBody(0, hand_shape, physicsClientId=client)
            body = pybullet.createMultiBody(
                OBJECT_MASS, object_shape, basePosition=center.tolist(), physicsClientId=client
            )
        for index, restitution in ((hand, RESTITUTION_HAND), (body, RESTITUTION_OBJECT)):
            pybullet.changeDynamics(
                index, -1, lateralFriction=FRICTION, restitution=restitution, physicsClientId=client
            )
        start, _ = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
        for _ in range(STEPS):
            pybullet.stepSimulation(physicsClientId=client)
        end, _ = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
    finally:
        pybullet.disconnect(client)
    moved = 100.0 * math.dist(start, end)
    return moved if math.isfinite(moved) else FAILURE_CM


def _obj(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Wavefront text; pybullet makes each `o` of it one convex hull unless told to keep the triangles."""
    lines, offset = [], 1
    for k, (verts, faces) in enumerate(pieces):
        lines.append(f"o part{k}")
        lines += [f"v {x:.8g} {y:.8g} {z:.8g}" for x, y, z in np.asarray(verts)]
        lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(faces) + offset]
        offset += len(verts)
    return "\n".join(lines) + "\n"
