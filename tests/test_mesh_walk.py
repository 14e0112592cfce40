"""How far an object's mesh walks through the package when it is grasped: who follows it meets few rooms."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import trimesh

import hoprior
from hoprior.cli.entry import main
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState

ROOT = Path(hoprior.__file__).resolve().parents[1]
OPTIONS = ("pool=16", "denoised_alone=16", "local_search.iterations=1", "guiding.steps=2", "refining.steps=1")


def has_mesh(value: Any) -> bool:
    """Whether a value is a mesh, is made of one to judge by, or is a record with such a field."""
    seen = (trimesh.Trimesh, SdfGrid, HandObjectState)
    # The type is asked, not the value: some answer anything only when they are whole.
    if issubclass(type(value), seen) or not is_dataclass(type(value)):
        return issubclass(type(value), seen)
    return any(isinstance(getattr(value, field.name, None), seen) for field in fields(value))


@contextmanager
def rooms_entered(modules: set[str]) -> Iterator[None]:
    """Collects the modules, by their paths in the repository, of which a function is given the mesh."""

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)) or "site-packages" in code.co_filename:
            return
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(has_mesh(frame.f_locals.get(name)) for name in given):
            path = Path(code.co_filename).relative_to(ROOT)
            modules.add(str(path.relative_to("hoprior") if path.parts[0] == "hoprior" else path))

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_a_mesh_that_is_grasped_enters_at_most_ten_rooms(tmp_path: Path) -> None:
    can = tmp_path / "can.obj"
    trimesh.creation.cylinder(0.03, 0.1, sections=16).export(can)
    settings = [f"--config.{option}" for option in OPTIONS]
    modules: set[str] = set()
    with rooms_entered(modules):
        main(["run", "grasp", "--mesh", str(can), "--num", "1", "--out", str(tmp_path / "out"), *settings])
    rooms = {module.split("/")[0] for module in modules}
    assert {"geometry", "tasks", "results"} <= rooms, "it is read, grasped and written"
    # And the command itself, which has only its path.
    assert len(rooms | {"cli"}) <= 10, sorted(modules)
