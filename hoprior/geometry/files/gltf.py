"""glTF and GLB as they come: packed, quantised, with buffers of any name; made plain for trimesh's reader.

Follows the glTF 2.0 specification (Khronos, https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html) and its
extensions KHR_mesh_quantization, EXT_meshopt_compression and KHR_draco_mesh_compression. What only colours a mesh is
left out, so that no texture has to be there.
"""

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

from hoprior.errors import HopriorError
from hoprior.geometry.files.contents import broken, need, unsupported

Tree = dict[str, Any]

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
"""numpy's types of the format's componentType."""
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}

MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
DRACO = "KHR_draco_mesh_compression"
READ = {*MESHOPT, DRACO, "KHR_mesh_quantization"}
"""Extensions of geometry that are read here or by trimesh."""
NO_MATTER = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "KHR_lights_", "EXT_lights_", "KHR_xmp")
NO_MATTER_EITHER = ("KHR_animation_pointer", "KHR_node_visibility", "KHR_audio_emitter", "MSFT_packing_", "ADOBE_")
"""Beginnings of extensions that change no geometry."""
KEPT = ("asset", "scene", "scenes", "nodes", "meshes", "accessors")
"""What of a file describes its geometry."""
TRIANGLE_FAN = 6
NOTHING = {"componentType": 5126, "count": 0, "type": "SCALAR"}
"""An accessor of nothing, in the place of one that no mesh uses."""
MAX_DECODED = 2**30
"""Bytes that one compressed view may unpack to."""


MOST_NODES = 20_000
"""Of a scene: each takes time, and an object has few."""


def plain_glb(data: bytes, path: Path) -> bytes:
    """A GLB with the geometry of a .glb or .gltf file, without compression and with floats for positions.

    Args:
        data: the file's bytes.
        path: where it lies; its buffers must lie beside it or below.

    Raises:
        HopriorError: the file is broken, is glTF 1.0, or needs an extension that is not known or not installed.
    """
    name = path.name
    tree, chunk = _tree(data, name)
    _check_version(tree, name)
    _check_extensions(tree, name)
    if len(tree.get("nodes") or ()) > MOST_NODES:
        raise unsupported(name, f"is a scene of {len(tree['nodes']):,} nodes", "export the object alone")
    try:
        views = _Views(tree, _buffers(tree, chunk, path), name)
        return _packed(_geometry(tree, views, name), views)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise broken(name, f"names something that is not in it ({type(error).__name__}: {str(error)[:60]})") from error


def _tree(data: bytes, name: str) -> tuple[Tree, bytes]:
    """The description, and the bytes that follow it in a GLB."""
    text, chunk = data, b""
    if data[:4] == b"glTF":
        if len(data) < 20:
            raise broken(name, "is cut short after its first bytes")
        version, length, size = struct.unpack("<III", data[4:16])
        if version == 1:
            raise _is_version_1(name)
        if version != 2:
            raise unsupported(name, f"is glTF {version}")
        if length > len(data) or 20 + size > len(data):
            raise broken(name, f"is cut short: {len(data):,} of {max(length, 20 + size):,} bytes")
        text, rest = data[20 : 20 + size], data[20 + size :]
        while len(rest) >= 8:
            size, kind = struct.unpack("<II", rest[:8])
            if kind == 0x004E4942:
                chunk = rest[8 : 8 + size]
                break
            rest = rest[8 + size :]
    try:
        tree = json.loads(text.decode("utf-8-sig").rstrip("\x00 "))
    except ValueError as error:  # of JSON and of UTF-8
        raise broken(name, f"its description cannot be read ({str(error)[:80]})") from error
    except RecursionError as error:
        raise broken(name, "its description is nested too deeply") from error
    if not isinstance(tree, dict):
        raise broken(name, "holds no description of a scene")
    return tree, chunk


def _is_version_1(name: str) -> Exception:
    return unsupported(
        name, "is glTF 1.0", "convert it to glTF 2.0 (open it in Blender 2.79 or Assimp and export it, or as .obj)"
    )


def _check_version(tree: Tree, name: str) -> None:
    asset = tree.get("asset")
    version = str(asset.get("version", "2.0")) if isinstance(asset, dict) else "2.0"
    if version.startswith("1") or isinstance(tree.get("meshes"), dict):
        raise _is_version_1(name)
    if not version.startswith("2"):
        raise unsupported(name, f"is glTF {version[:10]}")


def _check_extensions(tree: Tree, name: str) -> None:
    required = {str(extension) for extension in tree.get("extensionsRequired") or []}
    strange = sorted(e for e in required - READ if not e.startswith((*NO_MATTER, *NO_MATTER_EITHER)))
    if strange:
        raise unsupported(
            name, f"needs the extension {strange[0]}", "export it without, or as .ply, from the program that made it"
        )
    used = required | {str(extension) for extension in tree.get("extensionsUsed") or []}
    if DRACO in required:
        need(name, "DracoPy", "DracoPy", f"glTF compressed with Draco ({DRACO})")
    if used & set(MESHOPT):
        need(name, "meshoptimizer", "meshoptimizer", f"glTF compressed with meshopt ({MESHOPT[0]})", "meshopt")


def _buffers(tree: Tree, chunk: bytes, path: Path) -> list[bytes]:
    found = []
    for k, buffer in enumerate(tree.get("buffers") or []):
        uri = buffer.get("uri")
        if uri is None:
            # A buffer that stands for what meshopt unpacks has no bytes of its own.
            found.append(chunk if k == 0 else b"")
        elif uri.startswith("data:"):
            head, _, text = uri.partition(",")
            try:
                found.append(base64.b64decode(text, validate=False) if ";base64" in head else unquote_to_bytes(text))
            except binascii.Error as error:
                raise broken(path.name, f"its buffer {k} is no base64 ({error})") from error
        else:
            found.append(_file(uri, path))
    return found


def _file(uri: str, path: Path) -> bytes:
    """A buffer's file: names are percent-encoded by the specification, and as they are by many programs."""
    folder = path.parent.resolve()
    for name in dict.fromkeys((unquote(uri), uri)):
        beside = (folder / name).resolve()
        if not beside.is_relative_to(folder):
            raise broken(path.name, f"names a buffer outside its folder ('{uri[:80]}')")
        if beside.is_file():
            return beside.read_bytes()
    raise unsupported(
        path.name,
        f"its geometry is in '{unquote(uri)[:80]}', a file that is not there",
        "put that file beside it, or export it as one .glb",
    )


class _Views:
    """The file's buffer views, unpacked, and the new ones that replace them."""

    def __init__(self, tree: Tree, buffers: list[bytes], name: str) -> None:
        self.views, self.buffers, self.name = tree.get("bufferViews") or [], buffers, name
        self.new: list[tuple[Tree, bytes]] = []
        self.known: dict[int, int] = {}

    def content(self, index: int) -> tuple[bytes, int | None]:
        """The bytes of a view, and its stride where it says one."""
        view = self.views[index]
        for extension in MESHOPT:
            packed = (view.get("extensions") or {}).get(extension)
            if packed is not None:
                return self._unpacked(packed), packed["byteStride"]
        return self._slice(view), view.get("byteStride")

    def _slice(self, view: Tree) -> bytes:
        start, size = view.get("byteOffset", 0), view["byteLength"]
        content = self.buffers[view["buffer"]][start : start + size]
        if len(content) < size:
            raise broken(self.name, f"is cut short: a buffer has {len(content):,} of {size:,} bytes of a mesh")
        return content

    def _unpacked(self, packed: Tree) -> bytes:
        import meshoptimizer

        data = np.frombuffer(self._slice(packed), np.uint8)
        count, stride, mode = int(packed["count"]), int(packed["byteStride"]), packed["mode"]
        if count * stride > MAX_DECODED:
            raise broken(self.name, f"has a view that unpacks to {count * stride:,} bytes")
        try:
            if mode == "ATTRIBUTES":
                content = meshoptimizer.decode_vertex_buffer(count, stride, data, dtype=np.dtype((np.void, stride)))
            else:
                decode = (
                    meshoptimizer.decode_index_buffer if mode == "TRIANGLES" else meshoptimizer.decode_index_sequence
                )
                # The decoder writes 32 bits for any size that it is told but 2, and numpy narrows them here.
                content = decode(count, 4, data).astype("<u4" if stride == 4 else "<u2")
        except (ValueError, RuntimeError) as error:
            raise HopriorError(
                f"{self.name}: is compressed with {MESHOPT[0]}, and a part of it cannot be unpacked ({error}): "
                "export it without that compression (gltfpack without -c); if that fails, too, the file is broken"
            ) from error
        kind = packed.get("filter", "NONE")
        if kind == "EXPONENTIAL":
            whole = np.frombuffer(content.tobytes(), "<i4")
            mantissa = (whole << 8 >> 8).astype(np.float64)
            content = (mantissa * np.exp2((whole >> 24).astype(np.float64))).astype("<f4")
        elif kind != "NONE":
            raise broken(self.name, f"has positions packed with the filter {kind}, which is for directions")
        return content.tobytes()

    def add(self, content: bytes, **view: Any) -> int:
        """The index of a new view."""
        self.new.append(({**view, "byteLength": len(content)}, content))
        return len(self.new) - 1

    def kept(self, index: int) -> int:
        """The new index of a view that stays as it is, but for its compression."""
        if index not in self.known:
            content, stride = self.content(index)
            self.known[index] = self.add(content, **({} if stride is None or stride < 4 else {"byteStride": stride}))
        return self.known[index]


def _geometry(tree: Tree, views: _Views, name: str) -> Tree:
    """The tree with nothing but geometry, whose accessors point to the new views."""
    kept = {key: tree[key] for key in KEPT if key in tree}
    kept["accessors"] = accessors = [_bare(accessor) for accessor in tree.get("accessors") or []]
    kept["nodes"] = [
        {k: v for k, v in node.items() if k not in ("extensions", "skin", "camera", "weights")}
        for node in tree.get("nodes") or []
    ]
    kept["meshes"], draco = [], False
    used: dict[int, bool] = {}
    unpacked: set[int] = set()
    for mesh in tree.get("meshes") or []:
        primitives = []
        for primitive in mesh.get("primitives") or []:
            packed = (primitive.get("extensions") or {}).get(DRACO)
            position = primitive["attributes"].get("POSITION")
            if position is None:
                continue
            plain: Tree = {"attributes": {"POSITION": position}, "mode": primitive.get("mode", 4)}
            if "indices" in primitive:
                plain["indices"] = primitive["indices"]
            if packed is not None and "bufferView" not in tree["accessors"][position]:
                need(name, "DracoPy", "DracoPy", f"glTF compressed with Draco ({DRACO})")
                attributes = {"POSITION": packed["attributes"]["POSITION"]}
                # What the accessors count is unpacked from the view; no room is made for it beforehand.
                for k in (position, plain.get("indices", position)):
                    unpacked.add(k)
                plain["extensions"] = {
                    DRACO: {"bufferView": views.kept(packed["bufferView"]), "attributes": attributes}
                }
                draco = True
            else:
                used[position] = True
                if plain["mode"] == TRIANGLE_FAN:
                    plain = {"attributes": plain["attributes"], "mode": 4, "indices": len(accessors)}
                    accessors.append(_fan(tree, primitive, views, name))
                elif "indices" in plain:
                    used.setdefault(plain["indices"], False)
            primitives.append(plain)
        if primitives:
            kept["meshes"].append({"name": mesh.get("name", ""), "primitives": primitives})
        else:
            kept["meshes"].append(None)
    _drop_empty(kept)
    for index, is_position in used.items():
        source = tree["accessors"][index]
        if is_position:
            floats = _floats(source, views, name)
            accessors[index] = {
                "bufferView": views.add(floats.astype("<f4").tobytes()),
                "componentType": 5126,
                "count": len(floats),
                "type": "VEC3",
            }
        elif "bufferView" in source:
            accessors[index]["bufferView"] = views.kept(source["bufferView"])
    for index in range(len(tree.get("accessors") or [])):
        if index not in used:
            accessors[index] = {**accessors[index], "count": 0} if index in unpacked else dict(NOTHING)
    if draco:
        kept["extensionsUsed"] = kept["extensionsRequired"] = [DRACO]
    return kept


def _fan(tree: Tree, primitive: Tree, views: _Views, name: str) -> Tree:
    """The accessor of a fan's triangles, which trimesh does not read as a fan."""
    position = tree["accessors"][primitive["attributes"]["POSITION"]]
    corners = np.arange(position["count"])
    if "indices" in primitive:
        source = tree["accessors"][primitive["indices"]]
        content, _ = views.content(source["bufferView"])
        dtype = np.dtype(COMPONENTS[source["componentType"]])
        corners = np.frombuffer(content, dtype, source["count"], source.get("byteOffset", 0)).astype(np.int64)
    faces = np.stack([np.full(max(0, len(corners) - 2), corners[0]), corners[1:-1], corners[2:]], axis=1)
    view = views.add(faces.astype("<u4").tobytes())
    return {"bufferView": view, "componentType": 5125, "count": faces.size, "type": "SCALAR"}


def _bare(accessor: Tree) -> Tree:
    return {key: accessor[key] for key in ("componentType", "count", "type", "byteOffset") if key in accessor}


def _drop_empty(kept: Tree) -> None:
    """Leaves out meshes without triangles or points, which trimesh's reader does not expect."""
    new: dict[int, int] = {}
    for old, mesh in enumerate(kept["meshes"]):
        if mesh is not None:
            new[old] = len(new)
    kept["meshes"] = [mesh for mesh in kept["meshes"] if mesh is not None]
    for node in kept["nodes"]:
        if "mesh" in node:
            target = new.get(node.pop("mesh"))
            if target is not None:
                node["mesh"] = target


def _floats(accessor: Tree, views: _Views, name: str) -> np.ndarray:
    """Positions (n, 3): integers that stand for shares are divided by their largest."""
    dtype, width, count = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]], accessor["count"]
    if width != 3:
        raise broken(name, "has positions that are not of three coordinates")
    if "bufferView" in accessor:
        content, stride = views.content(accessor["bufferView"])
        start, step = accessor.get("byteOffset", 0), stride or dtype.itemsize * width
        if count < 0 or (count and start + step * (count - 1) + dtype.itemsize * width > len(content)):
            raise broken(name, f"is cut short: {len(content):,} bytes for {count:,} vertices")
        values = np.ndarray((count, 3), dtype, content, start, (step, dtype.itemsize)).astype(np.float64)
    elif 0 <= count * 24 <= MAX_DECODED:
        values = np.zeros((count, 3))
    else:
        raise broken(name, f"counts {count} vertices")
    sparse = accessor.get("sparse")
    if sparse is not None:
        rows = _sparse(sparse, "indices", sparse["indices"]["componentType"], 1, views)[:, 0].astype(int)
        values[rows] = _sparse(sparse, "values", accessor["componentType"], 3, views)
    if accessor.get("normalized") and dtype.kind in "iu":
        values = np.maximum(values / np.iinfo(dtype).max, -1.0)
    return values


def _sparse(sparse: Tree, key: str, component: int, width: int, views: _Views) -> np.ndarray:
    content, _ = views.content(sparse[key]["bufferView"])
    dtype = np.dtype(COMPONENTS[component])
    start, count = sparse[key].get("byteOffset", 0), sparse["count"]
    return np.ndarray((count, width), dtype, content, start).astype(np.float64)


def _packed(tree: Tree, views: _Views) -> bytes:
    """One GLB of a tree and the new views."""
    chunk, described = bytearray(), []
    for view, content in views.new:
        described.append({**view, "buffer": 0, "byteOffset": len(chunk)})
        chunk += content + bytes(-len(content) % 4)
    tree = {**tree, "bufferViews": described, "buffers": [{"byteLength": len(chunk)}]}
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(chunk)
    head = struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
    return b"".join([head, text, struct.pack("<II", len(chunk), 0x004E4942), bytes(chunk)])
