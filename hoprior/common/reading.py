"""Reading files that anybody may have made: what is wrong with one is a sentence, never another exception."""

import json
import math
import re
import struct
import tokenize
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml
from jaxtyping import TypeCheckError

from hoprior.errors import HopriorError

FRESH_COPY = "get a fresh copy"
"""What to do about a damaged file of somebody else's."""
MOST_TEXT = 1 << 30
"""Bytes of a text file, which is read whole."""
UNEXPECTED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    EOFError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)
"""What the interpretation of content stumbles over that is not as it should be."""
LONGEST_NAME = 200
"""Bytes of a file's name that is made of something's name: most file systems take 255, and something is added."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def interpreting(source: object, advice: str = FRESH_COPY, what: str = "damaged") -> Iterator[None]:
    """What is done inside interprets content of a file: whatever it stumbles over says that the file is at fault.

    Args:
        source: the file.
        advice: what to do about it.
        what: the file is, or is not, if this happens.

    Raises:
        HopriorError: in place of any of `UNEXPECTED`; one that was raised inside stays as it is.

    Example:
        >>> try:
        ...     with interpreting("grasps.json", "make the grasps again"):
        ...         _ = {"unit": 1}["format"]
        ... except HopriorError as error:
        ...     print(error)
        grasps.json: damaged ('format' is missing): make the grasps again
    """
    try:
        yield
    except TypeCheckError:  # a fault of ours
        raise
    except UNEXPECTED as error:
        raise HopriorError(f"{source}: {what} ({reason_of(error)}): {advice}") from error


def reason_of(error: BaseException) -> str:
    """What an exception says of the content, short and on one line, with its name where the words alone say little.

    Of an index that is out of range Python's words are about the reader; for the file it means that
    something is missing.

    Example:
        >>> reason_of(KeyError("joints")), reason_of(IndexError("list index out of range"))
        ("'joints' is missing", 'something that it should have is missing')
        >>> reason_of(ValueError("no number.\\n")), reason_of(TypeError("'int' object is not iterable"))
        ('no number', "TypeError: 'int' object is not iterable")
    """
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, IndexError):
        return "something that it should have is missing"
    if type(error) is KeyError and error.args:
        return f"{str(error.args[0])[:120]!r} is missing"
    words = " ".join(str(error).split())[:160].rstrip(". ")
    if not words:
        return type(error).__name__
    return words if isinstance(error, ValueError | OSError | EOFError) else f"{type(error).__name__}: {words}"


def read_text(path: str | Path, advice: str = FRESH_COPY) -> str:
    """A text file, with or without a byte-order mark.

    Raises:
        HopriorError: it cannot be read, is no UTF-8, or is larger than a text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_TEXT + 1)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise HopriorError(f"{path}: cannot be read ({reason}): {advice}") from error
    if len(content) > MOST_TEXT:
        raise HopriorError(f"{path}: is larger than {MOST_TEXT >> 20} MiB: split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HopriorError(f"{path}: is no text in UTF-8 (byte {error.start}): {advice}") from error


def read_json(path: str | Path, advice: str = FRESH_COPY) -> Any:
    """The content of a JSON file.

    Args:
        advice: what to do about a damaged one.

    Raises:
        HopriorError: as `read_text`, or it is no JSON, nested too deeply, or holds text that no file can have.
    """
    return parse_json(read_text(path, advice), path, advice)


def parse_json(text: str | bytes, source: object, advice: str = FRESH_COPY) -> Any:
    """The content of a JSON text; errors as `read_json` has them.

    Example:
        >>> try:
        ...     parse_json("[" * 100_000, "index.json")
        ... except HopriorError as error:
        ...     print(error)
        index.json: damaged JSON (nested too deeply): get a fresh copy
    """
    with interpreting(source, advice, "damaged JSON"):
        plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        content = json.loads(plain)
        if _SURROGATE.search(plain):
            # Half a character, which JSON can name and no file can hold, would only fail where it is written.
            json.dumps(content, ensure_ascii=False).encode()
        return content


def read_yaml(path: str | Path, advice: str = FRESH_COPY) -> Any:
    """The content of a YAML file: plain values only.

    Raises:
        HopriorError: as `read_text`, or it is no YAML, or says more than its size lets expect (by names for its parts).
    """
    text = read_text(path, advice)
    try:
        with interpreting(path, advice, "damaged YAML"):
            content = yaml.safe_load(text)
            check_expanded(content, 10_000 + 2 * len(text))
            return content
    except yaml.YAMLError as error:
        raise HopriorError(f"{path}: damaged YAML ({reason_of(error)}): {advice}") from error


def check_expanded(content: Any, most: float) -> None:
    """Refuses containers whose parts are there again and again, within each other: ten lines may stand for a billion.

    Args:
        most: how many parts may be reached, those that are reached twice counted twice.

    Raises:
        ValueError: more are.

    Example:
        >>> line = ["lol"]
        >>> for _ in range(9):
        ...     line = 10 * [line]
        >>> try:
        ...     check_expanded(line, most=1_000_000)
        ... except ValueError as error:
        ...     print(error)
        its parts contain each other so often that it never ends
    """
    counts: dict[int, float] = {}

    def count(value: Any) -> float:
        if not isinstance(value, dict | list | tuple | set | frozenset):
            return 1
        if id(value) not in counts:
            counts[id(value)] = math.inf  # of what contains itself
            total = 1.0
            for item in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
                total += count(item)
            counts[id(value)] = total
        return counts[id(value)]

    if count(content) > most:
        raise ValueError("its parts contain each other so often that it never ends")


def expect(content: Any, kinds: Mapping[str, Any]) -> None:
    """Makes sure that a mapping has entries of some types.

    Args:
        kinds: by the entry's name a type; a list of one, for a list of such; a set of one, for a mapping to such.

    Raises:
        TypeError: it has not; for use within `interpreting`.

    Example:
        >>> expect({"file": "a.tar", "objects": ["mug"]}, {"file": str, "objects": [str]})
    """
    if not isinstance(content, dict):
        raise TypeError(f"a {type(content).__name__} where a mapping is expected")
    for name, kind in kinds.items():
        value = content.get(name)
        outer = list if isinstance(kind, list) else dict if isinstance(kind, set) else kind
        inside: Any = value.values() if isinstance(value, dict) else value
        inner = next(iter(kind)) if isinstance(kind, list | set) else None
        if not isinstance(value, outer) or (inner is not None and not all(isinstance(item, inner) for item in inside)):
            raise TypeError(f"'{name}' is {'not there' if value is None else 'of another kind than expected'}")


def within(folder: Path, name: object, source: object) -> Path:
    """A file in a folder or below it, whose name some file says.

    Args:
        source: the file that says the name.

    Raises:
        HopriorError: the name is none, or leads out of the folder.

    Example:
        >>> within(Path("set"), "shards/a.tar", "manifest.json").as_posix()
        'set/shards/a.tar'
        >>> try:
        ...     within(Path("set"), "../a.tar", "manifest.json")
        ... except HopriorError as error:
        ...     print(error)
        manifest.json: names the file '../a.tar', which is not below its folder: get a fresh copy
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not parts or not all(is_file_name(part) for part in parts):
        raise HopriorError(f"{source}: names the file {str(name)[:80]!r}, which is not below its folder: {FRESH_COPY}")
    return folder.joinpath(*parts)


def is_file_name(name: str) -> bool:
    """Whether a name of something is one of a file: no folders, nothing hidden, nothing that a system takes amiss.

    Example:
        >>> [is_file_name(name) for name in ("003 cracker_box", "../mug", "a/b", "C:mug", "", ".x")]
        [True, False, False, False, False, False]
    """
    return (
        bool(name)
        and name == PurePosixPath(name).name == PureWindowsPath(name).name
        and not name.startswith(".")
        and name.isprintable()
        and len(name.encode("utf-8", "replace")) <= LONGEST_NAME
    )
