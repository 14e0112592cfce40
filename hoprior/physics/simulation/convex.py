"""Objects as convex parts, which is what the simulators' bodies are made of."""

import hashlib
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import manifold3d
import numpy as np
import trimesh
from scipy.spatial import QhullError

from hoprior.common.caches import ADVICE, keep_arrays, kept_arrays
from hoprior.common.reading import interpreting
from hoprior.errors import HopriorError
from hoprior.geometry import repair
from hoprior.physics.simulation.extras import require, silence

logger = logging.getLogger(__name__)

KIND, KEPT_FORMAT = "convex_parts", 1
"""Of the user's caches; and how parts are written there."""
MAX_DECOMPOSED_FACES = 2000
"""CoACD's time grows with the faces; a surface simplified to these differs by less than its threshold."""
SIMPLIFIED_BY = 5e-4
"""How far (m) faces may move where plain simplification would tear a thin wall."""
COACD: dict[str, Any] = dict(threshold=0.05, resolution=1000, mcts_nodes=10, mcts_iterations=60, seed=0)
"""Its own threshold, with fewer tries at each cut: 1 s an object instead of 3 s, and as close to the volume."""
HOLLOW_SHARE = 0.25
"""A hollow thing fills less of its convex hull."""
COACD_HOLLOW: dict[str, Any] = COACD | dict(threshold=0.1, resolution=500, mcts_iterations=30, mcts_max_depth=2)
"""For bowls and cups, of which the above would make a hundred parts in half a minute."""
COACD_HOLLOW_FINE: dict[str, Any] = COACD | dict(resolution=500, mcts_iterations=30)
"""For the same where fingers are to reach into them: twice the parts, in a quarter of a minute."""
_CACHED = 64
_decompositions: OrderedDict[str, "ConvexParts"] = OrderedDict()


@dataclass(frozen=True)
class ConvexParts:
    """An object as convex parts, and its centre of mass (metres, object's frame).

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> round(1e6 * ConvexParts((box,), box.center_mass).volume)  # cm³
        1000
    """

    hulls: tuple[trimesh.Trimesh, ...]
    center: np.ndarray

    @property
    def volume(self) -> float:
        """Sum of the parts' volumes, m³."""
        return float(sum(hull.volume for hull in self.hulls))


def convex_parts(closed: trimesh.Trimesh, method: str = "coacd") -> ConvexParts:
    """A closed mesh (metres) as convex parts; the last 64 objects' parts are remembered, many more in the user's cache.

    Args:
        method: `coacd` (Wei et al. 2022), `coacd-fine`, whose hollow things are hollow, or `vhacd`, as pybullet
            carries it.

    Raises:
        HopriorError: the method is unknown or its package is not installed.
    """
    methods: dict[str, Callable[[trimesh.Trimesh], list[trimesh.Trimesh]]] = {
        "coacd": _coacd,
        "coacd-fine": partial(_coacd, hollow=COACD_HOLLOW_FINE),
        "vhacd": _vhacd,
    }
    if method not in methods:
        raise HopriorError(f"unknown convex decomposition '{method}': use one of {', '.join(methods)}")
    content = np.ascontiguousarray(closed.vertices).tobytes() + np.ascontiguousarray(closed.faces).tobytes()
    key = hashlib.sha256(repr(_follows_from(method)).encode() + content).hexdigest()
    if key not in _decompositions:
        _decompositions[key] = _kept(key) or _made(closed, methods[method], key)
        if len(_decompositions) > _CACHED:
            _decompositions.popitem(last=False)
    return _decompositions[key]


def _made(
    closed: trimesh.Trimesh, decompose: Callable[[trimesh.Trimesh], list[trimesh.Trimesh]], key: str
) -> ConvexParts:
    """Parts that are made, and kept for later processes."""
    hulls = tuple(part.convex_hull for part in decompose(closed) if len(part.vertices) > 3)
    parts = ConvexParts(hulls, np.array(closed.center_mass))
    if hulls:
        arrays: dict[str, Any] = {"center": parts.center}
        for k, hull in enumerate(hulls):
            arrays |= {f"verts_{k}": np.asarray(hull.vertices), f"faces_{k}": np.asarray(hull.faces)}
        keep_arrays(KIND, key, arrays)
    return parts


def _kept(key: str) -> ConvexParts | None:
    """Parts that an earlier process made; None where there are none that make sense."""
    arrays = kept_arrays(KIND, key)
    if arrays is None:
        return None
    try:
        with interpreting(f"kept parts {key[:8]}", ADVICE):
            center, hulls = np.asarray(arrays["center"], dtype=float), []
            for k in range(len(arrays) // 2):
                verts, faces = np.asarray(arrays[f"verts_{k}"], dtype=float), arrays[f"faces_{k}"].astype(np.int64)
                if verts.ndim != 2 or verts.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
                    raise ValueError(f"part {k} is no mesh")
                if not (len(faces) and np.isfinite(verts).all() and 0 <= faces.min() <= faces.max() < len(verts)):
                    raise ValueError(f"part {k} is no solid")
                hulls.append(trimesh.Trimesh(verts, faces, process=False))
            if not hulls or center.shape != (3,) or not np.isfinite(center).all():
                raise ValueError("no parts")
            return ConvexParts(tuple(hulls), center)
    except HopriorError as error:
        logger.info("%s", error)
        return None


def _follows_from(method: str) -> tuple[Any, ...]:
    """All but the mesh that parts follow from."""
    packages = []
    for name in ("coacd" if method.startswith("coacd") else "pybullet", "trimesh", "scipy", "manifold3d"):
        try:
            packages.append((name, version(name)))
        except PackageNotFoundError:
            continue
    hollow = COACD_HOLLOW_FINE if method == "coacd-fine" else COACD_HOLLOW
    return (KEPT_FORMAT, method, COACD, hollow, HOLLOW_SHARE, MAX_DECOMPOSED_FACES, SIMPLIFIED_BY, packages)


def _coacd(mesh: trimesh.Trimesh, hollow: dict[str, Any] = COACD_HOLLOW) -> list[trimesh.Trimesh]:
    coacd = require("coacd", "sim")
    coacd.set_log_level("off")
    simple = _simplified(mesh)
    # CoACD's own mending rebuilds the surface on a coarse grid, which makes thin handles half as thick again.
    mending = "off" if simple.is_watertight else "on"
    options = hollow if _hollow(mesh) else COACD
    parts = coacd.run_coacd(coacd.Mesh(simple.vertices, simple.faces), preprocess_mode=mending, **options)
    return [trimesh.Trimesh(verts, faces) for verts, faces in parts]


def _hollow(mesh: trimesh.Trimesh) -> bool:
    try:
        return bool(abs(mesh.volume) <= HOLLOW_SHARE * mesh.convex_hull.volume)
    except QhullError:  # as good as flat
        return True


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
    pybullet = require("pybullet", "bullet")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "object.obj", Path(folder) / "parts.obj"
        mesh.export(source)
        with silence():
            pybullet.vhacd(str(source), str(result), str(Path(folder) / "log.txt"))
        return list(trimesh.load_mesh(result, process=False).split(only_watertight=False))
