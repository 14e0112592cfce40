"""Finding and reading a dataset's files: whatever their capitals, and with one sentence for what is wrong."""

import errno
import os
from collections.abc import Callable
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.common.array_files import read_array, read_arrays
from hoprior.common.pickles import safe_load
from hoprior.common.reading import parse_json, read_json, read_text
from hoprior.errors import HopriorError

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".part", ".crdownload")


def listing(folder: Path) -> dict[str, str]:
    """Names in a folder by their small letters; empty for what is no folder."""
    try:
        return _listing(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=4096)
def _listing(folder: Path, _changed: int) -> dict[str, str]:
    return {name.casefold(): name for name in os.listdir(folder)}


def find(root: Path, *parts: str) -> Path:
    """The file or folder at a path below `root`; names with other capitals are found too.

    A path that is not there is returned as it was asked for.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "Models").mkdir()
        ...     find(Path(folder), "models").name
        'Models'
    """
    wanted = root.joinpath(*parts)
    if is_there(wanted):
        return wanted
    place = root
    for part in wanted.relative_to(root).parts:
        name = part if is_there(place / part) else listing(place).get(part.casefold())
        if name is None:
            return wanted
        place = place / name
    return place


def is_there(path: Path) -> bool:
    """Whether something is at a path that a data set's file may have named; a name that is too long names nothing.

    Example:
        >>> is_there(Path("no" * 2000)), is_there(Path("."))
        (False, True)
    """
    return _answered(Path.exists, path)


def is_file(path: Path) -> bool:
    """The same of a file.

    Example:
        >>> is_file(Path("no" * 2000)), is_file(Path("."))
        (False, False)
    """
    return _answered(Path.is_file, path)


def _answered(question: Callable[[Path], bool], path: Path) -> bool:
    try:
        return question(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def has(root: Path, pattern: str) -> bool:
    """Whether something below `root` is at a path; `*` is any name of a folder, `**/*.end` any file that ends so."""
    places = [root]
    if pattern.startswith("**/*"):
        return any(
            name.lower().endswith(pattern[4:]) and not name.startswith(".")
            for _, _, names in os.walk(root)
            for name in names
        )
    for part in Path(pattern).parts:
        if "*" in part:
            wanted = part.casefold()
            places = [p / name for p in places for name in subfolders(p) if fnmatch(name.casefold(), wanted)]
        else:
            places = [found for place in places if (found := find(place, part)).exists()]
    return bool(places)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; none for what is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def stems(folder: Path, suffix: str, prefix: str = "") -> list[str]:
    """Names, without `suffix`, of the files in a folder that have it, sorted.

    Hidden ones are left out: archives packed on a Mac bring a `._name` beside each file.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    return sorted(n[: -len(suffix)] for n in names if n.lower().endswith(suffix) and n.startswith(prefix))


def is_root(root: Path, markers: tuple[str, ...]) -> bool:
    """Whether everything that marks a dataset's folder is in a folder."""
    return all(has(root, marker) for marker in markers)


def check_root(root: Path, title: str, markers: tuple[str, ...]) -> None:
    """Makes sure that a folder is the one that a dataset is in.

    Raises:
        HopriorError: it is not; says which folder nearby is, or which archives are still to be unpacked.
    """
    if not root.is_dir():
        raise HopriorError(f"{root}: no such folder: give the folder that {title} was unpacked into")
    missing = [marker for marker in markers if not has(root, marker)]
    if not missing:
        return
    around = [root.parent, *(root / name for name in subfolders(root))]
    around += [root / a / b for a in subfolders(root)[:50] for b in subfolders(root / a)[:50]]
    right = next((place for place in around if is_root(place, markers)), None)
    if right is not None:
        raise HopriorError(f"{root}: not the root of {title}, which is {right}: give that folder")
    packed = sorted(path.name for path in root.iterdir() if path.suffix.lower() in ARCHIVES)
    advice = f"unpack {packed[0]}" if packed else f"give the folder that {title} was unpacked into"
    raise HopriorError(f"{root}: has no {missing[0]}, so it is not (all of) {title}: {advice}")


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a JSON file that maps names to something."""
    return _mapping(read_json(path), path)


def read_words(path: Path) -> list[str]:
    """The words of a plain list of names."""
    return read_text(path).split()


def _mapping(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise HopriorError(f"{path}: holds a {type(content).__name__} where a mapping is expected")
    return content


def read_pickle(path: Path) -> dict[str, Any]:
    """The mapping in a pickle file, without running it."""
    return _mapping(safe_load(path), path)


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays in an .npz file; arrays of objects are pickles, and read as such: without running them.

    A 0-d array of one object is that object.
    """
    return read_arrays(path, objects=True)


def read_npy(path: Path) -> Any:
    """The array in an .npy file, or, of a 0-d array of one object, that object; pickles are not run."""
    return read_array(path, objects=True)


def read_numbers(path: Path, *shape: int) -> np.ndarray:
    """The array of numbers in an .npy file; its last axes have the sizes of `shape`.

    Raises:
        HopriorError: the file is missing or damaged, or holds something else.
    """
    array = read_npy(path)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise HopriorError(f"{path}: holds no array of numbers: get a fresh copy")
    if array.ndim < len(shape) or array.shape[array.ndim - len(shape) :] != shape:
        raise HopriorError(f"{path}: holds an array of shape {array.shape}, its last axes should be {shape}")
    return array.astype(np.float64)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The mappings in a file with one JSON text a line."""
    return [_mapping(parse_json(line, path), path) for line in read_text(path).splitlines() if line.strip()]
