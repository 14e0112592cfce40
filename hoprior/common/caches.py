"""The user's cache folder, and arrays that are kept there from one process to the next."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.io import write_atomically
from hoprior.errors import HopriorError

logger = logging.getLogger(__name__)

CACHE_ENVIRONMENT = "HOPRIOR_CACHE_DIR"
MOST_FILES = 4096
"""Of one kind; beyond them those go that were read or written longest ago."""
ADVICE = "it is made anew"


def cache_folder() -> Path:
    """Where caches are kept: HOPRIOR_CACHE_DIR, else the user's cache folder.

    Raises:
        HopriorError: neither is there.
    """
    where = os.environ.get(CACHE_ENVIRONMENT)
    if where:
        return Path(where)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hoprior"
    except RuntimeError as error:  # a user whom the machine does not know, as in containers
        raise HopriorError(f"there is no home folder to keep caches in: set {CACHE_ENVIRONMENT} to a folder") from error


def kept_arrays(kind: str, key: str) -> dict[str, Any] | None:
    """The arrays that `keep_arrays` kept; None where there are none, or they are damaged."""
    try:
        path = _path(kind, key)
        if not path.is_file():
            return None
        found = read_arrays(path, advice=ADVICE)
        os.utime(path)
        return found
    except (HopriorError, OSError) as error:
        logger.info("%s", error)
        return None


def keep_arrays(kind: str, key: str, arrays: Mapping[str, Any]) -> None:
    """Keeps named arrays of numbers for later processes, whole or not at all.

    Where nothing can be written (no home, a full disk, somebody else's folder) nothing is kept: what is kept saves
    time, and nothing else.

    Args:
        kind: the folder among the caches.
        key: a digest of all that the arrays follow from.
    """
    try:
        path = _path(kind, key)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                save_arrays(file, arrays)

        write_atomically(path, write)
        _leave_newest(path.parent)
    except (HopriorError, OSError) as error:
        logger.info("%s", error)


def _path(kind: str, key: str) -> Path:
    return cache_folder() / kind / f"{key}.npz"


def _leave_newest(folder: Path) -> None:
    files = list(folder.glob("*.npz"))
    if len(files) > MOST_FILES:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) - MOST_FILES]:
            path.unlink(missing_ok=True)
