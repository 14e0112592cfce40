"""Does a grasp hold? The protocol's displacement (pybullet), and survival of gravity from six sides (MuJoCo).

Both packages are optional (`pip install hoprior[sim]`, `hoprior[mujoco]`). Input is in metres, in the object's frame.
"""

import contextlib
import ctypes
import hashlib
import math
import os
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import manifold3d
import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.errors import HopriorError
from hoprior.geometry import repair
from hoprior.geometry.mesh import thin_walled

GRAVITY_DIRECTION = (0.0, 0.0, -1.0)
"""Of the displacement's gravity in the object's frame: scans of objects mostly stand on z."""

# The displacement's protocol: Hasson et al., CVPR 2019, and GraspTTA.
TIME_STEP = 1 / 240
STEPS = 35
GRAVITY = 9.8
SOLVER_ITERATIONS = 150
FRICTION = 3.0
RESTITUTION_HAND, RESTITUTION_OBJECT = 0.0, 0.5
OBJECT_MASS = 1.0
FAILURE_CM = 10.0
"""What a simulation that breaks down counts as; 35 steps of free fall are 10.4 cm."""

# Survival: ours, stricter.
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

MAX_DECOMPOSED_FACES = 2000
"""CoACD's time grows with the faces; a surface simplified to these differs by less than its threshold."""
SIMPLIFIED_BY = 5e-4
"""How far (m) faces may move where plain simplification would tear a thin wall."""
COACD: dict[str, Any] = dict(threshold=0.05, resolution=1000, mcts_nodes=10, mcts_iterations=60, seed=0)
"""Its own threshold, with fewer tries at each cut: 1 s an object instead of 3 s, and as close to the volume."""
COACD_THIN: dict[str, Any] = COACD | dict(threshold=0.1, resolution=500, mcts_iterations=30, mcts_max_depth=2)
"""For bowls and cups, of which the above would make a hundred parts in half a minute."""
_CACHED = 64
_decompositions: OrderedDict[str, "ConvexParts"] = OrderedDict()


@dataclass(frozen=True)
class ConvexParts:
    """An object as convex parts, and its centre of mass (metres, object's frame)."""

    hulls: tuple[trimesh.Trimesh, ...]
    center: np.ndarray

    @property
    def volume(self) -> float:
        """Sum of the parts' volumes, m³."""
        return float(sum(hull.volume for hull in self.hulls))


def simulator_missing(survival: bool = False) -> str | None:
    """What to install before `displacement_cm` (or `survival_share`) can run, or None where all is there."""
    needed = {"coacd": "sim"} | ({"mujoco": "mujoco"} if survival else {"pybullet": "sim"})
    for package, extra in needed.items():
        if find_spec(package) is None:
            return f"{package} is not installed: pip install 'hoprior[{extra}]'"
    return None


def convex_parts(closed: trimesh.Trimesh, method: str = "coacd") -> ConvexParts:
    """A closed mesh (metres) as convex parts; the last 64 objects' parts are remembered.

    Args:
        method: `coacd` (Wei et al. 2022) or `vhacd`, as pybullet carries it.

    Raises:
        HopriorError: the method is unknown or its package is not installed.
    """
    methods = {"coacd": _coacd, "vhacd": _vhacd}
    if method not in methods:
        raise HopriorError(f"unknown convex decomposition '{method}': use one of {', '.join(methods)}")
    content = np.ascontiguousarray(closed.vertices).tobytes() + np.ascontiguousarray(closed.faces).tobytes()
    key = method + hashlib.sha256(content).hexdigest()
    if key not in _decompositions:
        hulls = tuple(part.convex_hull for part in methods[method](closed) if len(part.vertices) > 3)
        _decompositions[key] = ConvexParts(hulls, np.array(closed.center_mass))
        if len(_decompositions) > _CACHED:
            _decompositions.popitem(last=False)
    return _decompositions[key]


def _coacd(mesh: trimesh.Trimesh) -> list[trimesh.Trimesh]:
    coacd = _require("coacd", "sim")
    coacd.set_log_level("off")
    simple = _simplified(mesh)
    # CoACD's own mending rebuilds the surface on a coarse grid, which makes thin handles half as thick again.
    mending = "off" if simple.is_watertight else "on"
    options = COACD_THIN if thin_walled(mesh) else COACD
    parts = coacd.run_coacd(coacd.Mesh(simple.vertices, simple.faces), preprocess_mode=mending, **options)
    return [trimesh.Trimesh(verts, faces) for verts, faces in parts]


def _simplified(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with few faces, still closed if it was."""
    if len(mesh.faces) <= MAX_DECOMPOSED_FACES:
        return mesh
    simple = repair.simplify(mesh, MAX_DECOMPOSED_FACES)
    if simple.is_watertight:
        return simple
    body = manifold3d.Manifold(
        manifold3d.Mesh(np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.uint32))
    )
    if body.status() != manifold3d.Error.NoError:
        return mesh
    surface = body.simplify(SIMPLIFIED_BY).to_mesh()
    return trimesh.Trimesh(np.asarray(surface.vert_properties)[:, :3], np.asarray(surface.tri_verts), process=False)


def _vhacd(mesh: trimesh.Trimesh) -> list[trimesh.Trimesh]:
    pybullet = _require("pybullet", "sim")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "object.obj", Path(folder) / "parts.obj"
        mesh.export(source)
        with _silence():
            pybullet.vhacd(str(source), str(result), str(Path(folder) / "log.txt"))
        return list(trimesh.load_mesh(result, process=False).split(only_watertight=False))


def displacement_cm(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    parts: ConvexParts,
    gravity_direction: Sequence[float] = GRAVITY_DIRECTION,
) -> float:
    """How far the object's centre moves (cm) in 35 steps of 1/240 s, the hand standing still.

    A simulation that breaks down counts as 10 cm. Objects that are thrown out of a deep penetration may move farther.

    Raises:
        HopriorError: pybullet is not installed.
    """
    pybullet = _require("pybullet", "sim")
    gravity = GRAVITY * np.asarray(gravity_direction, dtype=np.float64) / np.linalg.norm(gravity_direction)
    client = pybullet.connect(pybullet.DIRECT)
    try:
        # pybullet remembers meshes by file name and would give every grasp the first hand. So its memory is switched
        # off, and each grasp has a folder of its own, whose name no other had.
        with tempfile.TemporaryDirectory(prefix="hoprior_") as folder:
            hand_file, object_file = Path(folder) / "hand.obj", Path(folder) / "object.obj"
            hand_file.write_text(_obj([(verts, faces)]))
            object_file.write_text(_obj([(hull.vertices - parts.center, hull.faces) for hull in parts.hulls]))
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
                OBJECT_MASS, object_shape, basePosition=parts.center.tolist(), physicsClientId=client
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
    mujoco = _require("mujoco", "mujoco")
    try:
        return mujoco.MjModel.from_xml_string(_mujoco_scene(pieces, parts, time_step))
    except ValueError as error:
        raise HopriorError(f"the simulator refuses the hand or the object ({error}): leave that grasp out") from error


def _stays(model: Any, direction: np.ndarray, settled: bool) -> bool:
    """Whether the object stays within 2 cm for a second of gravity in a direction; `settled` allows an early yes."""
    mujoco = _require("mujoco", "mujoco")
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


def _obj(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Wavefront text; pybullet makes each `o` of it one convex hull unless told to keep the triangles."""
    lines, offset = [], 1
    for k, (verts, faces) in enumerate(pieces):
        lines.append(f"o part{k}")
        lines += [f"v {x:.8g} {y:.8g} {z:.8g}" for x, y, z in np.asarray(verts)]
        lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(faces) + offset]
        offset += len(verts)
    return "\n".join(lines) + "\n"


def _require(package: str, extra: str) -> Any:
    """An optional package, imported without its greeting."""
    try:
        with _silence() if package == "pybullet" else contextlib.nullcontext():
            return __import__(package)
    except ImportError as error:
        raise HopriorError(
            f"{package} is not installed ({error}): pip install 'hoprior[{extra}]', or leave the simulation out"
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Sends what C code writes to the process's stdout and stderr to nowhere."""
    streams = (1, 2)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in streams]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in streams:
            os.dup2(nowhere, stream)
        yield
    finally:
        # C keeps a buffer of its own, which would be written only at the process's end.
        with contextlib.suppress(OSError, TypeError, AttributeError):
            ctypes.CDLL(None).fflush(None)
        for stream, copy in zip(streams, kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
