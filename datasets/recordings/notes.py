"""What was skipped, damaged and kept while recordings were prepared: a file an object, read back together."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hoprior.common.reading import interpreting, read_json

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


def _notes(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """What stands in the files that are there, each of its kind.

    Raises:
        HopriorError: one is damaged.
    """
    for path in paths:
        if path.is_file():
            content = read_json(path, "remove it")
            with interpreting(path, "remove it"):
                yield {
                    **{name: int(content[name]) for name in ("kept", "described", "damaged")},
                    "skipped": {str(reason): int(count) for reason, count in content["skipped"].items()},
                    "damaged_first": list(content["damaged_first"]),
                    "labels": {key: dict(label) for key, label in content["labels"].items()},
                }
