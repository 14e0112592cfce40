"""Compares the engines for signed distances: time, error on shapes with a formula, signs on flawed scans, size.

    python benchmarks/sdf_engines.py [--scans DIR] [--engines igl trimesh] [--write docs/sdf_engines.md]

Engines that are not installed are skipped with a note. The table of docs/sdf_engines.md is this script's.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import igl
import numpy as np
import trimesh

from hoprior.geometry.engines import ENGINES
from hoprior.geometry.mesh import load_mesh

REPOSITORY = Path(__file__).resolve().parent.parent
SCANS = Path(os.environ.get("HOPRIOR_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "ycb_dev"
TIMED_POINTS, TIMED_RUNS = 20_000, 5
CLEAR = 5e-4
"""Signs are counted at points at least this far from the surface, metres."""


class Package(NamedTuple):
    """The distribution on PyPI that an engine needs, and its licence as its files state it."""

    name: str
    licence: str


PACKAGES = {
    "igl": Package("libigl", "MPL-2.0"),
    "point_cloud_utils": Package("point-cloud-utils", "MIT"),
    "open3d": Package("open3d-cpu", "MIT"),
    "warp": Package("warp-lang", "Apache-2.0"),
    "pysdf": Package("pysdf", "BSD-2-Clause"),
    "embree": Package("embreex", "BSD-2-Clause"),
    "trimesh": Package("trimesh", "MIT"),
    "mesh_to_sdf": Package("mesh-to-sdf", "MIT"),
}

Distance = Callable[[np.ndarray], np.ndarray]


def box_distance(points: np.ndarray) -> np.ndarray:
    q = np.abs(points) - [0.05, 0.03, 0.015]
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)


def sphere_distance(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points, axis=-1) - 0.04


def torus_distance(points: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.05, points[:, 2]) - 0.015


def capsule_distance(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - np.clip(points, [0, 0, -0.04], [0, 0, 0.04]), axis=-1) - 0.02


SHAPES: dict[str, tuple[trimesh.Trimesh, Distance]] = {
    "box": (trimesh.creation.box([0.1, 0.06, 0.03]).subdivide().subdivide().subdivide(), box_distance),
    "sphere": (trimesh.creation.icosphere(5, 0.04), sphere_distance),
    "torus": (trimesh.creation.torus(0.05, 0.015, major_sections=128, minor_sections=64), torus_distance),
    "capsule": (trimesh.creation.capsule(height=0.08, radius=0.02, count=[64, 64]), capsule_distance),
}


def as_scanned(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    return mesh


def with_holes(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Three holes in one side each, as wide as a sixth of the scan, as where it stood on a table or was held."""
    keep = np.ones(len(mesh.faces), dtype=bool)
    for at in np.random.default_rng(0).choice(len(mesh.faces), 3, replace=False):
        near = np.linalg.norm(mesh.triangles_center - mesh.triangles_center[at], axis=1) < mesh.extents.max() / 12
        keep &= ~(near & (mesh.face_normals @ mesh.face_normals[at] > 0.5))
    return trimesh.Trimesh(mesh.vertices, mesh.faces[keep], process=False)


def inside_out(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)


def cracked(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Every triangle on its own, its corners off by 20 micrometres."""
    verts = mesh.vertices[mesh.faces].reshape(-1, 3)
    verts = verts + np.random.default_rng(0).normal(scale=2e-5, size=verts.shape)
    return trimesh.Trimesh(verts, np.arange(len(verts)).reshape(-1, 3), process=False)


def partly_turned(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A tenth of the faces, those at one end, wound the wrong way."""
    axis = int(np.argmax(mesh.extents))
    along = mesh.triangles_center[:, axis]
    faces = np.array(mesh.faces)
    turned = along > np.quantile(along, 0.9)
    faces[turned] = faces[turned][:, ::-1]
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


FLAWS = {
    "as scanned": as_scanned,
    "holes": with_holes,
    "inside out": inside_out,
    "cracked": cracked,
    "partly turned": partly_turned,
}


class Scan(NamedTuple):
    """A scan, points around it, and which are inside by the exact winding number of the unflawed scan."""

    mesh: trimesh.Trimesh
    path: Path
    points: np.ndarray
    inside: np.ndarray
    clear: np.ndarray


def load_scans(folder: Path, count: int) -> list[Scan]:
    scans = []
    for path in sorted(folder.glob("*.ply")):
        mesh = trimesh.load_mesh(path)
        rng = np.random.default_rng(0)
        near = trimesh.sample.sample_surface(mesh, count // 2, seed=0)[0] + rng.normal(scale=5e-3, size=(count // 2, 3))
        points = np.concatenate([near, rng.uniform(mesh.bounds[0], mesh.bounds[1], (count // 2, 3))])
        verts, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64)
        inside = igl.winding_number(verts, faces, points) > 0.5
        distance = np.sqrt(igl.point_mesh_squared_distance(points, verts, faces)[0])
        scans.append(Scan(mesh, path, points, inside, distance > CLEAR))
    return scans


def wrong_signs(scan: Scan, distance: np.ndarray) -> float:
    return float(((distance < 0) != scan.inside)[scan.clear].mean())


def installed_size(name: str) -> int:
    """Bytes of a distribution's files."""
    files = importlib.metadata.distribution(name).files or []
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file())


def package_size(name: str) -> str:
    """Megabytes of a package, and of what it pulls in beyond numpy and scipy."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        current = queue.pop()
        if current in seen or current in ("numpy", "scipy"):
            continue
        try:
            requires = importlib.metadata.requires(current) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        seen.add(current)
        queue += [
            re.split(r"[\s<>=!~;\[(]", line)[0].lower().replace("_", "-") for line in requires if "extra ==" not in line
        ]
    own, all_of_them = installed_size(name), sum(installed_size(n) for n in seen)
    others = f" (+{(all_of_them - own) / 1e6:.0f})" if all_of_them - own > 5e5 else ""
    return f"{own / 1e6:.0f}{others}" if own > 1e6 else f"{own / 1e6:.1f}{others}"


def measure(engine: str, scans: list[Scan]) -> list[str]:
    """One row of the table; raises ImportError where the engine is missing."""
    distance = ENGINES[engine]
    torus = trimesh.creation.torus(0.05, 0.015, major_sections=48, minor_sections=32)
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (TIMED_POINTS, 3))
    # Processor time of all threads: what else the machine is doing does not count.
    seconds: list[float] = []
    while len(seconds) <= TIMED_RUNS and sum(seconds) < 30:
        begin = time.process_time()
        distance(torus, points)
        seconds.append(time.process_time() - begin)
    first, best = seconds[0], min(seconds[1:] or seconds)

    errors, signs = [], 0
    for mesh, exact in SHAPES.values():
        points = np.random.default_rng(1).uniform(-0.1, 0.1, (5000, 3))
        truth = exact(points)
        found = distance(mesh, points)
        errors.append(1e3 * np.abs(found - truth))
        signs += int(((found < 0) != (truth < 0))[np.abs(truth) > CLEAR].sum())
    mean, worst = np.mean(errors), np.max(errors)

    flawed = []
    for flaw in FLAWS.values():
        shares = [wrong_signs(scan, np.asarray(distance(flaw(scan.mesh), scan.points))) for scan in scans]
        flawed.append(f"{100 * np.mean(shares):.2f}" if shares else "-")
    package = PACKAGES[engine]
    return [
        f"{best:.3f}",
        f"{max(first - best, 0):.1f}",
        f"{mean:.3f}",
        f"{worst:.2f}",
        str(signs),
        *flawed,
        package_size(package.name),
        package.licence,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, default=SCANS, help="folder of .ply scans")
    parser.add_argument("--points", type=int, default=1000, help="points around each scan")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--write", type=Path, help="page whose table (between its two comments) is replaced")
    options = parser.parse_args()

    scans = load_scans(options.scans, options.points)
    if not scans:
        print(f"no scans at {options.scans}: their columns stay empty", file=sys.stderr)
    head = ["engine", "CPU s", "first +s", "mean mm", "max mm", "wrong", *FLAWS, "MB", "licence"]
    rows = [head, ["---"] * len(head)]
    for engine in options.engines:
        print(engine, "...", file=sys.stderr)
        try:
            rows.append([f"`{engine}`", *measure(engine, scans)])
        except ImportError as error:
            reason = f"not measured: {str(error).splitlines()[0]}"
            rows.append([f"`{engine}`", reason, *[""] * (len(head) - 2)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    mended = []
    for flaw in FLAWS.values():
        for scan in scans:
            flawed = REPOSITORY / "build" / "sdf_engines.ply"
            flawed.parent.mkdir(exist_ok=True)
            flaw(scan.mesh).export(flawed)
            mended.append(wrong_signs(scan, ENGINES["igl"](load_mesh(flawed).solid, scan.points)))
    versions = ", ".join(
        f"{package.name} {importlib.metadata.version(package.name)}"
        for package in PACKAGES.values()
        if any(d.metadata["Name"] == package.name for d in importlib.metadata.distributions())
    )
    if mended:
        per_flaw = np.reshape(mended, (len(FLAWS), -1)).mean(axis=1)
        shares = ", ".join(f"{name} {100 * share:.2f}" for name, share in zip(FLAWS, per_flaw, strict=True))
        lines += ["", f"`igl` after `load_mesh` has mended the same scans, wrong signs in %: {shares}."]
    lines += ["", f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions}."]
    text = "\n".join(lines)
    print(text)
    if options.write:
        page = options.write.read_text()
        begin, end = page.index("<!-- table -->"), page.index("<!-- end of table -->")
        options.write.write_text(f"{page[:begin]}<!-- table -->\n\n{text}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
