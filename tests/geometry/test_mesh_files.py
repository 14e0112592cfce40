"""Mesh files as people have them: whatever the format, a thing comes out as it is, or a sentence says what to do."""

import base64
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gltf_files import glb, tree_of
from step_files import step_box

from hoprior.errors import HopriorError
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.mesh import load_mesh

EXTENTS = np.array([0.06, 0.08, 0.12])


def thing() -> trimesh.Trimesh:
    """A box that is told from its mirror images and turns."""
    mesh = trimesh.creation.box(EXTENTS)
    verts = np.array(mesh.vertices)
    verts[(verts > 0).all(axis=1)] *= 0.5
    return trimesh.Trimesh(verts, mesh.faces, process=False)


def sentence(action: Callable[[], object]) -> str:
    with pytest.raises(HopriorError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    return message


def same_as_thing(path: Path, scale: float = 1.0, **said: Any) -> None:
    """A file holds the thing: the same volume, bounds and area."""
    loaded, expected = load_mesh(path, **said), thing()
    expected.apply_scale(scale)
    np.testing.assert_allclose(loaded.mesh.bounds, expected.bounds, atol=2e-5)
    assert loaded.mesh.area == pytest.approx(expected.area, rel=1e-3)
    assert loaded.solid.volume == pytest.approx(expected.volume, rel=1e-3)
    assert loaded.watertight


# --- glTF ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "file"),
    [("my%20box.bin", "my box.bin"), ("my box.bin", "my box.bin"), ("a%231.bin", "a#1.bin"), ("100%.bin", "100%.bin")],
)
def test_buffers_are_found_by_any_name(uri: str, file: str, tmp_path: Path) -> None:
    tree, data = tree_of(thing())
    tree["buffers"][0]["uri"] = uri
    (tmp_path / file).write_bytes(data)
    (tmp_path / "thing.gltf").write_text(json.dumps(tree))
    same_as_thing(tmp_path / "thing.gltf")


def test_buffers_may_be_written_in_the_file(tmp_path: Path) -> None:
    tree, data = tree_of(thing())
    tree["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    (tmp_path / "thing.gltf").write_text(json.dumps(tree))
    same_as_thing(tmp_path / "thing.gltf")


def test_a_missing_buffer_is_named_and_the_file_is_not_called_broken(tmp_path: Path) -> None:
    tree, _ = tree_of(thing())
    tree["buffers"][0]["uri"] = "gone%20away.bin"
    (tmp_path / "thing.gltf").write_text(json.dumps(tree))
    message = sentence(lambda: load_mesh(tmp_path / "thing.gltf"))
    assert "'gone away.bin', a file that is not there" in message and "broken" not in message


@pytest.mark.parametrize("uri", ["../secret.bin", "/etc/passwd", "..%2Fsecret.bin"])
def test_buffers_outside_the_folder_are_refused(uri: str, tmp_path: Path) -> None:
    tree, data = tree_of(thing())
    tree["buffers"][0]["uri"] = uri
    (tmp_path / "secret.bin").write_bytes(data)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "thing.gltf").write_text(json.dumps(tree))
    assert "outside its folder" in sentence(lambda: load_mesh(tmp_path / "in" / "thing.gltf"))


@pytest.mark.parametrize("normalized", [True, False])
def test_quantised_positions_are_numbers_again(normalized: bool, tmp_path: Path) -> None:
    mesh = thing()
    whole = np.rint(mesh.vertices / 0.1 * 32767).astype("<i2")
    padded = np.concatenate([whole, np.zeros((len(whole), 1), "<i2")], axis=1)  # rows of 8 bytes
    tree, _ = tree_of(mesh, extensionsUsed=["KHR_mesh_quantization"], extensionsRequired=["KHR_mesh_quantization"])
    faces = np.asarray(mesh.faces, "<u2").tobytes()
    tree["accessors"][0].update(componentType=5122, normalized=normalized)
    tree["bufferViews"] = [
        {"buffer": 0, "byteLength": padded.nbytes, "byteStride": 8},
        {"buffer": 0, "byteOffset": padded.nbytes, "byteLength": len(faces)},
    ]
    tree["nodes"][0]["scale"] = [0.1 if normalized else 0.1 / 32767] * 3
    (tmp_path / "thing.glb").write_bytes(glb(tree, padded.tobytes() + faces))
    same_as_thing(tmp_path / "thing.glb")


def test_draco_is_unpacked_or_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draco = pytest.importorskip("DracoPy", reason="DracoPy, which packs the file of this test, is not installed")
    mesh = thing()
    data = draco.encode(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32), quantization_bits=16)
    extension = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    tree, _ = tree_of(mesh, extensionsRequired=list(extension), extensionsUsed=list(extension))
    tree["meshes"][0]["primitives"][0]["extensions"] = extension
    for accessor in tree["accessors"]:
        del accessor["bufferView"]
    tree["bufferViews"] = [{"buffer": 0, "byteLength": len(data)}]
    (tmp_path / "thing.glb").write_bytes(glb(tree, data))
    same_as_thing(tmp_path / "thing.glb")
    monkeypatch.setattr("hoprior.geometry.files.contents.find_spec", lambda name: None)
    assert "pip install DracoPy" in sentence(lambda: load_mesh(tmp_path / "thing.glb"))


def test_meshopt_is_unpacked_or_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meshopt = pytest.importorskip("meshoptimizer", reason="meshoptimizer, which packs the file, is not installed")
    mesh = thing()
    verts, faces = np.asarray(mesh.vertices, "<f4"), np.asarray(mesh.faces, np.uint32).reshape(-1)
    packed = bytes(meshopt.encode_vertex_buffer(verts, len(verts), 12))
    indices = bytes(meshopt.encode_index_buffer(faces, len(faces), len(verts)))
    name = "EXT_meshopt_compression"
    tree, _ = tree_of(mesh, extensionsRequired=[name], extensionsUsed=[name])
    tree["buffers"] = [{"byteLength": len(packed) + len(indices)}, {"byteLength": 0, "extensions": {name: {}}}]
    tree["bufferViews"] = [
        {
            "buffer": 1,
            "byteLength": count * stride,
            "extensions": {
                name: {
                    "buffer": 0,
                    "byteOffset": start,
                    "byteLength": size,
                    "byteStride": stride,
                    "count": count,
                    "mode": mode,
                }
            },
        }
        for count, stride, start, size, mode in (
            (len(verts), 12, 0, len(packed), "ATTRIBUTES"),
            (len(faces), 2, len(packed), len(indices), "TRIANGLES"),
        )
    ]
    (tmp_path / "thing.glb").write_bytes(glb(tree, packed + indices))
    same_as_thing(tmp_path / "thing.glb")
    monkeypatch.setattr("hoprior.geometry.files.contents.find_spec", lambda name: None)
    assert "pip install meshoptimizer" in sentence(lambda: load_mesh(tmp_path / "thing.glb"))


def test_gltf_1_and_strange_extensions_are_named_and_not_called_broken(tmp_path: Path) -> None:
    tree, data = tree_of(thing())
    (tmp_path / "one.glb").write_bytes(glb(tree, data, version=1))
    (tmp_path / "one.gltf").write_text(json.dumps({**tree, "asset": {"version": "1.0"}}))
    (tmp_path / "new.glb").write_bytes(glb({**tree, "extensionsRequired": ["ACME_knots"]}, data))
    for name, words in (("one.glb", "is glTF 1.0"), ("one.gltf", "is glTF 1.0"), ("new.glb", "extension ACME_knots")):
        message = sentence(lambda name=name: load_mesh(tmp_path / name))  # type: ignore[misc]
        assert words in message and "this reader cannot read" in message and "broken" not in message


def test_extensions_of_colours_and_missing_textures_do_not_matter(tmp_path: Path) -> None:
    tree, data = tree_of(thing(), extensionsRequired=["KHR_texture_transform", "KHR_materials_unlit"])
    tree["images"], tree["materials"] = [{"uri": "gone.png"}], [{"pbrMetallicRoughness": {}}]
    tree["textures"] = [{"source": 0}]
    tree["meshes"][0]["primitives"][0]["material"] = 0
    (tmp_path / "thing.glb").write_bytes(glb(tree, data))
    same_as_thing(tmp_path / "thing.glb")


def test_strips_and_fans_are_triangles(tmp_path: Path) -> None:
    # A box of one strip, and a pyramid's side as a fan.
    corners = np.array([[x, y, z] for x in (0, 0.05) for y in (0, 0.05) for z in (0, 0.05)], "<f4")
    strip = np.array([3, 2, 7, 6, 4, 2, 0, 3, 1, 7, 5, 4, 1, 0], "<u2")
    tree, _ = tree_of(thing())
    tree["accessors"][0]["count"], tree["accessors"][1]["count"] = 8, len(strip)
    tree["bufferViews"] = [
        {"buffer": 0, "byteLength": corners.nbytes},
        {"buffer": 0, "byteOffset": corners.nbytes, "byteLength": strip.nbytes},
    ]
    tree["meshes"][0]["primitives"][0]["mode"] = 5
    (tmp_path / "strip.glb").write_bytes(glb(tree, corners.tobytes() + strip.tobytes()))
    assert load_mesh(tmp_path / "strip.glb").solid.volume == pytest.approx(0.05**3, rel=1e-5)
    tree["meshes"][0]["primitives"][0]["mode"] = 6
    fan = np.array([0, 2, 3, 1], "<u2")
    tree["accessors"][1]["count"] = len(fan)
    tree["bufferViews"][1]["byteLength"] = fan.nbytes
    (tmp_path / "fan.glb").write_bytes(glb(tree, corners.tobytes() + fan.tobytes()))
    (part,) = read_mesh_file(tmp_path / "fan.glb").parts.values()
    assert part.area == pytest.approx(0.05**2)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9, 0.99])
def test_cut_files_are_called_broken(share: float, tmp_path: Path) -> None:
    tree, data = tree_of(thing())
    whole = glb(tree, data)
    (tmp_path / "cut.glb").write_bytes(whole[: int(share * len(whole))])
    assert "the file is broken" in sentence(lambda: load_mesh(tmp_path / "cut.glb"))


# --- Collada, 3MF, STEP ----------------------------------------------------------------------------------------------


def collada(mesh: trimesh.Trimesh, asset: str) -> str:
    numbers = " ".join(f"{x:.9g}" for x in np.asarray(mesh.vertices).reshape(-1))
    corners = " ".join(str(i) for i in np.asarray(mesh.faces).reshape(-1))
    return (
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>'
        f"<created>2020-01-01T00:00:00</created><modified>2020-01-01T00:00:00</modified>{asset}</asset>"
        '<library_geometries><geometry id="g"><mesh><source id="p">'
        f'<float_array id="pa" count="{3 * len(mesh.vertices)}">{numbers}</float_array><technique_common>'
        f'<accessor source="#pa" count="{len(mesh.vertices)}" stride="3"><param name="X" type="float"/>'
        '<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>'
        '<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>'
        f'<triangles count="{len(mesh.faces)}"><input semantic="VERTEX" source="#v" offset="0"/><p>{corners}</p>'
        "</triangles></mesh></geometry></library_geometries><library_visual_scenes><visual_scene id='s'><node id='n'>"
        '<instance_geometry url="#g"/></node></visual_scene></library_visual_scenes><scene>'
        '<instance_visual_scene url="#s"/></scene></COLLADA>'
    )


@pytest.mark.parametrize(("metres", "name"), [(1.0, "meter"), (0.01, "centimeter"), (0.0254, "inch"), (0.3048, "ft")])
@pytest.mark.parametrize("axis", ["Y", "Z"])
def test_collada_says_its_unit_and_its_axis(metres: float, name: str, axis: str, tmp_path: Path) -> None:
    mesh = thing()
    mesh.apply_scale(1 / metres)
    asset = f'<unit name="{name}" meter="{metres}"/><up_axis>{axis}_UP</up_axis>'
    (tmp_path / "thing.dae").write_text(collada(mesh, asset))
    same_as_thing(tmp_path / "thing.dae")
    loaded = load_mesh(tmp_path / "thing.dae")
    assert (loaded.metres_per_unit, loaded.up) == (metres, axis.lower())
    # What the user says counts more.
    assert load_mesh(tmp_path / "thing.dae", size="24cm").mesh.extents.max() == pytest.approx(0.24)


def test_collada_without_a_word_is_metres_and_y_up_as_its_specification_has_it(tmp_path: Path) -> None:
    (tmp_path / "thing.dae").write_text(collada(thing(), ""))
    same_as_thing(tmp_path / "thing.dae")
    assert load_mesh(tmp_path / "thing.dae").up == "y"


def three_mf(path: Path, mesh: trimesh.Trimesh, unit: str | None) -> None:
    verts = "".join(f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in mesh.vertices)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces)
    said = "" if unit is None else f' unit="{unit}"'
    model = (
        f'<?xml version="1.0"?><model{said} xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">'
        f'<resources><object id="1" type="model"><mesh><vertices>{verts}</vertices>'
        f'<triangles>{faces}</triangles></mesh></object></resources><build><item objectid="1"/></build></model>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", model)


@pytest.mark.parametrize(
    ("unit", "metres"), [(None, 0.001), ("millimeter", 0.001), ("inch", 0.0254), ("centimeter", 0.01), ("meter", 1.0)]
)
def test_3mf_says_its_unit(unit: str | None, metres: float, tmp_path: Path) -> None:
    mesh = thing()
    mesh.apply_scale(1 / metres)
    three_mf(tmp_path / "thing.3mf", mesh, unit)
    same_as_thing(tmp_path / "thing.3mf")
    assert load_mesh(tmp_path / "thing.3mf").metres_per_unit == pytest.approx(metres)


@pytest.mark.parametrize("ending", ["step", "stp", "ctm", "dae", "3mf", "drc"])
def test_formats_whose_package_is_missing_say_how_to_install_it(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"mug.{ending}").write_bytes(b"anything")
    monkeypatch.setattr("hoprior.geometry.files.contents.find_spec", lambda name: None)
    message = sentence(lambda: load_mesh(tmp_path / f"mug.{ending}"))
    assert "which is not installed: pip install" in message and "broken" not in message and "damaged" not in message


# --- robots' descriptions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "metres"), [("mm", 0.001), ("cm", 0.01), ("m", 1.0), ("inch", 0.0254)])
def test_step_has_its_unit_and_keeps_its_axes(unit: str, metres: float, tmp_path: Path) -> None:
    """CAD programs have z up, and the reader turns nothing, though it goes by way of glTF."""
    pytest.importorskip("cascadio", reason="cascadio, which reads STEP, is not installed")
    sides = np.array([0.04, 0.06, 0.12])
    (tmp_path / "box.step").write_text(step_box(*(sides / metres), unit))
    loaded = load_mesh(tmp_path / "box.step")
    np.testing.assert_allclose(loaded.mesh.bounds, [np.zeros(3), sides], atol=1e-6)
    assert loaded.up is None and loaded.solid.volume == pytest.approx(float(sides.prod()), rel=1e-4)


def urdf(visual: str) -> str:
    return (
        '<?xml version="1.0"?><robot name="r"><link name="base"/><link name="lid"><visual>'
        f'<origin xyz="0 0 0.1" rpy="0 0 1.5707963267948966"/><geometry>{visual}</geometry></visual></link>'
        '<joint name="j" type="fixed"><parent link="base"/><child link="lid"/><origin xyz="0.02 0 0"/></joint></robot>'
    )


@pytest.mark.parametrize("name", ["thing.stl", "package://mug/meshes/thing.stl", "file://meshes/thing.stl"])
def test_urdf_places_its_meshes(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "mug" / ("" if name == "thing.stl" else "meshes")
    folder.mkdir(parents=True)
    mesh = thing()
    mesh.apply_scale(1000)
    mesh.export(folder / "thing.stl")
    (tmp_path / "mug" / "mug.urdf").write_text(urdf(f'<mesh filename="{name}" scale="0.001 0.001 0.001"/>'))
    loaded, expected = load_mesh(tmp_path / "mug" / "mug.urdf"), thing()
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1])
    turn[:3, 3] = 0.02, 0, 0.1
    expected.apply_transform(turn)
    np.testing.assert_allclose(loaded.mesh.bounds, expected.bounds, atol=1e-6)
    assert loaded.solid.volume == pytest.approx(expected.volume, rel=1e-4) and loaded.up == "z"


def test_urdf_as_simulators_forgive_it(tmp_path: Path) -> None:
    """An empty line before the declaration, commas between numbers, and shapes of no size that mark places."""
    thing().export(tmp_path / "thing.stl")
    text = urdf('<mesh filename="thing.stl"/>').replace('xyz="0 0 0.1"', 'xyz="0, 0, 0.1"')
    marks = '<visual><geometry><sphere radius="0.0"/></geometry></visual><visual><geometry><capsule radius="0"'
    text = text.replace('<link name="base"/>', f'<link name="base">{marks} length="0"/></geometry></visual></link>')
    (tmp_path / "mug.urdf").write_text("\n  " + text)
    loaded = load_mesh(tmp_path / "mug.urdf")
    assert loaded.solid.volume == pytest.approx(thing().volume, rel=1e-4)
    assert loaded.mesh.bounds[0, 2] == pytest.approx(thing().bounds[0, 2] + 0.1, abs=1e-6)
    (tmp_path / "mug.urdf").write_text(text.replace("0, 0, 0.1", "0 0"))
    assert "mug.urdf: has '0 0' where 3 numbers are expected" in sentence(lambda: load_mesh(tmp_path / "mug.urdf"))


def test_urdf_without_its_mesh_names_it(tmp_path: Path) -> None:
    (tmp_path / "mug.urdf").write_text(urdf('<mesh filename="package://mugs/gone.stl"/>'))
    assert "'package://mugs/gone.stl', which is not there" in sentence(lambda: load_mesh(tmp_path / "mug.urdf"))


def test_mjcf_places_its_meshes_and_leaves_out_floors_and_collisions(tmp_path: Path) -> None:
    mesh = thing()
    mesh.apply_scale(1000)
    (tmp_path / "assets").mkdir()
    mesh.export(tmp_path / "assets" / "thing.stl")
    (tmp_path / "mug.xml").write_text(
        '<mujoco><compiler meshdir="assets"/><asset><mesh name="m" file="thing.stl" scale="0.001 0.001 0.001"/></asset>'
        '<worldbody><geom type="plane" size="5 5 0.1"/><body name="mug" pos="0 0 0.1" euler="0 0 90">'
        '<geom type="mesh" mesh="m" contype="0" conaffinity="0"/><geom type="box" size="0.2 0.2 0.2"/></body>'
        "</worldbody></mujoco>"
    )
    loaded, expected = load_mesh(tmp_path / "mug.xml"), thing()
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1])
    turn[2, 3] = 0.1
    expected.apply_transform(turn)
    np.testing.assert_allclose(loaded.mesh.bounds, expected.bounds, atol=1e-6)


# --- STL, PLY, OFF, OBJ ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 1, 7, 50, 1000])
def test_an_stl_has_as_many_faces_as_its_header_counts(more: int, tmp_path: Path) -> None:
    whole = thing().export(file_type="stl")
    (tmp_path / "thing.stl").write_bytes(whole + os.urandom(more))
    same_as_thing(tmp_path / "thing.stl")
    # Also where the header begins like a text STL's.
    (tmp_path / "thing.stl").write_bytes(b"solid made by hand".ljust(80) + whole[80:])
    same_as_thing(tmp_path / "thing.stl")


def test_an_stl_that_is_cut_short_says_how_far_it_goes(tmp_path: Path) -> None:
    (tmp_path / "thing.stl").write_bytes(thing().export(file_type="stl")[:-220])
    message = sentence(lambda: load_mesh(tmp_path / "thing.stl"))
    assert "is cut short: 7 of 12 triangles" in message and "the file is broken" in message


def test_text_stl_is_read(tmp_path: Path) -> None:
    text = str(thing().export(file_type="stl_ascii"))
    for written in (text, text.upper()):
        (tmp_path / "thing.stl").write_text(written)
        same_as_thing(tmp_path / "thing.stl")


def test_an_stl_whose_header_counts_nothing_has_the_faces_that_follow(tmp_path: Path) -> None:
    whole = thing().export(file_type="stl")
    (tmp_path / "thing.stl").write_bytes(whole[:80] + bytes(4) + whole[84:])
    same_as_thing(tmp_path / "thing.stl")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.stl", b"\x00" * 60, "has 60 bytes, and an STL begins with 84"),
        ("a.stl", b"solid nothing\nendsolid\n", "no faces in the file"),
        ("a.stl", b"solid of words that go on without a single one of its triangles " * 3, "no STL"),
        ("a.off", b"OFF BINARY\n\x00\x00", "is an OFF of another kind"),
        ("a.off", b"4OFF\n1 1 0\n0 0 0 1\n3 0 0 0\n", "is an OFF of another kind"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n", "faces that name vertices that do not exist"),
        ("a.off", b"OFF\n0 0 0\n", "no faces in the file"),
        ("a.off", b"OFF\n3\n", r"cannot be read as an .off mesh \(something that it should have is missing\)"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\n", "ends before its header does"),
        ("a.off", b"OFF\n3 one 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "cannot be read as an .off mesh"),
        ("a.obj", b"<!DOCTYPE html><html>404: not found</html>", "html|web page"),
        ("a.obj", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "LFS"),
        ("a.obj", b"BLENDER-v300", "Blender"),
        ("a.ply", b"<note>nothing</note>", "broken|no PLY|ply"),
    ],
)
def test_what_is_no_mesh_or_another_is_said(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HopriorError, match=words):
        load_mesh(tmp_path / name)


STRIP = [3, 2, 7, 6, 4, 2, 0, 3, 1, 7, 5, 4, 1, 0]
"""A box of one strip, of corners that are numbered by the bits of their x, y and z."""


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_strips_are_triangles(form: str, tmp_path: Path) -> None:
    corners = [[x, y, z] for x in (0, 0.05) for y in (0, 0.05) for z in (0, 0.05)]
    strips = [*STRIP, -1, 0, 1, 3, -1]
    header = (
        f"ply\nformat {form} 1.0\ncomment Stanford\nelement vertex 8\nproperty float x\nproperty float y\n"
        f"property float z\nproperty uchar intensity\nelement tristrips 1\n"
        "property list int int vertex_indices\nend_header\n"
    ).encode()
    if form == "ascii":
        rows = "".join(f"{x} {y} {z} 7\n" for x, y, z in corners)
        body = f"{rows}{len(strips)} {' '.join(map(str, strips))}\n".encode()
    else:
        order = "<" if "little" in form else ">"
        body = b"".join(struct.pack(f"{order}fffB", *corner, 7) for corner in corners)
        body += struct.pack(f"{order}i{len(strips)}i", len(strips), *strips)
    (tmp_path / "box.ply").write_bytes(header + body)
    assert load_mesh(tmp_path / "box.ply").solid.volume == pytest.approx(0.05**3, rel=1e-4)
    (tmp_path / "box.ply").write_bytes(header + body[:-9])
    assert "the file is broken" in sentence(lambda: load_mesh(tmp_path / "box.ply"))


NOTCHED = [(0, 0), (0.1, 0), (0.1, 0.02), (0.02, 0.02), (0.02, 0.1), (0, 0.1)]
"""An angle of two legs, 36 cm²."""


@pytest.mark.parametrize("before", ["", "property uchar flags\n"])
@pytest.mark.parametrize("after", ["", "property list uchar float texcoord\n"])
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_has_faces_of_any_number_of_corners(form: str, before: str, after: str, tmp_path: Path) -> None:
    corners = [(x, y, z) for z in (0, 0.03) for x, y in NOTCHED]
    faces: list[list[int]] = [[5, 4, 3, 2, 1, 0], [6, 7, 8, 9, 10, 11]]
    faces += [[k, (k + 1) % 6, 6 + (k + 1) % 6, 6 + k] for k in range(1, 6)]
    faces += [[0, 1, 7], [0, 7, 6]]
    header = (
        f"ply\nformat {form} 1.0\nelement vertex 12\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\n{before}property list uchar int vertex_indices\n{after}end_header\n"
    ).encode()
    coordinates = [[0.5] * (len(face) if after else 0) for face in faces]
    if form == "ascii":
        rows = [list(corner) for corner in corners]
        for face, uv in zip(faces, coordinates, strict=True):
            rows.append([*([7] if before else []), len(face), *face, *([len(uv), *uv] if after else [])])
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()
    else:
        order = "<" if "little" in form else ">"
        body = b"".join(struct.pack(f"{order}fff", *corner) for corner in corners)
        for face, uv in zip(faces, coordinates, strict=True):
            body += b"\7" if before else b""
            body += struct.pack(f"{order}B{len(face)}i", len(face), *face)
            body += struct.pack(f"{order}B{len(uv)}f", len(uv), *uv) if after else b""
    (tmp_path / "angle.ply").write_bytes(header + body)
    assert load_mesh(tmp_path / "angle.ply").solid.volume == pytest.approx(0.0036 * 0.03, rel=1e-4)
    if form != "ascii":
        (tmp_path / "angle.ply").write_bytes(header + body[:-5])
        assert "ends before its last face" in sentence(lambda: load_mesh(tmp_path / "angle.ply"))


@pytest.mark.parametrize("header", ["OFF\n8 10 0\n", "OFF 8 10 0\n", "# made by hand\nOFF\n\n8 10 0 # counts\n"])
def test_off_has_faces_of_any_number_of_corners(header: str, tmp_path: Path) -> None:
    corners = [[x, y, z] for x in (0, 0.05) for y in (0, 0.05) for z in (0, 0.05)]
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6]]
    triangles = [[0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    faces = [*quads, *triangles, [0, 1, 3, 2][::-1], [0, 1, 3, 2]]  # the last two lie on each other and cancel
    rows = [" ".join(map(str, corner)) for corner in corners]
    rows += [f"{len(face)} {' '.join(map(str, face))} 255 0 0" for face in faces]
    (tmp_path / "box.off").write_text(header + "\n".join(rows) + "\n")
    assert load_mesh(tmp_path / "box.off").solid.volume == pytest.approx(0.05**3, rel=1e-5)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_an_obj_may_end_in_any_way(end: str, tmp_path: Path) -> None:
    text = str(thing().export(file_type="obj"))
    (tmp_path / "thing.obj").write_bytes(text.replace("\n", end).encode())
    same_as_thing(tmp_path / "thing.obj")


@pytest.mark.parametrize("ending", ["obj", "stl", "glb", "dae"])
def test_what_a_file_is_goes_by_its_content(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"thing.{ending}").write_bytes(thing().export(file_type="ply"))
    same_as_thing(tmp_path / f"thing.{ending}")
    assert load_mesh(tmp_path / f"thing.{ending}").notes == ("read as .ply, which it is in spite of its name.",)


def test_what_readers_fail_on_is_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TypeError("an operand")

    thing().export(tmp_path / "thing.obj")
    monkeypatch.setattr(trimesh, "load_scene", fail)
    message = sentence(lambda: load_mesh(tmp_path / "thing.obj"))
    assert "(TypeError: an operand): open it in Blender or MeshLab" in message
    assert "if they cannot open it either" in message


# --- files of all kinds ----------------------------------------------------------------------------------------------

SHARED = Path(os.environ.get("HOPRIOR_TEST_DATA", "nowhere")) / "inputs"
BOX = 0.06 * 0.06 * 0.12
VOLUMES = {
    "3mf_needs_lxml/box_inch.3mf": BOX,
    "3mf_needs_lxml/box_mm.3mf": BOX,
    "cup_walls_not_joined/cup.obj": 6.03e-5,
    "dae_needs_pycollada/box_m.dae": BOX,
    "far_from_origin/box_utm.obj": BOX,
    "glb_is_y_up/bottle.glb": 6.195e-4,
    "gltf_required_extensions/box_draco.glb": BOX,
    "ngon_concave_caps/spanner.obj": 2.04e-5,
    "ngon_concave_caps/spanner.off": 2.04e-5,
    "ngon_concave_caps/spanner.ply": 2.04e-5,
    "object_on_a_plane/cup_on_plane.glb": BOX,
    "stl_trailing_bytes/box.stl": BOX,
    "up_minus_z/box.obj": BOX,
    "urdf/mug.urdf": BOX,
}


@pytest.mark.parametrize("name", VOLUMES)
def test_collected_inputs_are_read_right(name: str) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip("HOPRIOR_TEST_DATA has no inputs")
    if name.endswith("draco.glb"):
        pytest.importorskip("DracoPy", reason="DracoPy, which reads this file, is not installed")
    assert load_mesh(path).solid.volume == pytest.approx(VOLUMES[name], rel=5e-3)
