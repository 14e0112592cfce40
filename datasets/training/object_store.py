"""A data module of objects of the parametric families, made when they are first needed and kept in a folder."""

import glob
import inspect
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from safetensors import SafetensorError, safe_open
from torch import Tensor

from hoprior.common.console import counting_bar, saying
from hoprior.common.io import write_atomically
from hoprior.common.reading import UNEXPECTED
from hoprior.common.run_key import DIGITS, files_of_keys, say_start
from hoprior.datasets.samples.code_digest import code_digest
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.datasets.training.held_out import held_out, warn_none_held_out
from hoprior.datasets.training.split_module import Batches, DividedModule
from hoprior.errors import HopriorError

logger = logging.getLogger(__name__)


@runtime_checkable
class Keyed(Protocol):
    """What is kept of an object."""

    @property
    def key(self) -> str:
        """The object's name in its catalogue."""


Thing = TypeVar("Thing", bound=Keyed)


Kept = TypeVar("Kept")


def read_kept(
    path: Path,
    names: Sequence[str],
    of: Callable[[dict[str, str], list[Tensor]], Kept],
    anew: str = "the object is made anew",
) -> Kept | None:
    """What is kept in a file: `of` its header and the tensors `names`; None where there is none, or it is damaged.

    `anew` is what the log then says.
    """
    try:
        with safe_open(path, "pt") as file:
            return of(file.metadata(), [file.get_tensor(name) for name in names])
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, *UNEXPECTED) as error:
        logger.warning("%s: cannot be read (%s: %s): %s", path, type(error).__name__, error, anew)
        return None


class KeptObjectsModule(DividedModule[Batches], ABC, Generic[Thing, Batches]):
    """Objects number 0 on of the families, divided by their names, and batches of them.

    Args:
        folder: where objects are kept.
        objects: how many.
        batches_per_epoch, val_batches: batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
        seed: of the objects.

    Raises:
        HopriorError: no objects are asked for.
    """

    def __init__(
        self, folder: str | Path, objects: int, batches_per_epoch: int, val_batches: int, val_fraction: float, seed: int
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        if objects < 1:
            raise HopriorError(f"objects is {objects}: at least one")
        self.folder, self.objects, self.seed = Path(folder), objects, seed

    @property
    @abstractmethod
    def kind(self) -> str:
        """What tells these files from those of other settings, "6x32"."""

    @property
    def code(self) -> tuple[Path, ...]:
        """The modules by which `make` makes what is kept, besides its own and those of the families."""
        return ()

    @abstractmethod
    def make(self, thing: Graspable, seed: int) -> Thing:
        """What is kept of an object."""

    @abstractmethod
    def read(self, path: Path) -> Thing | None:
        """A kept object; None where there is none, or it is damaged."""

    @abstractmethod
    def write(self, path: Path, thing: Thing) -> None:
        """Writes an object to a file."""

    @abstractmethod
    def batches(self, things: Sequence[Thing], augmented: bool) -> Batches:
        """The endless sequence of batches of some objects."""

    def is_of_use(self, thing: Thing) -> bool:
        """Whether there is something to learn from an object."""
        return True

    def setup(self, stage: str | None = None) -> None:
        """Makes the objects (once) and divides them."""
        if self.train_batches is not None:
            return
        things = self.things()
        kept_out = held_out([thing.key for thing in things], self.val_fraction)
        train = [thing for thing in things if thing.key not in kept_out]
        val = [thing for thing in things if thing.key in kept_out]
        if not val:
            warn_none_held_out(self.folder, self.val_fraction)
            val = train
        self.train_batches, self.val_batches_of = self.batches(train, True), self.batches(val, False)

    def things(self) -> list[Thing]:
        """All objects of use, made where they are missing."""
        return [thing for thing in self._made() if self.is_of_use(thing)]

    def wanted(self) -> list[tuple[Catalogue, int]]:
        """The objects: which number of which list."""
        catalogue = Catalogue.of(None, [], self.seed)
        return [(catalogue, i) for i in range(self.objects)]

    def _made(self) -> Iterable[Thing]:
        self.folder.mkdir(parents=True, exist_ok=True)
        here = Path(__file__).parents[1]
        own = Path(inspect.getfile(type(self)))
        made_by = code_digest(here / "procedural", here / "synthetic" / "objects.py", own, *self.code)[:DIGITS]
        # The same object may be in two lists.
        wanted = list({catalogue.info(i).key: (catalogue, i) for catalogue, i in self.wanted()}.values())
        with counting_bar() as bar:
            # What an object is and how it is kept is before a name's last dash, behind it by which code it was made.
            names = [f"{catalogue.info(i).key}-{self.kind}" for catalogue, i in wanted]
            places = [self.folder / f"{name}-{made_by}.safetensors" for name in names]
            missing = [name for name, place in zip(names, places, strict=True) if not place.is_file()]
            reasons = Counter(
                "the code that makes them differs" * bool(files_of_keys(self.folder, glob.escape(name), ".safetensors"))
                for name in missing
            )
            say_start(saying(bar.console), len(names) - len(missing), len(names), reasons, "objects")
            task = bar.add_task("objects", total=len(wanted))
            for (catalogue, i), kept in zip(wanted, places, strict=True):
                if (thing := self.read(kept)) is None:
                    thing = self.make(catalogue.make(i), i)
                    write_atomically(kept, partial(self.write, thing=thing))
                yield thing
                bar.advance(task)
