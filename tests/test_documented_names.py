"""Every name of `hoprior.__all__` and of the API pages: a docstring, an example, its arguments, fields and members."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any, get_origin

import pytest

import hoprior

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
MADE_BY = {
    "SDSOutput": "sds_loss",
    "RobotGrasp": "retarget",
    "RobotGrasps": "retarget",
    "RobotWay": "retarget",
    "RefinedHand": "refine",
    "HandMotion": "refine_video",
    "Reconstruction": "reconstruct",
}
"""What only a function gives, whose example shows it."""


def _named() -> dict[str, Any]:
    found = {f"hoprior.{name}": getattr(hoprior, name) for name in hoprior.__all__}
    for page in PAGES:
        for path in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, name = path.rpartition(".")
            found[path] = getattr(importlib.import_module(module), name)
    return {path: thing for path, thing in found.items() if callable(thing) and get_origin(thing) is None}


NAMED = _named()
everything = pytest.mark.parametrize("path", NAMED)


def _says(doc: str, name: str) -> bool:
    """As the first word of an entry, alone or among others: `name:` or `other, name:`."""
    return re.search(rf"^\s*(?:\*{{0,2}}\w+, )*\*{{0,2}}{name}(?:, \*{{0,2}}\w+)*:", doc, re.MULTILINE) is not None


def _fields_with_a_string_after(thing: type) -> set[str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        one.target.id
        for one, after in zip(body.body, body.body[1:], strict=False)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def test_there_are_many() -> None:
    assert len(NAMED) > 50


@everything
def test_it_has_an_example(path: str) -> None:
    thing = NAMED[path]
    doc = inspect.getdoc(thing) or ""
    assert doc
    protocol = getattr(thing, "_is_protocol", False)  # these have theirs in docs/extending.md
    error = inspect.isclass(thing) and issubclass(thing, Exception)
    if not protocol and not error:
        assert ">>>" in doc or path.rpartition(".")[2] in MADE_BY


@everything
def test_what_it_takes_is_said(path: str) -> None:
    """Of a function of one or two arguments the first sentence may say it."""
    thing = NAMED[path]
    if inspect.isfunction(thing):
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        names = [name for name, one in inspect.signature(thing).parameters.items() if one.kind not in variadic]
        doc = inspect.getdoc(thing) or ""
        assert len(names) < 3 or not [name for name in names if not _says(doc, name)]


@everything
def test_fields_and_members_are_said(path: str) -> None:
    thing = NAMED[path]
    if not inspect.isclass(thing):
        return
    doc = inspect.getdoc(thing) or ""
    fields = [name for name in inspect.get_annotations(thing) if not name.startswith("_")]
    explained = _fields_with_a_string_after(thing)
    assert not [name for name in fields if name not in explained and not _says(doc, name) and f"`{name}`" not in doc]
    for name, member in vars(thing).items():
        bare = member.__func__ if isinstance(member, (staticmethod, classmethod)) else getattr(member, "fget", member)
        if not name.startswith("_") and inspect.isfunction(bare):
            assert bare.__doc__, name
