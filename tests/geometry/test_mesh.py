"""Meshes as people have them: bad files end in one sentence that names the file, flawed meshes become solids."""

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry import repair
from hoprior.geometry.mesh import load_mesh, prepare_mesh, thin_walled
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.units import METRES_PER_UNIT
from hoprior.geometry.watertight import watertight_mesh

HALF = np.array([0.05, 0.04, 0.03])


def fine_box() -> trimesh.Trimesh:
    return trimesh.creation.box(2 * HALF).subdivide().subdivide().subdivide()


def ball(radius: float = 0.04, at: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(3, radius)
    mesh.apply_translation(at)
    return mesh


def part_of(mesh: trimesh.Trimesh, keep: np.ndarray) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces[keep], process=False)


def together(meshes: list[trimesh.Trimesh]) -> trimesh.Trimesh:
    joined = trimesh.util.concatenate(meshes)
    assert isinstance(joined, trimesh.Trimesh)
    return joined


def turn(mesh: trimesh.Trimesh, which: np.ndarray) -> trimesh.Trimesh:
    faces = np.array(mesh.faces)
    faces[which] = faces[which][:, ::-1]
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


def unmerged(mesh: trimesh.Trimesh, noise: float = 0.0) -> trimesh.Trimesh:
    verts = mesh.vertices[mesh.faces].reshape(-1, 3)
    verts = verts + noise * np.random.default_rng(0).normal(size=verts.shape)
    return trimesh.Trimesh(verts, np.arange(len(verts)).reshape(-1, 3), process=False)


def sentence(action: Callable[[], object]) -> str:
    """The message of the error that an action must end in: one sentence on one line."""
    with pytest.raises(HopriorError) as caught:
        action()
    message = str(caught.value)
    assert message.strip() and "\n" not in message and "Traceback" not in message and len(message) < 300
    return message


# --- files -----------------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.obj": (b"", "empty"),
    "words.obj": (b"hello\nworld\n", "no faces"),
    "words.ply": (b"hello", "cannot be read as a .ply mesh"),
    "pointer.stl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "git lfs pull"),
    "page.obj": (b"<!DOCTYPE html><html>404</html>", "web page"),
    "noise.stl": (bytes(range(256)) * 8, "is no STL"),
    "noise.glb": (b"glTF" * 40, "cannot read"),
    "cut.ply": (trimesh.creation.icosphere(2, 0.05).export(file_type="ply")[:2000], "is cut short"),
    "cut.glb": (trimesh.creation.icosphere(2, 0.05).export(file_type="glb")[:2000], "is cut short"),
    "cut.stl": (
        trimesh.creation.icosphere(2, 0.05).export(file_type="stl")[:2000],
        "is cut short: 38 of 320 triangles",
    ),
    "beyond.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "cannot be read|do not exist"),
    "points.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "3 different points are too few"),
    "points.xyz": (b"0 0 0\n0.1 0.1 0.1\n0.2 0 0\n", "3 different points are too few"),
    "nan.obj": (
        b"v 0 nan 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nf 1 2 3\nf 1 3 4\nf 2 3 4\nf 1 4 2\n",
        "1 of 4 vertices are NaN",
    ),
    "mug.max": (b"x", "is a 3ds Max file"),
    "mug.qqq": (b"x", "unknown mesh format .qqq"),
    "mug": (b"x", "no ending"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named(name: str, tmp_path: Path) -> None:
    content, expected = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    message = sentence(lambda: load_mesh(tmp_path / name))
    assert message.startswith(f"{name}: ")
    assert any(part in message for part in expected.split("|")), message


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    assert "no such file" in sentence(lambda: load_mesh(tmp_path / "mug.obj"))
    assert "is a folder" in sentence(lambda: load_mesh(tmp_path))
    assert str(tmp_path) in sentence(lambda: load_mesh(tmp_path))


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mug.ply"
    fine_box().export(path)
    path.chmod(stat.S_IWUSR)

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        raise PermissionError(13, "Permission denied")

    # The superuser may read everything, so the refusal is made up.
    monkeypatch.setattr(Path, "open", refuse)
    assert "mug.ply: cannot be read (Permission denied)" in sentence(lambda: load_mesh(path))


@pytest.mark.parametrize("ending", ["ply", "obj", "stl", "glb", "off"])
def test_formats_load_alike(ending: str, tmp_path: Path) -> None:
    fine_box().export(tmp_path / f"box.{ending}")
    loaded = load_mesh(tmp_path / f"box.{ending}")
    assert (loaded.name, loaded.watertight, loaded.notes) == ("box", True, ())
    np.testing.assert_allclose(loaded.mesh.bounds, [-HALF, HALF], atol=1e-6)
    assert loaded.solid.volume == pytest.approx(8 * HALF.prod(), rel=1e-4)


def test_missing_textures_do_not_matter(tmp_path: Path) -> None:
    text = str(fine_box().export(file_type="obj"))
    (tmp_path / "scan.obj").write_text("mtllib gone.mtl\nusemtl skin\n" + text)
    assert load_mesh(tmp_path / "scan.obj").watertight
    (tmp_path / "gone.mtl").write_text("newmtl skin\nmap_Kd gone.png\n")
    assert load_mesh(tmp_path / "scan.obj").watertight


def test_scenes_are_put_together_as_they_stand(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    shift = trimesh.transformations.translation_matrix([0.05, 0, 0])
    mirror = np.diag([-1.0, 1, 1, 1])
    scene.add_geometry(ball(), node_name="left")
    scene.add_geometry(ball(), node_name="right", transform=shift @ mirror)
    scene.export(tmp_path / "two.glb")
    loaded = load_mesh(tmp_path / "two.glb")
    np.testing.assert_allclose(loaded.mesh.bounds[:, 0], [-0.04, 0.09], atol=1e-6)
    # A mirrored part is wound inside out; it must not be subtracted.
    inside = signed_distance(loaded, np.array([[0.0, 0, 0], [0.06, 0, 0]]))
    assert (inside < -0.02).all()
    assert "2 pieces" in loaded.notes[-1]


def test_two_objects_in_one_file_are_refused(tmp_path: Path) -> None:
    both = together([ball(), ball(0.03, at=(0.2, 0, 0))])
    both.export(tmp_path / "pair.ply")
    message = sentence(lambda: load_mesh(tmp_path / "pair.ply"))
    assert message.startswith("pair.ply: holds 2 separate objects (of 8 cm and 6 cm, 13 cm apart)")


def test_loose_bits_are_left_out() -> None:
    loaded = prepare_mesh(together([ball(), ball(0.001, at=(0.6, 0, 0))]))
    np.testing.assert_allclose(loaded.mesh.extents, 0.08, rtol=0.02)
    assert "1 loose bit" in loaded.notes[-1]


# --- sizes and units -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", METRES_PER_UNIT)
def test_units_give_metres(unit: str, tmp_path: Path) -> None:
    mesh = fine_box()
    mesh.apply_scale(1 / METRES_PER_UNIT[unit])
    mesh.export(tmp_path / "box.ply")
    loaded = load_mesh(tmp_path / "box.ply", unit=unit)
    np.testing.assert_allclose(loaded.mesh.extents, 2 * HALF, rtol=1e-5)
    assert loaded.metres_per_unit == METRES_PER_UNIT[unit]


@pytest.mark.parametrize(
    ("extent", "unit", "found", "advice"),
    [
        (95, "m", "95 m; units are metres", "--mesh-unit mm?"),
        (120, "m", "120 m; units are metres", "--mesh-unit mm?"),
        (12, "m", "12 m; units are metres", "--mesh-unit cm?"),
        (0.12, "mm", "0.12 mm; units are millimetres", "--mesh-unit m?"),
        (0.15, "cm", "1.5 mm; units are centimetres", "--mesh-unit m?"),
        (1e-4, "m", "0.1 mm; units are metres", "--size LENGTH"),
        (1e7, "m", "more than 10,000 km; units are metres", "--size LENGTH"),
        (2.2, "m", "2.2 m; units are metres", "--size LENGTH"),
    ],
)
def test_impossible_sizes_suggest_a_unit(extent: float, unit: str, found: str, advice: str, tmp_path: Path) -> None:
    trimesh.creation.box([extent, extent / 2, extent / 2]).export(tmp_path / "mug.ply")
    message = sentence(lambda: load_mesh(tmp_path / "mug.ply", unit=unit))
    assert message.startswith(f"mug.ply: bounding box is {found}")
    assert advice in message


def test_unknown_unit_is_named(tmp_path: Path) -> None:
    assert "unknown mesh unit 'furlong'" in sentence(lambda: load_mesh(tmp_path / "mug.ply", unit="furlong"))


def triangles(verts: list[list[float]], faces: list[list[int]]) -> trimesh.Trimesh:
    return trimesh.Trimesh(np.array(verts), np.array(faces, dtype=int).reshape(-1, 3), process=False)


FLAT = {
    "flat": triangles([[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0]], [[0, 1, 2], [0, 2, 3]]),
    "zero extent": triangles([[0, 0, 0]] * 3, [[0, 1, 2]]),
    "degenerate": triangles([[0, 0, 0], [0.1, 0, 0.1], [0.05, 0.1, 0.05]], [[0, 1, 1], [2, 2, 1]]),
    "no faces": triangles([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], []),
}


@pytest.mark.parametrize("reason", FLAT)
def test_meshes_without_an_inside_are_refused(reason: str) -> None:
    message = sentence(lambda: prepare_mesh(FLAT[reason], "card.ply"))
    assert message.startswith("card.ply: ") and reason in message


def test_faces_beyond_the_vertices_are_refused() -> None:
    mesh = fine_box()
    mesh.faces = np.vstack([mesh.faces, [0, 1, len(mesh.vertices)]])
    assert "do not exist" in sentence(lambda: prepare_mesh(mesh, "mug.ply"))


def test_vertices_that_no_face_uses_do_not_matter() -> None:
    box = fine_box()
    verts = np.concatenate([box.vertices, [[np.nan, 0, 0], [1e6, 0, 0]]])
    loaded = prepare_mesh(trimesh.Trimesh(verts, box.faces, process=False))
    np.testing.assert_allclose(loaded.mesh.extents, 2 * HALF)


# --- repair: whatever is done to a box, distances to it stay those of the box ----------------------------------------


def panels() -> trimesh.Trimesh:
    """The six sides of the box as sheets of their own that do not quite touch, every second one turned."""
    box = fine_box()
    sheets = [part_of(box, (box.face_normals @ normal) > 0.9) for normal in np.concatenate([np.eye(3), -np.eye(3)])]
    for sheet in sheets[::2]:
        sheet.invert()
    for sheet in sheets:
        sheet.apply_translation(0.003 * sheet.triangles_center.mean(axis=0))
    return together(sheets)


def at_random(share: float) -> np.ndarray:
    """Faces of the box, each with this probability."""
    return np.random.default_rng(0).random(768) < share


FLAWED: dict[str, tuple[Callable[[], trimesh.Trimesh], float]] = {
    "as it is": (fine_box, 1e-9),
    "inside out": (lambda: turn(fine_box(), np.arange(768)), 1e-9),
    "turned at random": (lambda: turn(fine_box(), at_random(0.5)), 1e-9),
    "one side turned": (lambda: turn(fine_box(), fine_box().face_normals[:, 0] > 0.9), 1e-9),
    "unmerged": (lambda: unmerged(fine_box()), 1e-9),
    "doubled faces": (lambda: part_of(fine_box(), np.r_[np.arange(768), np.arange(100)]), 1e-9),
    "drawn from both sides": (
        lambda: together([fine_box(), turn(fine_box(), np.arange(768))]),
        1e-9,
    ),
    "a back-to-back flap": (
        lambda: together(
            [fine_box(), part_of(fine_box(), np.array([3])), turn(part_of(fine_box(), np.array([3])), np.array([0]))]
        ),
        1e-9,
    ),
    "no bottom": (lambda: part_of(fine_box(), fine_box().face_normals[:, 2] > -0.9), 1e-7),
    "no bottom, inside out": (
        lambda: turn(part_of(fine_box(), fine_box().face_normals[:, 2] > -0.9), np.arange(640)),
        1e-7,
    ),
    "a tenth of its faces lost": (lambda: part_of(fine_box(), at_random(0.9)), 2e-2),
    "a cavity inside": (
        lambda: together([fine_box(), turn(ball(0.02), np.arange(1280))]),
        1e-6,
    ),
    "another part inside": (lambda: together([fine_box(), ball(0.02)]), 1e-6),
    "cracked and turned at random": (
        lambda: turn(unmerged(fine_box(), noise=2e-5), at_random(0.5)),
        1.5e-3,
    ),
    "loose panels": (panels, 1.5e-3),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_flawed_boxes_have_the_distances_of_a_box(flaw: str) -> None:
    make, tolerance = FLAWED[flaw]
    loaded = prepare_mesh(make())
    points = np.random.default_rng(1).uniform(-0.08, 0.08, (3000, 3))
    q = np.abs(points) - HALF
    truth = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)
    found = signed_distance(loaded, points)
    assert ((found < 0) == (truth < 0))[np.abs(truth) > 2e-3].mean() > (0.995 if "lost" in flaw else 0.9999)
    assert np.abs(found - truth).max() < tolerance
    assert loaded.watertight and watertight_mesh(loaded).is_watertight
    assert watertight_mesh(loaded).volume == pytest.approx(8 * HALF.prod(), rel=0.05)


def test_repair_says_what_it_did_and_leaves_the_input_alone() -> None:
    mesh = turn(part_of(fine_box(), fine_box().face_normals[:, 2] > -0.9), np.arange(640))
    faces = mesh.faces.copy()
    loaded = prepare_mesh(mesh)
    np.testing.assert_array_equal(mesh.faces, faces)
    assert [note.split(" (")[0] for note in loaded.notes] == [
        "100 % of the surface faced inwards and was turned.",
        "closed 1 hole",
    ]
    assert len(loaded.mesh.faces) == 640 and loaded.solid.is_watertight


def test_overlapping_parts_become_their_union() -> None:
    loaded = prepare_mesh(together([ball(), ball(at=(0.03, 0, 0))]))
    # Half way between the centres, a wall of either ball is 2.5 cm away; outside of both it is 3.7 cm.
    assert signed_distance(loaded, np.array([[0.015, 0, 0]]))[0] == pytest.approx(
        -np.sqrt(0.04**2 - 0.015**2), abs=3e-4
    )


def test_a_slit_is_zipped_and_not_spanned() -> None:
    """A cut around half a cup's rim is a long thin hole; a fan over it would put a sheet across the opening."""
    cup = trimesh.creation.annulus(r_min=0.035, r_max=0.04, height=0.06, sections=64)
    verts, faces = np.array(cup.vertices), np.array(cup.faces)
    outer_top = np.flatnonzero(
        (np.linalg.norm(verts[:, :2], axis=1) > 0.039) & (verts[:, 2] > 0) & (verts[:, 1] > 1e-3)
    )
    copies = {old: len(verts) + k for k, old in enumerate(outer_top)}
    side = np.abs(cup.face_normals[:, 2]) < 0.1
    faces[side] = np.vectorize(lambda v: copies.get(v, v))(faces[side])
    verts = np.concatenate([verts, verts[outer_top] - [0, 0, 2e-4]])
    loaded = prepare_mesh(trimesh.Trimesh(verts, faces, process=False))
    assert loaded.watertight
    # The middle of the opening stays 3.5 cm from any wall.
    assert signed_distance(loaded, np.array([[0.0, 0, 0], [0, 0.015, 0.03]])) == pytest.approx([0.035, 0.02], abs=1e-3)


def test_holes_are_closed_by_whole_loops() -> None:
    box = fine_box()
    open_box = part_of(box, np.abs(box.face_normals[:, 2]) < 0.9)
    loops = repair.boundary_loops(np.asarray(open_box.faces))
    assert sorted(len(loop) for loop in loops) == [32, 32]
    caps = repair.close_holes(open_box)
    assert (caps.holes, caps.mesh.is_watertight) == (2, True)
    assert caps.mesh.volume == pytest.approx(box.volume)
    assert caps.share == pytest.approx(2 * 4 * HALF[0] * HALF[1] / box.area)


def test_all_scans_come_through(shared_data: Path) -> None:
    for path in sorted((shared_data / "ycb_dev").glob("*.ply")):
        raw, loaded = trimesh.load_mesh(path), load_mesh(path)
        assert loaded.watertight, path.stem
        assert loaded.solid.volume == pytest.approx(raw.volume, rel=0.02), path.stem
        np.testing.assert_allclose(loaded.mesh.bounds, raw.bounds, atol=1e-4)


# --- many faces ------------------------------------------------------------------------------------------------------


def test_many_faces_are_simplified_without_moving_the_surface() -> None:
    mesh = trimesh.creation.icosphere(6, 0.05)
    loaded = prepare_mesh(mesh, max_faces=5000)
    assert len(loaded.mesh.faces) <= 5000 and loaded.watertight
    assert np.abs(np.linalg.norm(loaded.mesh.vertices, axis=1) - 0.05).max() < 3e-4
    assert loaded.notes == (f"simplified from 81,920 to {len(loaded.mesh.faces):,} faces.",)


@pytest.mark.slow
def test_a_million_faces_load(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(8, 0.05)
    assert len(mesh.faces) > 1_000_000
    mesh.export(tmp_path / "scan.ply")
    loaded = load_mesh(tmp_path / "scan.ply")
    assert len(loaded.mesh.faces) <= 20_000 and loaded.watertight
    assert loaded.solid.volume == pytest.approx(4 / 3 * np.pi * 0.05**3, rel=0.002)


def test_cups_are_thin_walled_and_boxes_are_not() -> None:
    assert thin_walled(trimesh.creation.annulus(0.038, 0.04, 0.1))
    assert not thin_walled(trimesh.creation.box((0.05, 0.08, 0.1)))
    assert thin_walled(trimesh.creation.box((0.003, 0.08, 0.1)))


@pytest.mark.parametrize(("size", "word"), [(1.5, "large"), (0.008, "small"), (0.1, None)])
def test_a_strange_size_that_is_possible_gets_a_note(size, word):
    notes = prepare_mesh(trimesh.creation.box((size, size / 2, size / 2))).notes
    assert [word] * len(notes) == [note.split(",")[1].split()[0] for note in notes]
    assert bool(notes) == (word is not None)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_in_any_layout_can_be_simplified(order):
    ball = trimesh.creation.icosphere(4)
    verts, faces = np.array(ball.vertices, order=order), np.array(ball.faces, order=order)
    verts.flags.writeable = faces.flags.writeable = False
    simple = repair.simplify(trimesh.Trimesh(verts, faces, process=False), 500)
    assert 0 < len(simple.faces) <= 510


@pytest.mark.parametrize("slid", [0.0, 0.013])
def test_closed_parts_that_touch_are_one_body(slid: float, tmp_path: Path) -> None:
    """A lid on a jar: its face lies in the jar's, cut along the same diagonals or others."""
    lid = trimesh.creation.box((0.08, 0.08, 0.01)).apply_translation([slid, 0, 0.055])
    scene = trimesh.Scene({"body": trimesh.creation.box((0.08, 0.08, 0.1)), "lid": lid})
    scene.export(tmp_path / "jar.glb")
    jar = load_mesh(tmp_path / "jar.glb")
    assert jar.solid.volume == pytest.approx(0.08 * 0.08 * 0.11, rel=1e-3) and jar.watertight
    assert not any("turned" in note or "closed" in note for note in jar.notes)
