"""Whether the object stays in a hand that stands still, with gravity from six sides, one after the other, in MuJoCo."""

from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.errors import HopriorError
from hoprior.physics.simulation.bullet import GRAVITY
from hoprior.physics.simulation.convex import ConvexParts
from hoprior.physics.simulation.extras import require

SURVIVAL_MASS = 0.2
SURVIVAL_SECONDS = 1.0
SURVIVAL_FRICTION = 1.0
SURVIVAL_DISTANCE = 0.02
SURVIVAL_TIME_STEP = 0.002
DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])

# The same, answered early.
HOLDS_TIME_STEP = 0.004
HOLDS_REACH = 0.04
"""Pieces of the hand farther than this (m) from the object meet it only where it has turned a long way."""
SETTLED_WINDOW = 0.1
"""Seconds over which an object's drift is measured."""
SETTLED_MARGIN = 10.0
"""How many times faster it might drift later on."""


def survival_share(verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], parts: ConvexParts) -> float:
    """Share of six directions of gravity (a second each, 200 g, friction 1) in which the object moves less than 2 cm.

    MuJoCo's collisions are between convex bodies, so the hand is made of the pieces of `hand_pieces`.

    Raises:
        HopriorError: mujoco is not installed.
    """
    model = _survival_model(hand_pieces(verts, faces), parts, SURVIVAL_TIME_STEP)
    held = sum(_stays(model, direction, settled=False) for direction in DIRECTIONS)
    return held / len(DIRECTIONS)


def holds(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    parts: ConvexParts,
    near: Callable[[np.ndarray], np.ndarray] | None = None,
) -> bool:
    """Whether `survival_share` would be 1: the same test, made to say no and yes early.

    The first direction of gravity in which the object moves 2 cm ends it. A direction ends when the object has come to
    rest: when it drifts so slowly that ten times its speed would not take it 2 cm away within the second. Time steps
    are twice as long, and pieces of the hand farther than `HOLDS_REACH` from the object are left out.
    `benchmarks/synthesis.py` counts how often both agree.

    Args:
        near: signed distances (m) to the object of points (n, 3), to find those pieces; all are kept without.

    Raises:
        HopriorError: mujoco is not installed.
    """
    pieces = hand_pieces(verts, faces)
    if near is not None:
        distance = near(np.concatenate(pieces))
        first = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
        closest = np.minimum.reduceat(distance, first)
        pieces = [piece for piece, gap in zip(pieces, closest, strict=True) if gap < HOLDS_REACH]
    if not pieces:
        return False
    model = _survival_model(pieces, parts, HOLDS_TIME_STEP)
    return all(_stays(model, direction, settled=True) for direction in DIRECTIONS)


def _survival_model(pieces: list[np.ndarray], parts: ConvexParts, time_step: float) -> Any:
    mujoco = require("mujoco", "sim")
    try:
        return mujoco.MjModel.from_xml_string(_mujoco_scene(pieces, parts, time_step))
    except ValueError as error:
        raise HopriorError(f"the simulator refuses the hand or the object ({error}): leave that grasp out") from error


def _stays(model: Any, direction: np.ndarray, settled: bool) -> bool:
    """Whether the object stays within 2 cm for a second of gravity in a direction; `settled` allows an early yes."""
    mujoco = require("mujoco", "sim")
    model.opt.gravity[:] = GRAVITY * direction
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    place = data.body("object").xpos
    start = before = place.copy()
    steps = round(SURVIVAL_SECONDS / model.opt.timestep)
    every = round(SETTLED_WINDOW / model.opt.timestep)
    for step in range(1, steps + 1):
        mujoco.mj_step(model, data)
        moved = float(np.linalg.norm(place - start))
        # A breakdown of the solver resets the data, and with it the time.
        if not moved < SURVIVAL_DISTANCE or data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
            return False
        if settled and step % every == 0:
            drift = float(np.linalg.norm(place - before)) / every * (steps - step)
            if moved + SETTLED_MARGIN * drift < SURVIVAL_DISTANCE:
                return True
            before = place.copy()
    return True


def hand_pieces(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], size: float = 0.012
) -> list[np.ndarray]:
    """Points of small convex pieces (about `size` metres) that together are the hand's surface and what is beneath it.

    Each piece is the hull of the triangles in one cell of a lattice and their mirror images 3 mm inwards, so that it
    has a thickness whatever the pose, and needs nothing to be known of the hand but its surface.
    """
    surface = trimesh.Trimesh(verts, faces, process=False)
    normals = surface.vertex_normals
    cells = np.floor(surface.triangles_center / size).astype(int)
    _, piece = np.unique(cells, axis=0, return_inverse=True)
    pieces = []
    for k in range(int(piece.max()) + 1):
        ids = np.unique(faces[piece.reshape(-1) == k])
        pieces.append(np.concatenate([verts[ids], verts[ids] - 0.003 * normals[ids]]))
    return pieces


def _mujoco_scene(pieces: list[np.ndarray], parts: ConvexParts, time_step: float = SURVIVAL_TIME_STEP) -> str:
    """The scene's XML: the hand's pieces fixed to the world, the object free."""
    meshes, hand, body = [], [], []
    density = SURVIVAL_MASS / parts.volume
    for k, points in enumerate(pieces):
        meshes.append(f'<mesh name="h{k}" vertex="{_numbers(points)}"/>')
        hand.append(f'<geom type="mesh" mesh="h{k}" contype="1" conaffinity="2"/>')
    for k, hull in enumerate(parts.hulls):
        meshes.append(f'<mesh name="o{k}" vertex="{_numbers(hull.vertices - parts.center)}"/>')
        body.append(f'<geom type="mesh" mesh="o{k}" contype="2" conaffinity="1" density="{density:.6g}"/>')
    return f"""<mujoco>
  <option timestep="{time_step}" cone="elliptic" impratio="10"/>
  <default><geom friction="{SURVIVAL_FRICTION} 0.005 0.0001" condim="4"/></default>
  <asset>{"".join(meshes)}</asset>
  <worldbody>
    {"".join(hand)}
    <body name="object" pos="{_numbers(parts.center)}"><freejoint/>{"".join(body)}</body>
  </worldbody>
</mujoco>"""


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6g}" for value in np.asarray(values).reshape(-1))
