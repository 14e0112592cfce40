"""What each of many things is called, what is said of it, and what its results follow from."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoprior.errors import HopriorError
from hoprior.language.categories import plain_word

NAME_IN_TEXT = "{name}"


@dataclass(frozen=True)
class Item:
    """One of many things.

    Attributes:
        name: of its folder.
        source: its file or folder.
        settings: arguments of its own, beside those of all.
    """

    name: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def names_for(paths: Sequence[Path]) -> list[str]:
    """A folder's name for each: the file's, with those of folders above it, its ending or a number if need be.

    Example:
        >>> names_for([Path("a/mug.obj"), Path("b/mug.obj"), Path("a/pan.obj"), Path("a/pan.stl")])
        ['a_mug', 'b_mug', 'pan_obj', 'pan_stl']
    """
    # Compared as disks compare them that know no capitals.
    names = [_safe(path.stem) for path in paths]
    longer: tuple[list[str], ...] = (
        [_safe(path.name.replace(".", "_")) for path in paths],
        [_safe("_".join((*path.parent.parts[-1:], path.stem))) for path in paths],
        [_safe("_".join((*path.parent.parts[-1:], path.name.replace(".", "_")))) for path in paths],
        [_safe("_".join((*path.parent.parts, path.name.replace(".", "_")))) for path in paths],
    )
    for other in longer:
        count = Counter(name.lower() for name in names)
        better = Counter(name.lower() for name in other)
        names = [
            new if count[name.lower()] > 1 and better[new.lower()] == 1 else name
            for name, new in zip(names, other, strict=True)
        ]
    seen: Counter[str] = Counter()
    for k, name in enumerate(names):
        while seen[names[k].lower()]:
            seen[name.lower()] += 1
            names[k] = f"{name}_{seen[name.lower()]}"
        seen[names[k].lower()] += 1
    return names


def text_for(item: Item, text: str | None) -> str | None:
    """What is said of an item: its own text, or that of all, in which "{name}" is what its file is called.

    Example:
        >>> text_for(Item("025_mug", "meshes/025_mug.obj"), "drinking from a {name}")
        'drinking from a mug'
    """
    said = item.settings.get("text", text)
    return None if said is None else str(said).replace(NAME_IN_TEXT, plain_word(Path(item.source).stem))


def file_digest(path: Path) -> str:
    """Of a file's bytes.

    Raises:
        HopriorError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror}): is it there?") from error


def named_files(settings: Any) -> dict[str, str]:
    """Digests of the files that settings name, wherever in them: priors' weights, a scene."""
    return {str(path): file_digest(path) for path in map(Path, _texts_in(settings)) if path.is_file()}


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:100] or "mesh"
