"""Clouds of points become closed surfaces, and what was guessed is said."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh, read_surface
from hoprior.geometry.points import CELLS, _agreeing, _half_wound
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
    assert loaded.solid.volume == pytest.approx(mesh.volume, rel=0.08)
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


def test_a_cup_keeps_its_hollow(tmp_path: Path) -> None:
    outer, inner = trimesh.creation.cylinder(0.04, 0.1), trimesh.creation.cylinder(0.033, 0.1)
    inner.apply_translation([0, 0, 0.007])
    cup = trimesh.boolean.difference([outer, inner], engine="manifold")
    points = trimesh.sample.sample_surface(cup, 8000, seed=0)[0]
    trimesh.PointCloud(points).export(tmp_path / "scan.ply")
    loaded = load_mesh(tmp_path / "scan.ply")
    assert cup.volume < loaded.solid.volume < 2 * cup.volume  # its wall comes out thicker than it is
    assert signed_distance(loaded, np.array([[0.0, 0.0, 0.02], [0.0, 0.0, 0.04]])).min() > 0.01


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_stray_points_and_places_far_away_make_no_difference(far: float, tmp_path: Path) -> None:
    points = trimesh.sample.sample_surface(SHAPES["box"], 5000, seed=0)[0]
    stray = np.array([[0.3, 0.0, 0.0], [0.0, -0.3, 0.1]])
    np.save(tmp_path / "scan.npy", np.concatenate([points, stray]) + far)
    loaded = load_mesh(tmp_path / "scan.npy")
    assert loaded.solid.volume == pytest.approx(SHAPES["box"].volume, rel=0.08)


@pytest.mark.parametrize(("unit", "name"), [(1.0, "metres"), (1000.0, "millimetres")])
def test_a_depth_map_is_what_its_camera_saw(unit: float, name: str, tmp_path: Path) -> None:
    """A ball before a wall: with a mask the ball's front, closed by its hull, in the camera's frame."""
    K = np.array([[300.0, 0, 80], [0, 300.0, 60], [0, 0, 1]])
    y, x = np.mgrid[:120, :160]
    rays = np.stack([(x - 80) / 300, (y - 60) / 300, np.ones_like(x, float)], axis=-1)
    centre, radius = np.array([0.02, 0.01, 0.5]), 0.05
    a, b = (rays**2).sum(-1), (rays @ centre)
    inside = b**2 - a * (centre @ centre - radius**2)
    near = (b - np.sqrt(np.maximum(inside, 0))) / a
    depth = np.where(inside > 0, near, 1.0) * unit
    np.savez(tmp_path / "view.npz", depth=depth.astype(np.float32), K=K, mask=inside > 0)
    loaded = load_mesh(tmp_path / "view.npz")
    assert ("millimetres" in " ".join(loaded.notes)) == (name == "millimetres")
    assert any("the back is a guess" in note for note in loaded.notes)
    front = loaded.mesh.bounds[0, 2]
    assert front == pytest.approx(0.45, abs=0.002)
    assert np.abs(loaded.mesh.bounds.mean(axis=0)[:2] - centre[:2]).max() < 0.003


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"depth": np.ones((4, 4))}, "with K"),
        ({"depth": np.ones((4, 4)), "K": np.eye(4)}, "3 x 3"),
        ({"points": np.ones((4, 2))}, "n x 3"),
        ({"depth": np.ones((4, 4)), "K": np.eye(3), "mask": np.ones((2, 2))}, "one size"),
        ({"points": np.array([{"a": 1}])}, "Python objects"),
    ],
)
def test_arrays_that_are_no_points_are_refused(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "view.npz", **arrays)
    with pytest.raises(HopriorError, match=said):
        load_mesh(tmp_path / "view.npz")


@pytest.mark.parametrize("axis", range(3))
def test_the_surface_of_a_long_thing_reaches_to_its_ends(axis: int) -> None:
    """Its lattice is as long as the thing, with a margin of three cells, whichever side is long."""
    extents = np.full(3, 0.02)
    extents[axis] = 0.2
    box = trimesh.creation.box(extents)
    cloud, faces = trimesh.sample.sample_surface(box, 20_000, seed=0)
    surface = _half_wound(cloud, box.face_normals[faces], np.full(len(cloud), box.area / len(cloud)))
    assert surface is not None and surface.is_watertight and surface.body_count == 1
    cell = 0.2 / CELLS
    assert np.abs(surface.bounds - box.bounds).max() < cell
    assert surface.volume == pytest.approx(box.volume, rel=0.15) and surface.volume > 0


def test_normals_that_nothing_sees_agree_with_their_neighbours_and_keep_their_length() -> None:
    """Along a bent strip, where one end is sure: each turns as the one before it does, and no sure one ever does."""
    angles = np.linspace(0, np.pi, 40)
    outward = np.stack([np.cos(angles), np.sin(angles), np.zeros(40)], axis=1)
    near = np.stack([np.clip(np.arange(40) - 1, 0, 39), np.clip(np.arange(40) + 1, 0, 39)], axis=1)
    sure = np.arange(40) == 0
    signs = np.where(np.random.default_rng(0).random(40) < 0.5, -1.0, 1.0)
    signs[0] = 1.0
    np.testing.assert_array_equal(_agreeing(outward * signs[:, None], near, sure), outward)
    np.testing.assert_array_equal(_agreeing(-outward * signs[:, None], near, sure), -outward)
    for every in (True, False):
        np.testing.assert_array_equal(
            _agreeing(outward * signs[:, None], near, np.full(40, every)), outward * signs[:, None]
        )


BALL = trimesh.sample.sample_surface(SHAPES["ball"], 1000, seed=0)[0]


def ply(points: np.ndarray, form: str, faces: bool) -> bytes:
    """A PLY of points, with or without an element for faces, of which there are none."""
    header = f"ply\nformat {form} 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += "element face 0\nproperty list uchar int vertex_indices\n" * faces + "end_header\n"
    if form == "ascii":
        return (header + "".join("{} {} {}\n".format(*point) for point in points)).encode()
    return header.encode() + points.astype({"l": "<f4", "b": ">f4"}[form[7]]).tobytes()


WITHOUT_FACES = {
    f"{form}{' of 0 faces' * faces}.ply": lambda points, form=form, faces=faces: ply(points, form, faces)
    for form in ("ascii", "binary_little_endian", "binary_big_endian")
    for faces in (False, True)
} | {
    "a.obj": lambda points: "".join("v {} {} {}\n".format(*point) for point in points).encode(),
    "a.off": lambda points: (f"OFF\n{len(points)} 0 0\n" + "".join("{} {} {}\n".format(*p) for p in points)).encode(),
    "a.glb": lambda points: trimesh.Scene(trimesh.PointCloud(points)).export(file_type="glb"),
}
"""Files of each format that has a surface, with points alone."""


@pytest.mark.parametrize("name", WITHOUT_FACES)
def test_a_mesh_file_without_faces_is_a_cloud_of_points(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(WITHOUT_FACES[name](BALL))
    loaded = load_mesh(path)
    assert loaded.solid.volume == pytest.approx(SHAPES["ball"].volume, rel=0.08)
    assert "a cloud of 1,000 points" in loaded.notes[0]
    with pytest.raises(HopriorError, match="has points and no faces, and here a surface is needed"):
        read_surface(path)
    path.write_bytes(WITHOUT_FACES[name](BALL[:10]))
    with pytest.raises(HopriorError, match="has points and no faces, and 10 different points are too few"):
        load_mesh(path)


def test_points_that_are_nowhere_are_left_out(tmp_path: Path) -> None:
    points = BALL.copy()
    points[::50] = np.nan
    np.save(tmp_path / "scan.npy", points)
    loaded = load_mesh(tmp_path / "scan.npy")
    assert loaded.notes[0] == "left out 20 of 1,000 points, which are nowhere (NaN)."
    assert loaded.solid.volume == pytest.approx(SHAPES["ball"].volume, rel=0.08)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (BALL * np.nan, "0 different points are too few"),
        (np.repeat(BALL[:5], 200, axis=0), "5 different points are too few"),
        (BALL * [1, 1, 0], "lie in one plane"),
        (BALL * [1, 0, 0], "lie in one plane"),
    ],
)
def test_points_that_enclose_nothing_are_refused(points: np.ndarray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", points)
    with pytest.raises(HopriorError, match=words):
        load_mesh(tmp_path / "scan.npy")
