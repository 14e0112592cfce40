"""Clouds of points become closed surfaces, and what was guessed is said."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import signed_distance

SHAPES = {
    "ball": trimesh.creation.icosphere(4, 0.05),
    "box": trimesh.creation.box((0.06, 0.08, 0.12)),
    "can": trimesh.creation.cylinder(0.03, 0.12, sections=48),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1500, 20_000])
def test_a_scan_from_all_sides_is_the_thing(shape: str, count: int, tmp_path: Path) -> None:
    mesh = SHAPES[shape]
    points = trimesh.sample.sample_surface(mesh, count, seed=0)[0]
    trimesh.PointCloud(points).export(tmp_path / "scan.ply")
    loaded = load_mesh(tmp_path / "scan.ply")
    assert loaded.solid.volume == pytest.approx(mesh.volume, rel=0.15)
    assert loaded.solid.is_watertight and f"a cloud of {count:,} points" in loaded.notes[0]
    probes = np.random.default_rng(0).uniform(-0.06, 0.06, (500, 3))
    gap = signed_distance(loaded, probes) - trimesh.proximity.signed_distance(mesh, probes) * -1
    assert np.abs(gap).mean() < 0.003


def test_one_view_gets_a_guessed_back(tmp_path: Path) -> None:
    points = trimesh.sample.sample_surface(SHAPES["ball"], 6000, seed=0)[0]
    trimesh.PointCloud(points[points[:, 2] > 0.0]).export(tmp_path / "view.ply")
    loaded = load_mesh(tmp_path / "view.ply")
    assert "the back is a guess" in loaded.notes[0]
    assert loaded.solid.volume == pytest.approx(SHAPES["ball"].volume / 2, rel=0.1)
