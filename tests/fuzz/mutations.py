"""Files that are nearly right: bytes, words, JSON nodes and arrays changed here and there."""

import copy
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = (0, 1, -1, 255, 256, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (
    *("0", "-1", "1e400", "-1e400", "nan", "inf", "1e-320", "99999999999999999999", "1_0", "0x10", "", "null", "true"),
    *("../../x", "/etc/passwd", "pipe:touch x", "http://127.0.0.1:9/x", "a" * 5000, "\u202e", "[" * 2000, "{" * 2000),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**70, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "left", "\ud800"),
    *([], {}, [[]], [None], [1, [2]], {"a": {}}, "../../x", "pipe:touch x", "x" * 3000, "\x1b[31m", [0] * 63),
)


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bytes other, more, fewer, or again."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not content:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
        at = rng.randrange(len(content))
        size = min(rng.choice((1, 1, 2, 4, 8, 64)), len(content) - at)
        kind = rng.randrange(7)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at : at + size] = bytes(rng.randrange(256) for _ in range(size))
        elif kind == 2:
            del content[at : at + size]
        elif kind == 3:
            content[at:at] = content[at : at + size] * rng.choice((1, 2, 50))
        elif kind == 4:
            packed = struct.pack(rng.choice("<>") + "q", rng.choice(NUMBERS))
            width = rng.choice((1, 2, 4, 8))
            content[at : at + width] = packed[:width]
        elif kind == 5:
            del content[at:]
        else:
            other = rng.randrange(len(content))
            content[at : at + size] = content[other : other + size]
    return bytes(content)


def of_words(rng: random.Random, data: bytes) -> bytes:
    """Some words or numbers of a text other, gone, or again; lines too."""
    text = data.decode("utf-8", "surrogateescape")
    pieces = re.split(r"(\s+|[,:;/{}\[\]()<>=\"'])", text) if rng.random() < 0.7 else text.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(pieces)) if pieces else 0
        kind = rng.randrange(5)
        if not pieces or kind == 0:
            pieces.insert(at, rng.choice(WORDS))
        elif kind in (1, 2):
            pieces[at] = rng.choice(WORDS)
        elif kind == 3:
            del pieces[at]
        else:
            pieces[at:at] = pieces[at : at + rng.choice((1, 3, 20))] * rng.choice((1, 2, 40))
    return "".join(pieces).encode("utf-8", "surrogateescape")


def of_json(rng: random.Random, data: bytes) -> bytes:
    """Some nodes of a JSON text other, gone, or elsewhere."""
    try:
        content = json.loads(data)
    except ValueError:
        return of_bytes(rng, data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = _node_changed(rng, content)
    return json.dumps(content).encode()


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))  # it may be changed in its turn


def _node_changed(rng: random.Random, content: Any) -> Any:
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting and len(places) < 2000:
        node = waiting.pop()
        if isinstance(node, dict | list):
            keys = list(node) if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            waiting += [node[key] for key in keys]
    if not places or rng.random() < 0.02:
        return _value(rng)
    node, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other, at = rng.choice(places)
        if at in other if isinstance(other, dict) else at < len(other):
            node[key] = json.loads(json.dumps(other[at]))
    elif kind == 2 and isinstance(node, dict):
        node[rng.choice(("", "format", "side", "x" * 300, "\ud800"))] = node.pop(key)
    elif kind == 3 and isinstance(node, list):
        node.insert(key, _value(rng))
    elif kind == 4 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        number = max(-1e300, min(1e300, node[key]))
        node[key] = rng.choice((-number, number * 1e9, float(number), str(number), number + 1))
    else:
        node[key] = _value(rng)
    return content


def of_arrays(rng: random.Random, data: bytes) -> bytes:
    """Some arrays of an .npz file of another shape, kind or content, under another name, or gone."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError:  # with Python objects in it
        return of_members(rng, data)
    for _ in range(rng.choice((1, 1, 2))):
        if not arrays:
            break
        name = rng.choice(sorted(arrays))
        arrays[name] = _array_changed(rng, arrays[name])
        if rng.random() < 0.15:
            array = arrays.pop(name)
            if rng.random() < 0.5:
                arrays[rng.choice(("x", "seg", "../../x", name + name))] = array
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return of_bytes(rng, buffer.getvalue()) if rng.random() < 0.2 else buffer.getvalue()


def _array_changed(rng: random.Random, array: np.ndarray) -> np.ndarray:
    kind = rng.randrange(12)
    if kind == 0:
        return np.asarray(rng.choice((0, 1.5, "left", b"x", True, np.nan)))
    if kind == 1:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else array[None]
    if kind == 2:
        return array.ravel()
    if kind == 3:
        return array[..., : array.shape[-1] // 2] if array.ndim else array
    if kind == 4:
        return np.stack([array] * rng.choice((1, 2)))
    if kind == 5:
        return np.moveaxis(array, 0, -1) if array.ndim else array
    if kind == 6 and array.dtype.kind in "fiub":
        return array.astype(rng.choice(("f2", "i1", "u8", "c8", "?", "U3", ">f8", "S2")))
    if kind == 7 and array.dtype.kind in "fi" and array.size:
        changed = array.astype(float).copy()
        changed.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -1e30, 0.0))
        return changed
    if kind == 8 and array.dtype.kind in "fi":
        return array * rng.choice((0, -1, 1e6, np.nan))
    if kind == 9:
        return np.zeros((0, *array.shape[1:]), dtype=array.dtype)
    if kind == 10:
        return np.array([None, {}], dtype=object)[: rng.choice((0, 2))].astype(object) if rng.random() < 0.1 else array
    return array[..., None]


def of_members(rng: random.Random, data: bytes) -> bytes:
    """A zip archive with members changed, gone, again, or under another name."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return of_bytes(rng, data)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(buffer, "w") as written:
        for member in read.infolist():
            content = read.read(member)
            kind = rng.randrange(8)
            if kind == 0:
                continue
            name = rng.choice(("../../x", "/x", "x", member.filename + "x")) if kind == 1 else member.filename
            written.writestr(name, of_bytes(rng, content) if kind in (2, 3) else content, zipfile.ZIP_DEFLATED)
    return of_bytes(rng, buffer.getvalue()) if rng.random() < 0.2 else buffer.getvalue()


def of_header(rng: random.Random, data: bytes) -> bytes:
    """A safetensors file with its header changed as JSON, and now and then its numbers."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    about = header.get("__metadata__", {})
    names = [name for name, text in about.items() if text[:1] in "{["]
    if names and rng.random() < 0.6:
        name = rng.choice(names)
        about[name] = of_json(rng, about[name].encode()).decode()
        changed = json.dumps(header).encode()
    else:
        changed = of_json(rng, json.dumps(header).encode())
    body = data[8 + size :]
    return len(changed).to_bytes(8, "little") + changed + (of_bytes(rng, body) if rng.random() < 0.2 else body)


def of_file(name: str) -> Mutation:
    """How a file of such a name is spoilt."""
    ending = name.rpartition(".")[2].lower()
    if ending in ("json", "jsonl"):
        return of_json
    if ending == "npz":
        return of_arrays
    return of_words if ending in ("txt", "csv", "yml", "yaml", "xml", "obj", "urdf") else of_bytes
