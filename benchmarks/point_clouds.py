"""How well clouds of points become closed surfaces: the figures on points of docs/meshes.md.

usage: python benchmarks/point_clouds.py --objects DIR [--num 20] [--points 4000] [--noise 0.0005]

DIR holds closed meshes in metres. Of each, points are drawn all over its surface, moved by noise, and closed again. IoU
is of the two insides, at 4,000 places of the bounding box; the distance is the mean one between points of both
surfaces, both ways. `one view` is the share of clouds that are called such when only what one eye sees is given.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.points import surface_of_points
from hoprior.geometry.repair import winding_number

PLACES, SAMPLES = 4000, 3000
EYE = np.array([0.5, 0.3, 0.81])
"""Direction of the eye of one view."""


def measure(mesh: trimesh.Trimesh, count: int, noise: float, rng: np.random.Generator) -> tuple[float, ...]:
    """IoU, distance (mm), seconds, whether the whole cloud and one view of it are told apart (1 or 0 each)."""
    points = trimesh.sample.sample_surface(mesh, count, seed=0)[0]
    points = points + rng.normal(0, noise, points.shape)
    start = time.process_time()
    surface, note = surface_of_points(points)
    seconds = time.process_time() - start
    places = rng.uniform(*mesh.bounds, (PLACES, 3))
    inside = [winding_number(one, places) > 0.5 for one in (mesh, surface)]
    iou = (inside[0] & inside[1]).sum() / max((inside[0] | inside[1]).sum(), 1)
    theirs, ours = (trimesh.sample.sample_surface(one, SAMPLES, seed=1)[0] for one in (mesh, surface))
    apart = (cKDTree(theirs).query(ours)[0].mean() + cKDTree(ours).query(theirs)[0].mean()) / 2
    ways = mesh.bounds.mean(axis=0) + 2 * mesh.scale * EYE - points
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    seen = points[~mesh.ray.intersects_any(points + 4 * noise * ways + 1e-3 * ways, ways)]
    one_view = surface_of_points(seen)[1]
    return iou, 1000 * apart, seconds, float("guessed;" in note), float("one side only" in one_view)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=Path, required=True)
    parser.add_argument("--num", type=int, default=20)
    parser.add_argument("--points", type=int, default=4000)
    parser.add_argument("--noise", type=float, default=0.0005)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for file in sorted(options.objects.glob("*.ply"))[
        :: max(1, len(list(options.objects.glob("*.ply"))) // options.num)
    ]:
        rows.append(measure(load_mesh(file).solid, options.points, options.noise, rng))
        print(f"{file.stem:24s} IoU {rows[-1][0]:.2f}, {rows[-1][1]:.1f} mm, {rows[-1][2]:.1f} s, told {rows[-1][3:]}")
    table = np.array(rows)
    for name, line in (("mean", table.mean(axis=0)), ("median", np.median(table, axis=0))):
        print(name, " ".join(f"{value:.2f}" for value in line))


if __name__ == "__main__":
    main()
