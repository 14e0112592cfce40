"""Prepared data on disk: one file an object, with its signed distances and its grasps.

A shard is a safetensors file (no code runs when it is read). It is written beside its place and renamed, so a killed
run leaves no half shard that looks whole, and it carries a digest of its tensors, so a damaged one is noticed.
"""

import glob
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hoprior.common.io import write_atomically
from hoprior.common.reading import expect, interpreting, read_json, within
from hoprior.common.run_key import RunKey, files_of_keys, reason
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.tensor_file import (
    digest_of,
    grasp_columns,
    grasp_header,
    grasps_from,
    read_tensor_file,
)
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid

logger = logging.getLogger(__name__)

FORMAT = 1
INDEX_NAME = "index.json"
MADE_OF = "made_of"
"""Where a shard's header has its `RunKey`."""


@dataclass(frozen=True)
class Shard:
    """An object's distances (fp16 values) and grasps. `key` names all that it was made of, `made_of` part by part."""

    key: str
    sdf: SdfGrid
    grasps: GraspSet
    made_of: RunKey = field(default_factory=lambda: RunKey({}))


def shard_name(object_key: str, key: str) -> str:
    """File name of an object's shard.

    Example:
        >>> shard_name("myodm.mug", "0123456789abcdef")
        'myodm.mug-0123456789ab.safetensors'
    """
    return f"{object_key}-{key[:12]}.safetensors"


def write_shard(folder: Path, shard: Shard) -> Path:
    """Writes a shard into `folder` and returns its path.

    Raises:
        HopriorError: the folder cannot be written, or the disk is full.
    """
    grasps = shard.grasps
    tensors = {
        "sdf": shard.sdf.values.half(),
        "lower": shard.sdf.lower,
        "upper": shard.sdf.upper,
        **grasp_columns(grasps),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"object": asdict(grasps.object), **grasp_header(grasps)}
    metadata = {
        "format": str(FORMAT),
        "key": shard.key,
        MADE_OF: shard.made_of.text(),
        "digest": digest_of(tensors),
        "header": json.dumps(header),
    }
    path = folder / shard_name(grasps.object.key, shard.key)
    content = save(tensors, metadata=metadata)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path


def read_shard(path: Path) -> Shard:
    """Reads a shard and checks it against its digest.

    Raises:
        HopriorError: the file is missing, cut short, damaged, or of another format.
    """
    advice = "delete it and run `hoprior data prepare` again"
    tensors, header, metadata = read_tensor_file(path, FORMAT, "cache file", advice)
    with interpreting(path, advice):
        sdf = SdfGrid(tensors.pop("sdf"), tensors.pop("lower"), tensors.pop("upper"))
        grasps = grasps_from(ObjectInfo.of(header["object"]), tensors, header)
        return Shard(metadata["key"], sdf, grasps, RunKey.read(metadata.get(MADE_OF)) or RunKey({}))


def why_anew(folder: Path, object_key: str, made_of: RunKey) -> str:
    """What differs from an earlier shard of an object that is in `folder`; nothing if there is none."""
    return reason(made_of, files_of_keys(folder, glob.escape(object_key), ".safetensors"), made_of_file)


def made_of_file(path: Path) -> str | None:
    """What a shard says it was made of; None if it says nothing, or cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(MADE_OF)
    except (OSError, SafetensorError):
        return None


def is_whole(path: Path) -> bool:
    """Whether a shard is there and undamaged; a damaged one is named and removed, to be made again."""
    if not path.is_file():
        return False
    try:
        read_shard(path)
    except HopriorError as error:
        logger.warning("%s: made again", error)
        path.unlink()
        return False
    return True


def write_index(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Writes the list of a cache's shards."""
    text = json.dumps({"format": FORMAT, "shards": entries}, indent=1)
    write_atomically(folder / INDEX_NAME, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_index(folder: Path) -> list[dict[str, Any]]:
    """The shards of a cache: file, object key, source, category and counts of each.

    Raises:
        HopriorError: there is no cache, or its preparation has not finished.
    """
    path = Path(folder) / INDEX_NAME
    if not path.is_file():
        raise HopriorError(f"{path}: not there; make the cache with `hoprior data prepare --out {folder}`")
    advice = "run `hoprior data prepare` again, shards are kept"
    index = read_json(path, advice)
    with interpreting(path, advice):
        if index["format"] != FORMAT:
            raise HopriorError(f"{path}: cache format {index['format']}, this version reads {FORMAT}; prepare it again")
        for entry in index["shards"]:
            within(Path(folder), entry["file"], path)
            expect(entry, {"object": str})
        return list(index["shards"])
