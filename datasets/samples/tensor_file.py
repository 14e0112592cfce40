"""Named tensors in a safetensors file with a format, a digest and a JSON header; no code runs when it is read."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from hoprior.common.reading import expect, parse_json
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.errors import HopriorError
from hoprior.language.labels import label_from

Digest = Callable[[dict[str, Tensor], str], str]
"""Of tensors and of the header's text."""


class TensorFile(NamedTuple):
    """What is in a file."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]
    metadata: dict[str, str]


def digest_of(tensors: dict[str, Tensor], header: str = "") -> str:
    """A digest of named tensors, their shapes and types; not of the header.

    Example:
        >>> digest_of({"a": torch.zeros(2)}) == digest_of({"a": torch.zeros(2)})
        True
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def digest_with_header(tensors: dict[str, Tensor], header: str) -> str:
    """A digest of both."""
    return hashlib.sha256(f"{digest_of(tensors)} {header}".encode()).hexdigest()


def read_tensor_file(path: Path, format: int, what: str, advice: str, digest: Digest = digest_of) -> TensorFile:
    """Reads a file and checks it against its digest.

    Args:
        format: the number that this version writes.
        what: the file is, "cache file".
        advice: what to do about one that cannot be used.
        digest: by which it was written.

    Raises:
        HopriorError: the file is missing, cut short, damaged, or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:  # safetensors raises its own type, OSError or ValueError, by what is wrong
        raise HopriorError(f"{path}: not a readable {what} ({error}); {advice}") from error
    if metadata.get("format") != str(format):
        raise HopriorError(f"{path}: {what} of format {metadata.get('format')}, this version reads {format}; {advice}")
    if metadata.get("digest") != digest(tensors, metadata.get("header", "")):
        raise HopriorError(f"{path}: damaged, its content does not match its digest; {advice}")
    return TensorFile(tensors, parse_json(metadata.get("header", ""), path, advice), metadata)


def grasp_columns(grasps: GraspSet) -> dict[str, Tensor]:
    """The tensors of grasps, as files have them: their counts in 32 bits."""
    return {name: t.int() if t.dtype == torch.int64 else t for name, t in grasps.tensors().items()}


def grasp_header(grasps: GraspSet) -> dict[str, Any]:
    """What grasps are beside tensors."""
    return {
        "sentences": grasps.sentences,
        "sequences": grasps.sequences,
        "labels": [asdict(label) for label in grasps.labels],
        "subject": grasps.subject,
        "side": grasps.side,
        "hand": grasps.hand,
    }


def grasps_from(info: ObjectInfo, columns: dict[str, Tensor], header: dict[str, Any]) -> GraspSet:
    """The grasps of an object of which `grasp_columns` and `grasp_header` tell."""
    expect(header, {"sentences": [str], "sequences": [str], "subject": str, "side": str, "hand": str})
    return GraspSet(
        object=info,
        **{name: t.long() if t.dtype == torch.int32 else t for name, t in columns.items()},
        sentences=tuple(header["sentences"]),
        sequences=tuple(header["sequences"]),
        subject=header["subject"],
        side=header["side"],
        hand=header["hand"],
        # The first caches had no labels.
        labels=tuple(label_from(label) for label in header.get("labels", [{}])),
    )
