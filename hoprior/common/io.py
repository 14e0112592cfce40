"""Writing files and folders so that nothing half-written ever looks whole."""

import csv
import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.common.reading import is_file_name
from hoprior.common.staging import held, remove_leftovers, remove_single_leftovers, staging_folder
from hoprior.errors import HopriorError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write(temporary path)` and renames the result to `path`; nothing is left behind when it fails.

    Raises:
        HopriorError: `write` or the renaming ran into an OSError: no permission, a full disk.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "a.txt", lambda path: path.write_text("all or nothing"))
        ...     (Path(folder) / "a.txt").read_text(), len(os.listdir(folder))
        ('all or nothing', 1)
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_single_leftovers(path.parent.absolute())
        with staging_folder(path.parent, path.name) as staging:
            write(staging / path.name)
            os.replace(staging / path.name, path)
    except OSError as error:
        raise unwritable(path, error) from error


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file, whole or not at all; None is an empty cell.

    Raises:
        HopriorError: no permission, a full disk.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)

    write_atomically(path, write)


def rounded(value: float | None) -> str | None:
    """A measure as tables have it: to six digits, None if there is none."""
    return None if value is None else f"{value:.6g}"


def write_folder(
    folder: Path,
    write: Callable[[Path], object],
    last: str | None = None,
    stale: Callable[[], Collection[str]] = tuple,
) -> None:
    """Calls `write(empty staging folder)` and, when all of it is there, moves its files into `folder`.

    Other files in `folder` stay as they are, but for what was left of a call that was killed. Two calls for one folder
    may run at once: each moves all of its files before or after the other.

    Args:
        last: the file that makes a folder look whole: it goes first of the old and comes last of the new.
        stale: names of files that an earlier call wrote; those that are not written again are deleted.

    Raises:
        HopriorError: an OSError on the way; before the first move nothing in `folder` has changed.
    """
    folder = Path(os.path.abspath(folder))  # "." has no name to call its staging folder by
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder if folder.is_dir() else folder.parent, folder.name) as staging:
            write(staging)
            if not _renamed(staging, folder):
                with held(folder):
                    _move_files(staging, folder, last, stale())
    except OSError as error:
        raise unwritable(folder, error) from error
    for place in (folder.parent, folder):
        remove_leftovers(place, folder.name)


def _renamed(staging: Path, folder: Path) -> bool:
    """Makes the folder of its staging folder at one blow, if there is none."""
    if folder.is_dir():
        return False
    try:
        os.rename(staging, folder)
    except OSError:
        if folder.is_dir():  # another run was faster
            return False
        raise
    return True


def _move_files(staging: Path, folder: Path, last: str | None, stale: Collection[str]) -> None:
    written = {path.name for path in staging.iterdir()}
    # What is stale, an index says that anybody may have written.
    stale = {name for name in stale if is_file_name(name) and not (folder / name).is_dir()}
    for name in sorted(set(stale) - written | ({last} if last else set()), key=lambda name: (name != last, name)):
        (folder / name).unlink(missing_ok=True)
    for name in sorted(written, key=lambda name: (name == last, name)):
        os.replace(staging / name, folder / name)


def check_place(folder: Path) -> None:
    """Makes sure that files can be written into `folder`, or that it can be made; nothing is left behind.

    Raises:
        HopriorError: a part of the path is a file, or writing is not possible there.
    """
    try:
        place = folder.absolute()
    except OSError as error:
        raise HopriorError(f"{folder}: the folder you are in is no longer there: go to another one") from error
    while not place.exists() and place != place.parent:
        if place.is_symlink():
            raise HopriorError(f"{folder}: {place} is a link to what is not there: choose another folder")
        place = place.parent
    if not place.is_dir():
        raise HopriorError(f"{folder}: {place} is a file, not a folder: choose another folder.")
    try:
        # Permissions are not asked for but tried: modes say little about root, network disks and containers.
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> HopriorError:
    """One sentence for a file or folder that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some space on the disk or choose another place"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "ask for the permission or choose another place"
    elif error.errno == errno.EISDIR:
        advice = "it is a folder: give the name of a file"
    else:
        advice = "is the disk full, or the place not yours?"
    return HopriorError(f"{path}: cannot be written ({error.strerror or error}): {advice}")


def jsonable(value: Any) -> Any:
    """`value` in JSON's own types: arrays as lists, paths as text, dataclasses as mappings, NaN as null.

    Example:
        >>> jsonable({"joints": np.zeros((1, 2)), "place": Path("out/a"), "depth": float("nan")})
        {'joints': [[0.0, 0.0]], 'place': 'out/a', 'depth': None}
    """
    if isinstance(value, str):
        # Names of files may hold bytes that are no text; no text file can.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {jsonable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        return jsonable(value.tolist())
    return jsonable(str(value))


def strict_json(value: Any) -> str:
    """`value` as JSON that every parser reads.

    Example:
        >>> json.loads(strict_json({"depth": float("nan")}))
        {'depth': None}
    """
    return json.dumps(jsonable(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
