"""What frames a dataset has: columns instead of objects, so that a million of them take tens of megabytes.

An index is made by listing folders, never by reading annotations, and kept in the user's cache folder.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.caches import cache_folder
from hoprior.common.io import write_atomically
from hoprior.common.reading import interpreting
from hoprior.datasets.samples.sample import Side, Split
from hoprior.errors import HopriorError

logger = logging.getLogger(__name__)

FORMAT = 1
SIDES: tuple[Side, Side] = ("right", "left")
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Entry(NamedTuple):
    """One frame: where it is, and what is known of it without opening it.

    `group` is a sequence (a folder, a file of many frames) below the dataset's root, `item` the frame within it.
    `object` is the dataset's own name of the object, empty where only the annotation tells.
    """

    group: str
    item: str
    object: str = ""
    subject: str = ""
    side: Side = "right"

    @property
    def key(self) -> str:
        """Unique within a dataset."""
        return f"{self.group}/{self.item}" if self.side == "right" else f"{self.group}/{self.item}:left"


@dataclass(frozen=True)
class FrameIndex:
    """All frames of a dataset; entry i is made when it is asked for."""

    groups: tuple[str, ...]
    objects: tuple[str, ...]
    subjects: tuple[str, ...]
    group_id: Int[np.ndarray, " n"]
    object_id: Int[np.ndarray, " n"]
    subject_id: Int[np.ndarray, " n"]
    side_id: UInt8[np.ndarray, " n"]
    items: np.ndarray

    @classmethod
    def from_entries(cls, entries: Iterable[Entry]) -> "FrameIndex":
        """The index of a listing, in its order."""
        tables: tuple[dict[str, int], ...] = ({}, {}, {})
        columns: tuple[list[int], ...] = ([], [], [])
        sides, items = bytearray(), []
        for entry in entries:
            for table, column, name in zip(tables, columns, (entry.group, entry.object, entry.subject), strict=True):
                column.append(table.setdefault(name, len(table)))
            sides.append(SIDES.index(entry.side))
            items.append(entry.item.encode())
        groups, objects, subjects = (tuple(table) for table in tables)
        group_id, object_id, subject_id = (np.asarray(column, dtype=np.int32) for column in columns)
        side_id = np.frombuffer(bytes(sides), dtype=np.uint8)
        texts = np.asarray(items, dtype=np.bytes_)
        return cls(groups, objects, subjects, group_id, object_id, subject_id, side_id, texts)

    def __len__(self) -> int:
        return len(self.group_id)

    def __getitem__(self, i: int) -> Entry:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return Entry(
            self.groups[self.group_id[i]],
            self.items[i].decode(),
            self.objects[self.object_id[i]],
            self.subjects[self.subject_id[i]],
            SIDES[self.side_id[i]],
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[i] for i in range(len(self)))

    def splits(self, split_of: Callable[[Entry], Split]) -> Int[np.ndarray, " n"]:
        """The split of each frame, as numbers into `SPLITS`; `split_of` may not depend on the item.

        It is asked once for each kind of frame: a million frames are thousands of sequences.
        """
        kinds = np.stack([self.group_id, self.object_id, self.subject_id, self.side_id.astype(np.int32)], axis=1)
        # As one number a row: unique rows of a million take seconds, unique numbers a tenth of one.
        sizes = [len(self.groups), len(self.objects), len(self.subjects), len(SIDES)]
        code = np.ravel_multi_index(tuple(kinds.T), sizes) if len(kinds) else np.zeros(0, dtype=np.int64)
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        answers = [SPLITS.index(split_of(self[int(i)])) for i in first]
        return np.asarray(answers, dtype=np.int8)[which] if len(first) else np.zeros(0, dtype=np.int8)

    def digest(self) -> str:
        """Of all that is listed, in its order."""
        digest = hashlib.sha256()
        for content in self._arrays().values():
            digest.update(content.tobytes())
        return digest.hexdigest()

    def _arrays(self) -> dict[str, np.ndarray]:
        tables = {name: _packed(getattr(self, name)) for name in ("groups", "objects", "subjects")}
        columns = ("group_id", "object_id", "subject_id", "side_id", "items")
        return tables | {name: getattr(self, name) for name in columns}

    def save(self, path: Path, stamp: str) -> None:
        """Writes the index; `stamp` names the state of the folder that it lists."""
        arrays: dict[str, Any] = {"stamp": _packed((f"{FORMAT} {stamp}",)), **self._arrays()}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                save_arrays(file, arrays, compress=False)

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path, stamp: str) -> "FrameIndex | None":
        """The index in a file; None if it is not there, damaged, or of another stamp."""
        try:
            if not path.is_file():
                return None
            data = read_arrays(path, advice="the dataset is listed anew")
            with interpreting(path, "the dataset is listed anew"):
                if _unpacked(data["stamp"]) != (f"{FORMAT} {stamp}",):
                    return None
                groups, objects, subjects = (_unpacked(data[name]) for name in ("groups", "objects", "subjects"))
                ids = {name: data[name] for name in ("group_id", "object_id", "subject_id", "side_id", "items")}
                return cls(groups, objects, subjects, **ids)
        except HopriorError as error:
            logger.warning("%s", error)
            return None


def _packed(names: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\0".join(names).encode(), dtype=np.uint8)


def _unpacked(packed: np.ndarray) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\0"))


def index_path(name: str, root: Path) -> Path:
    """Where the index of a user's copy of a dataset is kept."""
    return cache_folder() / "indices" / f"{name}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.npz"


def folder_stamp(root: Path, depth: int = 2) -> str:
    """Changes when something is added to or taken from the upper folders of a dataset."""
    times = [f"{root.resolve()} {root.stat().st_mtime_ns}"]
    level = [root]
    for _ in range(depth):
        level = [child for folder in level for child in sorted(_folders(folder))]
        times += [f"{child.name} {child.stat().st_mtime_ns}" for child in level]
    return hashlib.sha256("\n".join(times).encode()).hexdigest()


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]
