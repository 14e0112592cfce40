"""The house: which room may import which, no circles between modules, and nothing too large.

Imports for type checkers and inside functions count like any other: a circle that is hidden is a circle.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = [
    "cli",
    "evaluation",
    "tasks",
    "datasets",
    "models",
    "results",
    "language",
    "vision",
    "metrics",
    "rendering",
    "kernels",
    "physics",
    "priors",
    "hand",
    "geometry",
    "common",
]
"""A room imports only from itself and from the rooms after it; all may import `hoprior.errors` and `hoprior.moved`."""
FREE = {"hoprior.errors", "hoprior.moved"}
ENTRANCES = {"hoprior", "hoprior.__main__", "hoprior.guidance"}
"""Modules at the top that lead to what is inside; no room imports them."""
MOST_LINES, MOST_AT_THE_TOP = 400, 8


def _modules() -> dict[str, Path]:
    found = {}
    for folder in ("hoprior", "models", "tasks", "datasets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if folder == "hoprior" and len(parts) > 1 and (ROOT / "hoprior" / parts[1]).is_symlink():
                continue  # the link to a folder that is read by itself
            name = ".".join(parts if folder == "hoprior" else ("hoprior", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _imports(name: str) -> set[str]:
    """The modules of ours that a module imports, at its top or anywhere else."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inside or {node.module}
    return found - {name}


IMPORTS = {name: _imports(name) for name in MODULES}


def _room(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


def test_every_module_is_in_a_room() -> None:
    outside = {name for name in MODULES if _room(name) not in ROOMS} - FREE - ENTRANCES
    assert not outside


def test_rooms_import_only_the_rooms_below() -> None:
    wrong = [
        f"{name} -> {other}"
        for name in MODULES.keys() - ENTRANCES
        for other in IMPORTS[name] - FREE
        if name in FREE or other in ENTRANCES or ROOMS.index(_room(other)) < ROOMS.index(_room(name))
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_there_are_no_circles() -> None:
    waiting = defaultdict(set, {name: set(others) for name, others in IMPORTS.items()})
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        for name in free:
            del waiting[name]
    # What is left imports in a circle, or is only reached by one; the latter is taken away from the other end.
    while ends := {name for name in waiting if not any(name in others for others in waiting.values())}:
        for name in ends:
            del waiting[name]
    circle = {name: sorted(others & waiting.keys()) for name, others in waiting.items()}
    assert not circle, "\n".join(f"{name} -> {others}" for name, others in sorted(circle.items()))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_too_long(name: str) -> None:
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{MODULES[name]}: {lines} lines: split it by meaning"


def test_few_modules_are_at_the_top() -> None:
    assert len([name for name in MODULES if MODULES[name].parent == ROOT / "hoprior"]) <= MOST_AT_THE_TOP


def test_the_rooms_are_described_in_order() -> None:
    assert re.findall(r"^\| `(?:hoprior/)?(\w+)/` \|", _architecture(), flags=re.MULTILINE) == ROOMS


def test_modules_that_are_described_exist() -> None:
    named = set(re.findall(r"[\w/]+\.py\b", _architecture()))
    paths = [path.as_posix() for path in (*MODULES.values(), *(ROOT / "tests").rglob("*.py"))]
    assert not [name for name in named if not any(path.endswith(f"/{name}") for path in paths)]


def test_tests_lie_in_the_rooms() -> None:
    """What concerns the whole house lies at the top; what any reader of files must stand, in folders of its own."""
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders <= {".", "fuzz", "untrusted", *ROOMS}


def test_no_test_imports_another() -> None:
    """What several need is in a module beside them that is no test."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    lines = [(path, line.split()) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    assert not [path for path, words in lines if words[:1] in (["from"], ["import"]) and words[1].startswith("test_")]


def _architecture() -> str:
    return (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
