"""glTF as few programs write it: fans, sparse and packed positions, empty meshes; and damage, which is called so."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gltf_files import glb, tree_of

from hoprior.errors import HopriorError
from hoprior.geometry.files.reading import read_mesh_file

Tree = dict[str, Any]


def box() -> trimesh.Trimesh:
    return trimesh.creation.box((0.06, 0.08, 0.12))


def read(path: Path) -> trimesh.Trimesh:
    (mesh,) = read_mesh_file(path).parts.values()
    return mesh


def is_box(mesh: trimesh.Trimesh, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(mesh.bounds, box().bounds, atol=atol)
    assert mesh.volume == pytest.approx(box().volume, rel=1e-3)


@pytest.mark.parametrize("listed", [True, False])
def test_fans_are_triangles(listed: bool, tmp_path: Path) -> None:
    """A roof of one corner in the middle, whose rim goes once around."""
    rim = [[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0], [0, 0, 0]]
    mesh = trimesh.Trimesh([[0.05, 0.05, 0.04], *rim], [[0, 1, 2]], process=False)
    tree, _ = tree_of(mesh)
    order = np.arange(6, dtype="<u2") if listed else np.zeros(0, "<u2")
    verts = np.asarray(mesh.vertices, "<f4")
    primitive: Tree = {"attributes": {"POSITION": 0}, "mode": 6}
    tree["meshes"] = [{"primitives": [{**primitive, "indices": 1} if listed else primitive]}]
    tree["accessors"][1]["count"] = len(order)
    tree["bufferViews"][1]["byteLength"] = order.nbytes
    (tmp_path / "roof.glb").write_bytes(glb(tree, verts.tobytes() + order.tobytes()))
    roof = read(tmp_path / "roof.glb")
    assert len(roof.faces) == 4
    assert roof.area == pytest.approx(4 * 0.1 / 2 * np.hypot(0.05, 0.04), rel=1e-5)


def test_sparse_positions_replace_what_stands_there(tmp_path: Path) -> None:
    mesh = box()
    verts, faces = np.asarray(mesh.vertices, "<f4"), np.asarray(mesh.faces, "<u2")
    spoilt = verts.copy()
    spoilt[[2, 5]] = 9
    rows = np.array([2, 5], "<u2")
    data = spoilt.tobytes() + faces.tobytes() + rows.tobytes() + verts[[2, 5]].tobytes()
    tree, _ = tree_of(mesh)
    start = spoilt.nbytes + faces.nbytes
    tree["bufferViews"] += [
        {"buffer": 0, "byteOffset": start, "byteLength": 4},
        {"buffer": 0, "byteOffset": start + 4, "byteLength": 24},
    ]
    sparse = {"count": 2, "indices": {"bufferView": 2, "componentType": 5123}, "values": {"bufferView": 3}}
    tree["accessors"][0]["sparse"] = sparse
    (tmp_path / "box.glb").write_bytes(glb(tree, data))
    is_box(read(tmp_path / "box.glb"))

    everything = {"count": 8, "indices": {"bufferView": 2, "componentType": 5121}, "values": {"bufferView": 3}}
    del tree["accessors"][0]["bufferView"]  # zeros, all of which are replaced
    tree["accessors"][0]["sparse"] = everything
    tree["bufferViews"][2:] = [
        {"buffer": 0, "byteOffset": start, "byteLength": 8},
        {"buffer": 0, "byteOffset": start + 8, "byteLength": verts.nbytes},
    ]
    rows = np.arange(8, dtype="u1")
    (tmp_path / "box.glb").write_bytes(glb(tree, spoilt.tobytes() + faces.tobytes() + rows.tobytes() + verts.tobytes()))
    is_box(read(tmp_path / "box.glb"))


def test_meshes_without_positions_are_left_out_and_others_keep_their_places(tmp_path: Path) -> None:
    tree, data = tree_of(box())
    tree["meshes"] = [{"primitives": [{"attributes": {"COLOR_0": 0}}]}, {"name": "empty"}, *tree["meshes"]]
    tree["nodes"] = [{"mesh": 0}, {"mesh": 1}, {"mesh": 2, "translation": [0, 0, 1]}, {"children": [0, 1, 2]}]
    tree["scenes"] = [{"nodes": [3]}]
    (tmp_path / "box.glb").write_bytes(glb(tree, data))
    mesh = read(tmp_path / "box.glb")
    np.testing.assert_allclose(mesh.bounds, box().bounds + np.array([0, 0, 1]), atol=1e-6)


def test_views_that_are_shared_are_read_for_each(tmp_path: Path) -> None:
    tree, data = tree_of(box())
    tree["meshes"] *= 2
    tree["nodes"] = [{"mesh": 0}, {"mesh": 1, "translation": [0, 0, 1]}]
    tree["scenes"] = [{"nodes": [0, 1]}]
    (tmp_path / "boxes.glb").write_bytes(glb(tree, data))
    parts = read_mesh_file(tmp_path / "boxes.glb").parts
    assert sorted(round(float(mesh.bounds[0, 2]), 4) for mesh in parts.values()) == [-0.06, 0.94]


def test_buffers_may_be_text(tmp_path: Path) -> None:
    tree, data = tree_of(box())
    tree["buffers"][0]["uri"] = "data:application/octet-stream," + "".join(f"%{byte:02x}" for byte in data)
    (tmp_path / "box.gltf").write_text(json.dumps(tree))
    is_box(read(tmp_path / "box.gltf"))


def test_what_lies_between_the_chunks_of_a_glb_is_passed_over(tmp_path: Path) -> None:
    whole = glb(*tree_of(box()))
    end = 20 + struct.unpack("<I", whole[12:16])[0]
    strange = struct.pack("<II", 8, 0x12345678) + b"whatever"
    changed = whole[:8] + struct.pack("<I", len(whole) + 16) + whole[12:end] + strange + whole[end:]
    (tmp_path / "box.glb").write_bytes(changed)
    is_box(read(tmp_path / "box.glb"))


def packed_by_meshopt(filtered: str | None = None, **changed: Any) -> bytes:
    """The box, whose corners are 32 bits each with an exponent where `filtered` says so."""
    meshopt = pytest.importorskip("meshoptimizer", reason="meshoptimizer, which packs the file, is not installed")
    mesh, name = box(), "EXT_meshopt_compression"
    verts = np.asarray(mesh.vertices, np.float64)
    if filtered:
        exponent = -20
        words = (np.rint(verts / 2.0**exponent).astype(np.int64) & 0xFFFFFF) | ((exponent & 0xFF) << 24)
        numbers = words.astype("<u4").view("<f4")
    else:
        numbers = verts.astype("<f4")
    packed = bytes(meshopt.encode_vertex_buffer(numbers, len(verts), 12))
    tree, data = tree_of(mesh, extensionsRequired=[name], extensionsUsed=[name])
    start = len(data)
    view = {"buffer": 0, "byteOffset": start, "byteLength": len(packed), "byteStride": 12, "count": 8}
    view |= {"mode": "ATTRIBUTES", **({"filter": filtered} if filtered else {}), **changed}
    tree["bufferViews"][0] = {"buffer": 0, "byteLength": 96, "extensions": {name: view}}
    tree["buffers"][0]["byteLength"] = start + len(packed)
    return glb(tree, data + packed)


def test_positions_with_exponents_are_unpacked(tmp_path: Path) -> None:
    for filtered in (None, "EXPONENTIAL"):
        (tmp_path / "box.glb").write_bytes(packed_by_meshopt(filtered))
        is_box(read(tmp_path / "box.glb"), atol=2e-6)


def cut(view: int, size: int) -> Callable[[Tree], None]:
    return lambda tree: tree["bufferViews"][view].update(byteLength=size)


def in_accessor(index: int, **changed: Any) -> Callable[[Tree], None]:
    return lambda tree: tree["accessors"][index].update(changed)


def no_view(count: int) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        del tree["accessors"][0]["bufferView"]
        tree["accessors"][0]["count"] = count

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (in_accessor(0, type="VEC2"), "has positions that are not of three coordinates"),
        (in_accessor(0, count=9), "is cut short: 96 bytes for 9 vertices"),
        (in_accessor(0, count=-1), "is cut short: 96 bytes for -1 vertices"),
        (in_accessor(0, componentType=1), "names something that is not in it (KeyError"),
        (no_view(10**9), "counts 1000000000 vertices"),
        (cut(0, 10**6), "is cut short: a buffer has 168 of 1,000,000 bytes"),
        (lambda tree: tree["buffers"][0].update(uri="data:;base64,YQ"), "its buffer 0 is no base64"),
        (lambda tree: tree.update(nodes=[{}] * 20_001), "is a scene of 20,001 nodes"),
        (lambda tree: tree.update(asset={"version": "3.0"}), "is glTF 3.0"),
        (lambda tree: tree["meshes"][0]["primitives"][0]["attributes"].update(POSITION=7), "is not in it (IndexError"),
    ],
)
def test_damage_is_called_so(change: Callable[[Tree], None], words: str, tmp_path: Path) -> None:
    tree, data = tree_of(box())
    change(tree)
    (tmp_path / "box.glb").write_bytes(glb(tree, data))
    with pytest.raises(HopriorError) as caught:
        read(tmp_path / "box.glb")
    assert words in str(caught.value) and str(caught.value).startswith("box.glb: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (glb(*tree_of(box()))[:12], "is cut short after its first bytes"),
        (glb(*tree_of(box()))[:200], "is cut short: 200 of"),
        (glb(*tree_of(box()), version=4), "is glTF 4"),
        (b"glTF" + struct.pack("<IIII", 2, 24, 4, 0x4E4F534A) + b"[1] ", "holds no description of a scene"),
        (b"glTF" + struct.pack("<IIII", 2, 24, 4, 0x4E4F534A) + b"{1} ", "its description cannot be read"),
        (
            b"glTF" + struct.pack("<IIII", 2, 20 + 200_000, 200_000, 0x4E4F534A) + b"[" * 200_000,
            "its description is nested too deeply",
        ),
    ],
)
def test_a_glb_that_is_none_is_called_so(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "box.glb").write_bytes(content)
    with pytest.raises(HopriorError, match=words):
        read(tmp_path / "box.glb")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": 900}, "a part of it cannot be unpacked"),
        ({"count": 2**28}, "has a view that unpacks to 3,221,225,472 bytes"),
        ({"filter": "OCTAHEDRAL"}, "packed with the filter OCTAHEDRAL, which is for directions"),
    ],
)
def test_what_meshopt_cannot_have_packed_is_called_so(changed: Tree, words: str, tmp_path: Path) -> None:
    (tmp_path / "box.glb").write_bytes(packed_by_meshopt(**changed))
    with pytest.raises(HopriorError, match=words):
        read(tmp_path / "box.glb")
