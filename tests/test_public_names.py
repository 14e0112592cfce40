"""The public names: that they are there and documented by what runs, and that they change only on purpose.

python tests/test_public_names.py      (writes tests/api_surface.json anew)
"""

import difflib
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import NoneType
from typing import Any, get_origin

import pytest

SURFACE = Path(__file__).with_name("api_surface.json")
MODULES = ("hoprior", "hoprior.guidance", "hoprior.priors")


def _shape(thing: Any) -> Any:
    """What callers write: a function's signature, a class's and its members', or that there is a constant."""
    if get_origin(thing) is not None or not callable(thing):
        return "alias" if get_origin(thing) is not None else "constant"
    if not inspect.isclass(thing):
        return _signature(thing)
    members = {}
    for name, member in sorted(vars(thing).items()):
        bare = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        if not name.startswith("_"):
            members[name] = _signature(bare) if inspect.isfunction(bare) else "attribute"
    members |= {name: "field" for name in inspect.get_annotations(thing) if not name.startswith("_")}
    if getattr(thing, "_is_protocol", False):
        return {"kind": "protocol", "members": members}
    return {"kind": "exception" if issubclass(thing, Exception) else _signature(thing), "members": members}


def _signature(thing: Any) -> str:
    """Names, kinds and defaults of arguments; how annotations read differs between versions of Python.

    Keyword-only ones are sorted by name: their order is nobody's business.
    """
    signature = inspect.signature(thing)
    parameters = []
    for parameter in signature.parameters.values():
        values = parameter.default if isinstance(parameter.default, tuple) else (parameter.default,)
        plain = all(isinstance(value, (str, int, float, NoneType)) for value in values)
        if not plain and parameter.default is not inspect.Parameter.empty:
            parameter = parameter.replace(default=type(parameter.default).__name__)
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty))
    parameters.sort(key=lambda p: (p.kind, p.name if p.kind is p.KEYWORD_ONLY else ""))
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def surface() -> dict[str, dict[str, Any]]:
    """Module -> public name -> what callers see of it."""
    found: dict[str, dict[str, Any]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        found[name] = {public: _shape(getattr(module, public)) for public in sorted(module.__all__)}
    return found


def test_public_names_change_only_on_purpose() -> None:
    now = json.dumps(surface(), indent=1, sort_keys=True).splitlines()
    then = SURFACE.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(difflib.unified_diff(then, now, "agreed", "now", lineterm="", n=1))
    assert not changes, f"{changes}\nif this is meant: python tests/test_public_names.py, and say so in CHANGELOG.md"


def test_importing_hoprior_loads_nothing_heavy() -> None:
    code = "import sys, hoprior; dir(hoprior); print([n for n in ('torch', 'numpy', 'trimesh') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_name_of_the_table_is_there_and_no_other() -> None:
    import hoprior

    assert set(hoprior.__all__) <= set(dir(hoprior))
    with pytest.raises(AttributeError, match="has no attribute 'nonesuch'"):
        hoprior.nonesuch  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", MODULES[1:])
def test_functions_and_classes_have_an_example(name: str) -> None:
    """Protocols have theirs in docs/extending.md; that of `SDSOutput` is the function's that gives it."""
    module = importlib.import_module(name)
    things = {public: getattr(module, public) for public in module.__all__}
    made = {
        n: t for n, t in things.items() if callable(t) and not getattr(t, "_is_protocol", get_origin(t) is not None)
    }
    lacking = [n for n, thing in made.items() if ">>>" not in (thing.__doc__ or "") and n != "SDSOutput"]
    assert not lacking


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
