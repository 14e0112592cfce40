"""Objects completed from one view of them: how near the whole, how often in one piece.

usage: python benchmarks/completions.py MESH... [--prior interaction] [--views 1] [--out out/completions]

Each mesh (metres, +z up, at most 30 cm) is seen from one side, 35 degrees from above: points of its surface that
nothing hides are what `hoprior run generate --object-only --partial` gets, with letters of its file name as text.
Chamfer distance and F-score are of the likeliest completion, in shares of the mesh's longest side.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import cKDTree

import hoprior
from hoprior.errors import HopriorError

HEIGHT = np.radians(35)
"""Of the eye above the horizon."""
LOOKED_AT = 20_000
"""Faces of a scan, at most, for rays."""


def main() -> None:
    """Completes each mesh, prints a row each and the means, and writes the completions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="+", type=Path)
    parser.add_argument("--prior", default="interaction")
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/completions"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, float]] = []
    tried = 0
    for path in given.meshes:
        whole = trimesh.load_mesh(path)
        text = " ".join(re.findall("[a-zA-Z]{2,}", path.stem))
        for view in range(given.views):
            tried += 1
            began = time.process_time()
            seen = trimesh.PointCloud(seen_from_one_side(whole, view))
            seen.export(given.out / f"{path.stem}_{view}_seen.ply")
            try:
                made = hoprior.generate_objects(
                    text, 1, priors=[(1.0, given.prior)], partial=given.out / f"{path.stem}_{view}_seen.ply", seed=view
                )
            except HopriorError as error:
                print(f"{path.stem} {view}: {error}", flush=True)
                continue
            row = {**nearness(made[0].object_mesh, whole), **made[0].measures, "s": time.process_time() - began}
            made[0].object_mesh.export(given.out / f"{path.stem}_{view}.ply")
            rows.append(row)
            print(path.stem, view, {name: round(value, 3) for name, value in row.items()}, flush=True)
    if rows:
        means = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
        print(f"{len(rows)} of {tried} completed; means {means}")


def seen_from_one_side(mesh: trimesh.Trimesh, seed: int, num: int = 1024) -> Float[np.ndarray, "n 3"]:
    """Points of a surface (m, +z up) that an eye sees which looks down at it from a direction of its own."""
    rng = np.random.default_rng(seed)
    if len(mesh.faces) > LOOKED_AT:
        mesh = mesh.simplify_quadric_decimation(face_count=LOOKED_AT)
    yaw = rng.uniform(0, 2 * np.pi)
    eye = mesh.bounds.mean(axis=0) + 3 * np.array(
        [np.cos(yaw) * np.cos(HEIGHT), np.sin(yaw) * np.cos(HEIGHT), np.sin(HEIGHT)]
    )
    points, faces = trimesh.sample.sample_surface(mesh, 6 * num, seed=seed)
    towards = (eye - points) / np.linalg.norm(eye - points, axis=1, keepdims=True)
    front = (mesh.face_normals[faces] * towards).sum(axis=1) > 0.05
    points, towards = points[front], towards[front]
    points = points[~mesh.ray.intersects_any(points + 1e-3 * towards, towards)]
    return points[rng.permutation(len(points))[:num]]


def nearness(made: trimesh.Trimesh, whole: trimesh.Trimesh) -> dict[str, float]:
    """Chamfer distance (percent of the longest side) and F-score within 5 % of it, of points of the two surfaces."""
    a, b = (trimesh.sample.sample_surface(mesh, 3000, seed=0)[0] for mesh in (made, whole))
    to_whole, to_made = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    longest = float(whole.extents.max())
    shares = [float((distance < 0.05 * longest).mean()) for distance in (to_whole, to_made)]
    score = 2 * shares[0] * shares[1] / max(sum(shares), 1e-9)
    return {"chamfer_percent": 50 * float(to_whole.mean() + to_made.mean()) / longest, "f_score": score}


if __name__ == "__main__":
    main()
