"""What was skipped, damaged and kept while recordings were prepared: a file an object, read back together."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hoprior.common.reading import read_json

SHOWN = 20
"""Damaged frames of an object that are named."""


def read_notes(paths: Iterable[Path]) -> dict[str, Any]:
    """What objects' notes say together, where there are some: kept, of them with an own sentence, skipped, damaged."""
    skipped, kept, described, damaged = Counter[str](), 0, 0, []
    count = 0
    for note in _notes(paths):
        kept += note["kept"]
        described += note["described"]
        skipped.update(note["skipped"])
        count += note["damaged"]
        damaged += note["damaged_first"]
    return {
        "kept": kept,
        "described": described,
        "skipped": dict(skipped),
        "damaged": count,
        "damaged_first": damaged[:SHOWN],
    }


def read_labels(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """What objects' notes know of the kept frames, by their keys, for `hoprior describe --labels`."""
    labels = {key: label for note in _notes(paths) for key, label in note["labels"].items()}
    return {key: labels[key] for key in sorted(labels)}


def _notes(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [read_json(path, "remove it") for path in paths if path.is_file()]
