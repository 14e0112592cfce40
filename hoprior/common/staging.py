"""Folders in which a result is made before it stands in its place: each of one run alone, and none left for long.

A run holds a lock on its folder for as long as it lives. So a later run knows what was left by one that was killed, on
whatever machine or in whatever container that was, and removes nothing that another is still writing.
"""

import contextlib
import fcntl
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

STAGING = re.compile(r"\.hoprior-(?P<name>.+)-[0-9a-f]+\.tmp", re.DOTALL)
"""What a staging folder is called: by what is made in it, and what no other run draws."""


@contextmanager
def staging_folder(place: Path, name: str) -> Iterator[Path]:
    """An empty folder in `place` for what will be called `name`; it is gone afterwards, unless it was renamed.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        staging = place / f".hoprior-{name}-{secrets.token_hex(6)}.tmp"
        staging.mkdir()
        try:
            lock = os.open(staging, os.O_RDONLY)
        except FileNotFoundError:
            continue
        _lock(lock)
        if staging.is_dir():
            break
        os.close(lock)  # between its making and its locking another run took it for a leftover
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Other runs that want to hold this folder wait."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock)
        yield
    finally:
        os.close(lock)


def staging_folders(place: Path, name: str) -> list[Path]:
    """The staging folders in `place` of what is called `name`, of runs that live or were killed."""
    found = place.glob(f".hoprior-{glob.escape(name)}-*.tmp")
    return [path for path in found if (match := STAGING.fullmatch(path.name)) and match["name"] == name]


def remove_leftovers(place: Path, name: str) -> None:
    """Removes the staging folders of runs that were killed; what cannot be removed stays."""
    for path in staging_folders(place, name):
        _remove_if_left(path)


@lru_cache(maxsize=4096)  # once for a folder is enough, and there may be thousands of files to be written
def remove_single_leftovers(place: Path) -> None:
    """Removes what killed runs left of single files in a folder, whatever their names."""
    for path in place.glob(".hoprior-*.tmp"):
        match = STAGING.fullmatch(path.name)
        try:
            is_single = match is not None and {item.name for item in path.iterdir()} <= {match["name"]}
        except OSError:
            continue
        if is_single:
            _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _lock(descriptor: int) -> None:
    # On a disk that knows no locks nobody takes what he cannot lock for left: such a folder stays.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
