"""The tables of docs/outputs.md, and what does not hold of them in files that were written."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parent.parent / "docs" / "outputs.md"
EVERYWHERE = "All indices"
SECTIONS = {
    "grasps": "`grasps.json`",
    "samples": "`samples.json` and `poses.json`",
    "poses": "`samples.json` and `poses.json`",
    "objects": "`objects.json`",
    "hands": "`hands.json`",
    "video": "`hands.json` of a video",
    "reconstruction": "`reconstruction.json`",
    "metrics": "`metrics.json` of `hoprior eval grasp`",
    "manifest": "`manifest.json` of many",
    "robot_grasps": "`robot_grasps.json` of `hoprior retarget`",
    "simulators": "`simulators.json` of `hoprior export --to`",
}
"""Kind of file -> its heading."""
KINDS = {"text": str, "number": (int, float), "list": list, "true or false": bool, "null": type(None), "any": object}


@dataclass(frozen=True)
class Row:
    """One key of a table."""

    key: str
    kinds: tuple[str, ...]
    """What it may be: names of `KINDS`, or a shape."""
    sometimes: bool

    def covers(self, path: str) -> bool:
        """Whether a key of a file is this row's."""
        return re.fullmatch(re.escape(self.key).replace(r"\*", ".+"), path) is not None

    def allows(self, value: Any) -> bool:
        """Whether a value is what the row says."""
        return any(_is(kind, value) for kind in self.kinds)


def _is(kind: str, value: Any) -> bool:
    if kind.startswith("("):
        wanted = [axis.strip() for axis in kind[1:-1].split(",") if axis.strip()]
        shape = np.shape(np.asarray(value, dtype=object)) if isinstance(value, list) else np.shape(value)
        return len(wanted) == len(shape) and all(
            not axis.isdecimal() or int(axis) == n for axis, n in zip(wanted, shape, strict=True)
        )
    if isinstance(value, bool):
        return kind in ("true or false", "any")
    return isinstance(value, KINDS[kind])  # type: ignore[arg-type]


@cache
def tables(heading: str) -> dict[str, list[Row]]:
    """The rows of each table below a heading, by the table's first word: `key` or `array`."""
    text = PAGE.read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    found: dict[str, list[Row]] = {}
    current = ""
    for line in section[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or set(cells[0]) <= {"-"}:
            continue
        keys = re.findall(r"`([^`]+)`", cells[0])
        if cells[0].split()[0] in ("key", "array"):
            current = cells[0].split()[0]
            continue
        said, condition, _ = cells[1].partition(", if ")
        shapes = re.split(r", (?![^(]*\))", said)
        assert len(shapes) == len(keys), line
        for key, shape in zip(keys, shapes, strict=True):
            flag = "true or false"
            kinds = (
                (flag, *shape[len(flag) :].split(" or ")[1:]) if shape.startswith(flag) else tuple(shape.split(" or "))
            )
            found.setdefault(current, []).append(Row(key, kinds, bool(condition)))
    return found


def _leaves(value: Any, path: str, rows: list[Row]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and not any(row.covers(path) for row in rows):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name, rows)
    elif value == [] and any(row.key.startswith(f"{path}[]") for row in rows):
        return  # it might have some
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from _leaves(inner, f"{path}[]", rows)
    else:
        yield path, value


def kind_of(index: Path) -> str:
    """Which section is about a file."""
    kind = index.stem
    return "video" if kind == "hands" and "video" in json.loads(index.read_text()) else kind


def faults_of(index: Path, whole: bool = True) -> list[str]:
    """What of a file is not as the page says; with `whole`, also what of the page is not in the file."""
    kind = kind_of(index)
    own = tables(SECTIONS[kind])["key"]
    rows = [*own, *tables(EVERYWHERE)["key"]]
    if kind in ("samples", "poses"):
        own = [row for row in own if not row.key.startswith({"samples": "poses", "poses": "samples"}[kind])]
    if kind == "video":
        rows += [Row("hands", ("list",), False), Row("skipped", ("any",), False)]
    met, faults = set[Row](), []
    for path, value in _leaves(json.loads(index.read_text()), "", rows):
        row = next((row for row in rows if row.covers(path)), None)
        if row is None:
            faults += [f"{path} is on no table"]
        elif not row.allows(value):
            faults += [f"{path} is {str(value)[:40]}, not {' or '.join(row.kinds)}"]
        else:
            met.add(row)
    if whole:
        faults += [
            f"{row.key} is in no file" for row in own if row not in met and not row.sometimes and "*" not in row.key
        ]
    return faults


def array_faults(arrays: Path, kind: str) -> list[str]:
    """The same of arrays: each is named, and has the shape that is said."""
    rows = list(tables(SECTIONS[kind]).get("array", []))
    if kind == "video":
        rows += [Row(row.key.removeprefix("video."), row.kinds, False) for row in tables(SECTIONS[kind])["key"]]
        rows = [row for row in rows if row.key != "K"] + [
            Row("K", ("(n, 3, 3)",), False),
            Row("side", ("(n,)",), False),
        ]
    if kind == "reconstruction":
        poses = [row for row in tables(SECTIONS[kind])["key"] if row.key.startswith("poses.") or row.key == "frame"]
        rows = [Row(row.key.removeprefix("poses."), row.kinds, False) for row in poses]
    known = {row.key: row for row in rows}
    with np.load(arrays) as found:
        shapes = {name: found[name].shape for name in found.files}
    faults = [f"{name} is on no table" for name in shapes if name not in known]
    faults += [
        f"{name} has shape {shape}, not {known[name].kinds}"
        for name, shape in shapes.items()
        if name in known and not known[name].allows(np.zeros(shape))
    ]
    if kind != "video":
        faults += [f"{row.key} is in no file" for row in rows if not row.sometimes and row.key not in shapes]
    return faults
