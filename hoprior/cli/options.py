"""The options of a command, read from source code without running it: help must not wait for torch.

What stands in a function's signature and docstring, and in the dataclasses that it takes, is all there is to say about
an option; jsonargparse reads the same when a command is run, and a test holds the two together.
"""

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LIGHT = ("dataclasses", "math", "pathlib", "typing", "collections.abc", "importlib.resources")
"""Modules of Python's own that a default may be made with."""
HOPRIOR = Path(__file__).resolve().parents[1]
NO_DEFAULT = object()
SECTION = re.compile(r"^(Args|Returns|Raises|Example|Examples|Attributes):\s*$")
ENTRY = re.compile(r"^\*{0,2}(\w+(?:, \w+)*):\s+(\S.*)$")


@dataclass(frozen=True)
class Option:
    """One option as it is typed, `--config.contact.reach`, with dots and underscores as Python has them."""

    name: str
    kind: str
    """Its type as the code has it."""
    default: Any
    """Its value, or `NO_DEFAULT`."""
    text: str
    """Its sentence."""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is NO_DEFAULT

    @property
    def inner(self) -> bool:
        """Whether it is one of the many settings that only `--help-all` shows."""
        return "." in self.name


@dataclass(frozen=True)
class Description:
    """What help says about a command."""

    summary: str
    more: str
    """Further paragraphs of the docstring."""
    examples: tuple[str, ...]
    options: tuple[Option, ...]


@dataclass(frozen=True)
class _Dataclass:
    """A dataclass of the source code; calling it gives its fields' values, as a mapping."""

    fields: Mapping[str, tuple[str, Any]] = field(hash=False)
    """Name -> type and default."""
    texts: Mapping[str, str] = field(hash=False)

    def __call__(self, *args: Any, **given: Any) -> "_Instance":
        values = {name: default for name, (_, default) in self.fields.items()}
        return _Instance(self, {**values, **dict(zip(self.fields, args, strict=False)), **given})


@dataclass(frozen=True)
class _Instance:
    of: _Dataclass
    values: Mapping[str, Any] = field(hash=False)


class _Module(dict[str, Any]):
    """The names of one of our modules, each read when it is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.nodes: dict[str, tuple[ast.AST, str]] = {}
        path = HOPRIOR.parent.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            self._take(node)

    def _take(self, node: ast.stmt) -> None:
        match node:
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    self.nodes[alias.asname or alias.name] = (node, f"{module}.{alias.name}")
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.nodes[name] = (value, name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.nodes[name] = (value, name)
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                self.nodes[name] = (node, name)

    def __missing__(self, name: str) -> Any:
        if name not in self.nodes:
            return vars(builtins)[name]
        node, there = self.nodes[name]
        match node:
            case ast.ImportFrom():
                module, _, inner = there.rpartition(".")
                found = _module(module)[inner] if module.startswith("hoprior") else _light(module, inner)
            case ast.ClassDef():
                found = self._dataclass(node)
            case ast.FunctionDef():
                found = node
            case ast.expr():
                found = self.value(node)
            case _:
                raise NameError(name)
        self[name] = found
        return found

    def value(self, node: ast.expr) -> Any:
        """The value of an expression that is made of constants and of dataclasses."""
        return eval(compile(ast.Expression(node), "<default>", "eval"), self)

    def _dataclass(self, node: ast.ClassDef) -> _Dataclass:
        bases = [self[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in self.nodes]
        fields: dict[str, tuple[str, Any]] = {}
        texts: dict[str, str] = {}
        for base in bases:
            if isinstance(base, _Dataclass):
                fields.update(base.fields)
                texts.update(base.texts)
        lines = list(node.body)
        for k, statement in enumerate(lines):
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            default = NO_DEFAULT if statement.value is None else self._field(statement.value)
            fields[statement.target.id] = (ast.unparse(statement.annotation), default)
            match lines[k + 1] if k + 1 < len(lines) else None:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    texts[statement.target.id] = " ".join(text.split())
        texts.update(entries(ast.get_docstring(node) or "", fields))
        return _Dataclass(fields, texts)

    def _field(self, node: ast.expr) -> Any:
        """A default, of `field(default=...)` and `field(default_factory=...)` as well."""
        match node:
            case ast.Call(func=ast.Name(id="field"), keywords=keywords):
                given = {keyword.arg: keyword.value for keyword in keywords}
                if "default_factory" in given:
                    return self.value(given["default_factory"])()
                return self.value(given["default"])
        return self.value(node)


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _light(module: str, name: str) -> Any:
    if module not in LIGHT:
        raise NameError(f"{module}.{name} is not read without running it")
    return getattr(importlib.import_module(module), name)


@cache
def describe(path: str) -> Description:
    """What is said of a command, `hoprior.cli.run_grasp:run_grasp`."""
    module = _module(path.partition(":")[0])
    function = module[path.partition(":")[2]]
    docstring = ast.get_docstring(function) or ""
    texts = entries(docstring, [argument.arg for argument in function.args.args])
    arguments = function.args.args
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + list(function.args.defaults)
    options: list[Option] = []
    for argument, default in zip(arguments, defaults, strict=True):
        value = NO_DEFAULT if default is None else module.value(default)
        kind = ast.unparse(argument.annotation) if argument.annotation else "str"
        options += _options(argument.arg, kind, value, texts.get(argument.arg, ""))
    head, *rest = re.split(r"\n\s*\n", _sections(docstring)[""])
    more = "\n\n".join(" ".join(paragraph.split()) for paragraph in rest if paragraph.strip())
    examples = tuple(line.strip() for line in _sections(docstring).get("Example", "").splitlines() if line.strip())
    return Description(" ".join(head.split()), more, examples, tuple(options))


def constant_of(path: str, name: str) -> Any:
    """The value of a constant beside a command, `hoprior.cli.run_grasp:run_grasp`; None where there is none."""
    module = _module(path.partition(":")[0])
    return module[name] if name in module.nodes else None


def _options(name: str, kind: str, value: Any, text: str) -> Iterator[Option]:
    if not isinstance(value, _Instance):
        yield Option(name, kind, value, text)
        return
    for inner, (inner_kind, _) in value.of.fields.items():
        yield from _options(f"{name}.{inner}", inner_kind, value.values[inner], value.of.texts.get(inner, ""))


def _sections(docstring: str) -> dict[str, str]:
    found, name = {"": ""}, ""
    for line in docstring.splitlines():
        if heading := SECTION.match(line):
            name = heading[1].removesuffix("s") if heading[1].startswith("Example") else heading[1]
            found[name] = ""
        else:
            found[name] += line + "\n"
    return found


def entries(docstring: str, names: Any) -> dict[str, str]:
    """`name: sentence` of a docstring, the lines that go on further in joined; `one, two: sentence` counts for both.

    Example:
        >>> entries("What it is.\\n\\nArgs:\\n    size: how long it is,\\n        metres.", ["size"])
        {'size': 'how long it is, metres.'}
    """
    found: dict[str, str] = {}
    current: tuple[str, ...] = ()
    indent = 0
    for line in inspect.cleandoc(docstring).splitlines():
        entry = ENTRY.match(line.strip())
        depth = len(line) - len(line.lstrip())
        if entry and set(entry[1].split(", ")) <= set(names):
            current, indent = tuple(entry[1].split(", ")), depth
            found.update(dict.fromkeys(current, entry[2]))
        elif current and line.strip() and depth > indent:
            found.update({name: f"{found[name]} {line.strip()}" for name in current})
        else:
            current = ()
    return found


def underscored(argument: str) -> str:
    """`--mesh-unit=mm` -> `--mesh_unit=mm`; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
