"""What of a scene is the object: floors, collision shapes and coarse copies are not, and parts can be asked for."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh, prepare_mesh


def cup() -> trimesh.Trimesh:
    mesh = trimesh.creation.box((0.06, 0.06, 0.12))
    mesh.apply_translation([0, 0, 0.06])
    return mesh


def sheet(size: float, height: float = 0.0, axis: int = 2) -> trimesh.Trimesh:
    corners = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size / 2
    corners[:, 2] = height
    return trimesh.Trimesh(np.roll(corners, axis - 2, axis=1), [[0, 1, 2], [0, 2, 3]], process=False)


def scene(path: Path, **parts: trimesh.Trimesh) -> Path:
    whole = trimesh.Scene()
    for name, mesh in parts.items():
        whole.add_geometry(mesh, node_name=name, geom_name=name)
    whole.export(path)
    return path


@pytest.mark.parametrize("name", ["Plane", "floor_01", "ShadowCatcher", "Object_2"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_the_object_stands_on_is_left_out_with_a_note(name: str, axis: int, tmp_path: Path) -> None:
    held = cup()
    held.vertices = np.roll(held.vertices, axis - 2, axis=1)
    path = scene(tmp_path / "cup.glb", Cup=held, **{name: sheet(1.0, axis=axis)})
    loaded = load_mesh(path)
    assert loaded.solid.volume == pytest.approx(0.06 * 0.06 * 0.12, rel=1e-4)
    assert any(note.startswith("left out") and "1 m" in note for note in loaded.notes)


def test_a_floor_in_one_mesh_with_the_object_is_left_out(tmp_path: Path) -> None:
    trimesh.util.concatenate([cup(), sheet(1.0)]).export(tmp_path / "cup.ply")
    assert load_mesh(tmp_path / "cup.ply").mesh.extents.max() == pytest.approx(0.12)
    # The size that is said is the object's, not the floor's.
    assert load_mesh(tmp_path / "cup.ply", size="24cm").mesh.extents.max() == pytest.approx(0.24)


def test_flat_parts_of_an_object_stay() -> None:
    """A lid or a bottom without thickness is no floor: it is not wider than the rest."""
    open_box = cup()
    bottom = open_box.face_normals[:, 2] < -0.9
    parts = [trimesh.Trimesh(open_box.vertices, open_box.faces[mask], process=False) for mask in (bottom, ~bottom)]
    parts[0].apply_translation([0, 0, -0.0005])
    loaded = prepare_mesh(trimesh.util.concatenate(parts))
    assert not any("sheet" in note for note in loaded.notes)
    assert loaded.solid.volume == pytest.approx(0.06 * 0.06 * 0.12, rel=0.03)


@pytest.mark.parametrize("name", ["UCX_Cup", "Cup_collision", "Cup-colonly", "cup.collider", "HitBox"])
def test_shapes_for_collisions_are_left_out_with_a_note(name: str, tmp_path: Path) -> None:
    path = scene(tmp_path / "cup.glb", Cup=cup(), **{name: trimesh.creation.box((0.2, 0.2, 0.3))})
    loaded = load_mesh(path)
    assert loaded.mesh.extents.max() == pytest.approx(0.12)
    assert loaded.notes == (f"left out '{name}' (30 cm), a shape for collisions.",)


@pytest.mark.parametrize("name", ["Collar", "column", "Color_1", "protocol"])
def test_other_names_are_parts_of_the_object(name: str, tmp_path: Path) -> None:
    top = trimesh.creation.box((0.05, 0.05, 0.02))
    top.apply_translation([0, 0, 0.13])
    assert load_mesh(scene(tmp_path / "cup.glb", Cup=cup(), **{name: top})).mesh.extents.max() == pytest.approx(0.14)


def test_shapes_for_collisions_stay_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert load_mesh(scene(tmp_path / "cup.glb", UCX_Cup=cup())).mesh.extents.max() == pytest.approx(0.12)


def test_of_copies_the_finest_stays(tmp_path: Path) -> None:
    coarse = trimesh.creation.box((0.06, 0.06, 0.13))
    coarse.apply_translation([0.5, 0, 0])
    loaded = load_mesh(scene(tmp_path / "cup.glb", cup_LOD0=cup(), cup_LOD1=coarse))
    assert loaded.mesh.extents.max() == pytest.approx(0.12) and "coarser copy" in loaded.notes[0]


def test_one_part_can_be_asked_for_and_a_wrong_name_lists_them(tmp_path: Path) -> None:
    plate = trimesh.creation.cylinder(0.1, 0.02)
    plate.apply_translation([0.4, 0, 0])
    path = scene(tmp_path / "meal.glb", Cup=cup(), Plate=plate)
    with pytest.raises(
        HopriorError, match=r"2 separate objects .*pass --part with one of 'Plate' \(20 cm\), 'Cup' \(12 cm\)"
    ):
        load_mesh(path)
    for name in ("Cup", "cup", "C*p"):
        assert load_mesh(path, part=name).mesh.extents.max() == pytest.approx(0.12)
    with pytest.raises(
        HopriorError, match=r"part='Mug' is no part of meal.glb: choose one of 'Plate' \(20 cm\), 'Cup'"
    ):
        load_mesh(path, part="Mug")


def test_objects_of_an_obj_are_parts(tmp_path: Path) -> None:
    text, offset = "", 0
    for name, mesh in (("Cup", cup()), ("Floor", sheet(1.0))):
        text += f"o {name}\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in mesh.vertices)
        text += "".join(f"f {a} {b} {c}\n" for a, b, c in np.asarray(mesh.faces) + 1 + offset)
        offset += len(mesh.vertices)
    (tmp_path / "cup.obj").write_text(text)
    loaded = load_mesh(tmp_path / "cup.obj")
    assert loaded.mesh.extents.max() == pytest.approx(0.12) and len(loaded.notes) == 1
    assert load_mesh(tmp_path / "cup.obj", part="Cup").mesh.extents.max() == pytest.approx(0.12)
