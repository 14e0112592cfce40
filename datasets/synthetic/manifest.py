"""The manifest of a synthetic set: what is in it, what each kind of grasp yielded, licence, versions, hash."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hoprior.common.io import strict_json, write_atomically
from hoprior.common.reading import expect, interpreting, read_json, within
from hoprior.datasets.synthetic.make import STAGES
from hoprior.datasets.synthetic.objects import LICENCE
from hoprior.errors import HopriorError
from hoprior.language.taxonomy import BY_NUMBER

MANIFEST_NAME = "manifest.json"
FORMAT = 1
PACKAGES = ("hoprior", "torch", "numpy", "manifold3d", "libigl", "mujoco", "coacd")


@dataclass(frozen=True)
class Entry:
    """One object: its shard, or why there is none. `counts` are the stages (`make.STAGES`) of each kind of grasp."""

    number: int
    object: str
    category: str
    file: str = ""
    digest: str = ""
    grasps: int = 0
    counts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    intentions: tuple[str, ...] = ()
    skipped: str = ""


def write_manifest(folder: Path, settings: dict[str, Any], entries: Sequence[Entry]) -> Path:
    """Writes the manifest of a finished set; its `hash` depends on the settings and the content alone.

    Raises:
        HopriorError: the disk is full, or the folder not writable.
    """
    listed = [
        {k: v for k, v in asdict(entry).items() if k in ("object", "category", "file", "digest", "grasps")}
        for entry in entries
        if not entry.skipped
    ]
    content = {
        "format": FORMAT,
        "licence": LICENCE,
        "settings": settings,
        "grasps": sum(entry.grasps for entry in entries),
        "objects": len(listed),
        "taxonomy": _by_type(entries),
        "categories": _by_category(entries),
        "parts": dict(Counter(part for entry in entries for part in entry.parts).most_common()),
        "intentions": dict(Counter(i for entry in entries for i in entry.intentions).most_common()),
        "skipped": [{"object": e.object, "reason": e.skipped} for e in entries if e.skipped],
        "empty": [e.object for e in entries if not e.skipped and not e.grasps],
        "shards": listed,
    }
    text = json.dumps(content, sort_keys=True)
    content |= {"hash": hashlib.sha256(text.encode()).hexdigest(), "versions": versions()}
    path = folder / MANIFEST_NAME
    write_atomically(path, lambda temporary: temporary.write_text(strict_json(content), encoding="utf-8"))
    return path


def _by_type(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Of each kind of grasp in the table, its name and how many came through each stage; zeros for untried ones."""
    table = {}
    for number, kind in BY_NUMBER.items():
        rows = [entry.counts[number] for entry in entries if number in entry.counts]
        totals = [sum(row[k] for row in rows) for k in range(len(STAGES))]
        table[str(number)] = {"name": kind.name, **dict(zip(STAGES, totals, strict=True))}
    return table


def _by_category(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for entry in entries:
        row = table.setdefault(entry.category, {"objects": 0, "skipped": 0, "tried": 0, "held": 0})
        row["skipped" if entry.skipped else "objects"] += 1
        row["tried"] += sum(stages[0] for stages in entry.counts.values())
        row["held"] += entry.grasps
    return dict(sorted(table.items()))


def versions() -> dict[str, str]:
    """The versions of what made a set."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a set.

    Raises:
        HopriorError: there is none, the set is not finished, or it is damaged.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise HopriorError(
            f"{path}: not there; `hoprior data synthesize --out {folder}` makes a set and writes it at the end"
        )
    advice = "run `hoprior data synthesize` again, shards are kept"
    manifest = read_json(path, advice)
    with interpreting(path, advice):
        if manifest["format"] != FORMAT:
            raise HopriorError(f"{path}: manifest format {manifest['format']}, this version reads {FORMAT}")
        for entry in manifest["shards"]:
            if entry["file"] != "":  # of an object that was left out
                within(Path(folder), entry["file"], path)
            expect(entry, {"object": str, "grasps": int})
        expect(manifest, {"hash": str})
        return dict(manifest)
