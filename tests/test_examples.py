"""The examples in docstrings: they run and show what they say, there are enough of them, and every metric has one."""

import ast
import doctest
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
AT_LEAST = 200


def _modules() -> Iterator[tuple[str, Path]]:
    """Those of models, tasks and datasets under the names of the package that the folders are linked into."""
    for folder in ("hoprior", "models", "tasks", "datasets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if folder == "hoprior" and len(parts) > 1 and (ROOT / "hoprior" / parts[1]).is_symlink():
                continue  # the link to a folder that is read by itself
            yield ".".join(parts if folder == "hoprior" else ("hoprior", *parts)).removesuffix(".__init__"), path


def _things(body: list[ast.stmt], name: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Functions, classes and their methods, by their full names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{name}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _things(node.body, f"{name}.{node.name}")


WRITTEN = {
    module: {name for name, node in _things(tree.body, module) if ">>>" in (ast.get_docstring(node) or "")}
    for module, path in _modules()
    for tree in [ast.parse(path.read_text(encoding="utf-8"))]
}
"""What has an example in its docstring, by module: read from the source, so that collecting tests imports nothing."""


class Finder(doctest.DocTestFinder):
    """Finds the examples of decorated functions too, whose globals are those of the module that decorates."""

    def _from_module(self, module: ModuleType | None, object: Any) -> bool:
        thing = inspect.unwrap(object.fget if isinstance(object, property) else object)
        return module is not None and getattr(thing, "__module__", None) == module.__name__


@cache
def _examples(module: str) -> list[doctest.DocTest]:
    return [test for test in Finder().find(importlib.import_module(module), module) if test.examples]


def _runs(test: doctest.DocTest) -> bool:
    return any(not example.options.get(doctest.SKIP) for example in test.examples)


@pytest.mark.parametrize("module", [module for module, names in WRITTEN.items() if names])
def test_examples_show_what_they_say(module: str) -> None:
    runner, said = doctest.DocTestRunner(), list[str]()
    for test in _examples(module):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
    assert {test.name for test in _examples(module)} == WRITTEN[module], "examples that are written and not run"


def test_there_are_enough_examples() -> None:
    """Of functions and classes; examples that are skipped do not count."""
    running = [test.name for module, names in WRITTEN.items() if names for test in _examples(module) if _runs(test)]
    assert len(running) >= AT_LEAST


@pytest.mark.parametrize("module", [module for module in WRITTEN if module.startswith("hoprior.metrics.")])
def test_every_metric_has_an_example(module: str) -> None:
    functions = {
        f"{module}.{name}"
        for name, thing in vars(importlib.import_module(module)).items()
        if inspect.isfunction(thing) and thing.__module__ == module and not name.startswith("_")
    }
    assert functions <= {test.name for test in _examples(module) if _runs(test)}


def test_an_example_that_shows_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a wrapper of another module stands before the function, which plain doctest passes over."""
    from hoprior.metrics import pose

    wrapped = inspect.unwrap(pose.pa_mpjpe_mm)
    monkeypatch.setattr(pose.pa_mpjpe_mm, "__doc__", f"{wrapped.__doc__}\n    >>> 1 + 1\n    3\n")
    found = [test for test in Finder().find(pose, pose.__name__) if test.name.endswith("pa_mpjpe_mm")]
    assert [doctest.DocTestRunner().run(test, out=lambda text: None).failed for test in found] == [1]
