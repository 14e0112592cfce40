"""Concave polygons: what a fan lays over a notch is gone, whatever the format and the polygon."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.polygons import mend_fans


def star(radii: list[float]) -> np.ndarray:
    """A polygon around the origin with corners this far from it: simple, and concave where it likes."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def area_of(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def prism(polygon: np.ndarray, height: float) -> tuple[np.ndarray, list[list[int]]]:
    """Corners and faces of what a polygon is extruded to; both caps have all its corners."""
    n = len(polygon)
    verts = np.concatenate([np.c_[polygon, np.zeros(n)], np.c_[polygon, np.full(n, height)]])
    sides = [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
    return verts, [list(range(n))[::-1], [n + i for i in range(n)], *sides]


def fans(faces: list[list[int]]) -> np.ndarray:
    return np.array([[face[0], face[k], face[k + 1]] for face in faces for k in range(1, len(face) - 1)])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.02, 0.1), min_size=4, max_size=16), st.floats(0.005, 0.1), st.integers(0, 2**31))
def test_a_prism_has_the_area_of_its_polygon_from_any_corner_and_direction(
    radii: list[float], height: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    polygon = np.roll(star(radii), int(rng.integers(len(radii))), axis=0)
    verts, faces = prism(polygon, height)
    turn = trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]
    mesh = trimesh.Trimesh(verts @ turn.T, fans(faces), process=False)
    mended, _ = mend_fans(mesh)
    outline = np.linalg.norm(polygon - np.roll(polygon, -1, axis=0), axis=1).sum()
    assert mended.area == pytest.approx(2 * area_of(polygon) + outline * height, rel=1e-6)
    assert mended.is_watertight and mended.volume == pytest.approx(area_of(polygon) * height, rel=1e-6)


def test_meshes_without_folds_stay_as_they_are() -> None:
    for mesh in (trimesh.creation.icosphere(3), trimesh.creation.box((1, 1, 1)), trimesh.creation.torus(1, 0.3)):
        mended, regions = mend_fans(mesh)
        assert mended is mesh and regions == 0


def test_a_blade_and_a_sheet_drawn_from_both_sides_are_no_polygons() -> None:
    blade = trimesh.creation.box((0.1, 0.02, 0.0005))
    assert mend_fans(blade)[1] == 0
    corners = [[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0]]
    sheet = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]], process=False)
    assert mend_fans(sheet)[1] == 0


SPANNER = np.array(
    [[-3, -2], [0, -2], [2, -1], [15, -1], [15, 1], [2, 1], [0, 2], [-3, 2], [-3, 1], [-1, 1], [-1, -1], [-3, -1]]
)


@pytest.mark.parametrize("ending", ["obj", "ply", "off"])
def test_files_with_concave_polygons_have_their_area(ending: str, tmp_path: Path) -> None:
    verts, faces = prism(SPANNER / 100, 0.006)
    rows = [" ".join(map(str, vert)) for vert in verts]
    listed = [f"{len(face)} {' '.join(map(str, face))}" for face in faces]
    text = {
        "obj": "\n".join(
            [*(f"v {row}" for row in rows), *(f"f {' '.join(str(i + 1) for i in face)}" for face in faces)]
        ),
        "off": "\n".join(["OFF", f"{len(rows)} {len(faces)} 0", *rows, *listed]),
        "ply": "\n".join(
            [
                *("ply", "format ascii 1.0", f"element vertex {len(rows)}"),
                *(f"property float {axis}" for axis in "xyz"),
                *(f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", *rows, *listed),
            ]
        ),
    }[ending]
    (tmp_path / f"spanner.{ending}").write_text(text + "\n")
    loaded = load_mesh(tmp_path / f"spanner.{ending}")
    outline = np.linalg.norm(SPANNER - np.roll(SPANNER, -1, axis=0), axis=1).sum() / 100
    assert loaded.mesh.area == pytest.approx(2 * area_of(SPANNER) / 1e4 + outline * 0.006, rel=1e-5)
    assert "cut 2 concave polygons anew" in loaded.notes[0]
