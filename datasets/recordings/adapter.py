"""What every dataset's adapter does: list its frames, read one, say its split, name what is wrong."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from jaxtyping import Int

from hoprior.datasets.recordings.files import check_root, find
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.index import SPLITS, Entry, FrameIndex, folder_stamp, index_path
from hoprior.datasets.recordings.record import Origin, RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import ObjectInfo, Split
from hoprior.errors import HopriorError
from hoprior.language.categories import describe
from hoprior.language.phrases import sentence

logger = logging.getLogger(__name__)

UNREADABLE = (KeyError, IndexError, ValueError, TypeError, AttributeError, OSError, EOFError, yaml.YAMLError)
"""What a file that is not what it should be makes a reader raise."""


class FrameSkipped(Exception):
    """A frame that by the dataset's own rules is no sample: no hand in it, not valid. The text says which rule."""


class Adapter(ABC):
    """A dataset in a folder of the user's.

    Class attributes say what it is: `name` for commands, `title` and `homepage` for people, `licence`, `layout` (what
    the folder holds), `markers` (paths that must be there), `protocols` (official ways to split it, the first is the
    default).

    Args:
        root: the folder that the dataset was unpacked into.
        hands: the hand models; those that the environment names without.
        protocol: which of the official splits.

    Raises:
        HopriorError: the folder does not hold the dataset, or the protocol is unknown.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    homepage: ClassVar[str]
    licence: ClassVar[str]
    layout: ClassVar[str]
    markers: ClassVar[tuple[str, ...]]
    protocols: ClassVar[tuple[str, ...]] = ("official",)
    needs_mano: ClassVar[bool] = False
    """Whether the files have parameters only, that nobody understands without MANO."""
    grasps_only: ClassVar[bool] = False
    """Whether every frame is a grasp, without approach or release."""
    one_object_a_group: ClassVar[bool] = False
    """Whether the object of one frame is that of its whole sequence."""
    one_grasp_a_sequence: ClassVar[bool] = False
    """Whether all frames of a sequence show the same grasp, so that one of them says all."""

    def __init__(self, root: str | PathLike[str], hands: Hands | None = None, protocol: str | None = None) -> None:
        self.root = Path(root)
        self.hands = hands or Hands()
        self.protocol = protocol or self.protocols[0]
        if self.protocol not in self.protocols:
            raise HopriorError(
                f"{self.name} has no split protocol '{self.protocol}': use one of {', '.join(self.protocols)}"
            )
        check_root(self.root, self.title, self.markers)

    @abstractmethod
    def scan(self) -> Iterator[Entry]:
        """All frames, by listing files; annotations are not opened."""

    @abstractmethod
    def read(self, entry: Entry) -> RecordedSample:
        """One frame.

        Raises:
            FrameSkipped: by the dataset's rules it is no sample.
            HopriorError: a file is missing or damaged.
        """

    @abstractmethod
    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The files that `read` opens for a frame, there or not; pictures are not among them."""

    def origin(self, entry: Entry, frame: int) -> Origin:
        """Where a sample comes from, of datasets in which the entry says all of it but the frame's number."""
        return {
            "dataset": self.name,
            "key": entry.key,
            "side": entry.side,
            "hands": self.hands,
            "subject": entry.subject,
            "sequence": entry.group,
            "frame": frame,
            "split": self.split_of(entry),
        }

    def split_of(self, entry: Entry) -> Split:
        """The split of a frame; depends on all but its item."""
        return "train"

    @abstractmethod
    def mesh_path(self, name: str) -> Path:
        """Where an object's mesh is, or should be."""

    def make_object(self, name: str) -> RecordedObject:
        """An object by the dataset's name of it; adapters with units or frames of their own say so here."""
        return RecordedObject(self.info(name))

    def moment(self, entry: Entry) -> tuple[str, str]:
        """The same for pictures of one moment by several cameras, which show one grasp."""
        return entry.group, entry.item

    def expected(self) -> Iterator[Path]:
        """Annotation files that the dataset's own lists name; those that are not there are reported as missing."""
        return iter(())

    def remarks(self) -> Iterator[str]:
        """What a user is to know of this copy that is no fault of it: a list of the split that is not there, say."""
        return iter(())

    @property
    def revision(self) -> str:
        """Changes when `scan` would list other frames, beyond what the folders say."""
        return "1"

    def info(self, name: str, word: str | None = None) -> ObjectInfo:
        """What is known of an object; `word` is what it is called, where its name is only a number."""
        category = describe(word or name).name
        return ObjectInfo(name, category, self.name, self.licence, str(self.mesh_path(name)), sentence(category))

    def object(self, name: str) -> RecordedObject:
        """An object, made once."""
        return self._objects(name)

    @cached_property
    def _objects(self):  # type: ignore[no-untyped-def]  # a cache of the instance's own, which a decorated method lacks
        return lru_cache(maxsize=None)(self.make_object)

    def path(self, *parts: str) -> Path:
        """A path below the root, whatever its capitals."""
        return find(self.root, *parts)

    def index(self, refresh: bool = False) -> FrameIndex:
        """All frames: from the cache unless folders have changed, or `refresh`."""
        if refresh or "_index" not in self.__dict__:
            self._index = self._listed(refresh)
        return self._index

    def _listed(self, refresh: bool) -> FrameIndex:
        place = index_path(self.name, self.root)
        stamp = f"{self.revision} {folder_stamp(self.root)}"
        index = None if refresh else FrameIndex.load(place, stamp)
        if index is None:
            try:
                index = FrameIndex.from_entries(self.scan())
            except UNREADABLE as error:
                raise HopriorError(
                    f"{self.root}: something there has a name that {self.title} does not know ({error}): take it away"
                ) from error
            try:
                index.save(place, stamp)
            except HopriorError as error:
                logger.info("the index is not kept: %s", error)
        return index

    def __len__(self) -> int:
        return len(self.index())

    def __getitem__(self, i: int) -> RecordedSample:
        return self.sample(self.index()[i])

    def sample(self, entry: Entry) -> RecordedSample:
        """`read`, with one sentence for whatever is wrong with a file.

        Raises:
            FrameSkipped, HopriorError: see `read`.
        """
        try:
            return self.read(entry)
        except HopriorError as error:
            raise HopriorError(f"{self.name} {entry.key}: {error}") from error
        except UNREADABLE as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise HopriorError(
                f"{self.name} {entry.key}: the annotation is not what this dataset has ({what}): get a fresh copy"
            ) from error

    def indices(self, split: Split | None = None) -> Int[np.ndarray, " n"]:
        """Numbers of the frames of a split; of all without."""
        if split is None:
            return np.arange(len(self))
        return np.flatnonzero(self.index().splits(self.split_of) == SPLITS.index(split))

    def walk(
        self, indices: Iterable[int] | Int[np.ndarray, " n"] | None = None
    ) -> Iterator[tuple[Entry, RecordedSample | FrameSkipped | HopriorError]]:
        """Frames with what came of them: a sample, the rule that skips it, or what is wrong; nothing is left out."""
        index = self.index()
        for i in range(len(index)) if indices is None else indices:
            entry = index[int(i)]
            try:
                yield entry, self.sample(entry)
            except (FrameSkipped, HopriorError) as outcome:
                yield entry, outcome
