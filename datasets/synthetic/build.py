"""The set as a whole: objects in turn until there are enough grasps, in any number of processes, killed or not.

The set is the shortest row of objects, from number 0 on, that has the grasps asked for. Who makes which object, in what
order and after how many interruptions changes nothing: each shard depends on its number and the settings alone.
"""

import glob
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hoprior.common.io import check_place
from hoprior.common.run_key import RunKey, files_of_keys, reason, say_start
from hoprior.common.workers import end_workers, process_pool
from hoprior.datasets.samples.cache import made_of_file
from hoprior.datasets.samples.code_digest import code_digest
from hoprior.datasets.samples.grids import hand_digest
from hoprior.datasets.synthetic.make import MakeConfig, make_grasps
from hoprior.datasets.synthetic.manifest import Entry, write_manifest
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.synthetic.shards import FORMAT, SyntheticShard, read_shard, shard_path, write_shard
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.language import taxonomy

logger = logging.getLogger(__name__)

FRUITLESS_ROUNDS = 2
"""So many objects of every kind without a grasp among them all end a run that would else go on for ever."""
STRIKES = 2
"""How often a worker may die over an object before the run ends."""


@dataclass(frozen=True)
class SynthesisConfig:
    """What the set depends on: the objects, how grasps are made, and how many are wanted."""

    catalogue: Catalogue
    num: int
    make: MakeConfig = field(default_factory=MakeConfig)
    hand: str = "open"

    def __post_init__(self) -> None:
        if self.num < 1:
            raise HopriorError(f"--num {self.num}: ask for at least one grasp")

    def settings(self) -> dict[str, Any]:
        """All settings, for the manifest."""
        return json.loads(json.dumps(asdict(self)))

    def key(self, i: int) -> str:
        """Names everything that object i's shard depends on, but how many grasps the set is to have."""
        return hashlib.sha256(json.dumps(self._made_of(i), sort_keys=True).encode()).hexdigest()

    def parts(self, i: int) -> RunKey:
        """The same part by part, but for the object's name and number, to say what differs from an earlier set's."""
        made_of = self._made_of(i)
        return RunKey.of(
            {
                "the seed": made_of["seed"],
                "the settings": made_of["make"],
                "the hand model": made_of["hand"],
                "the shapes": None
                if i % len(self.catalogue.kinds) < len(self.catalogue.families)
                else made_of["shape"],
                "the code of the sets": made_of["code"],
                "the format": made_of["format"],
            }
        )

    def _made_of(self, i: int) -> dict[str, Any]:
        here = Path(__file__).parent
        return {
            "format": FORMAT,
            "make": asdict(self.make),
            "hand": hand_digest(self.hand),
            "seed": self.catalogue.seed,
            "object": asdict(self.catalogue.info(i)),
            "shape": self.catalogue.fingerprint(i),
            "code": code_digest(here, here.parent / "procedural", Path(taxonomy.__file__)),
        }

    def path(self, out: Path, i: int) -> Path:
        """Where object i's shard belongs."""
        return shard_path(out, self.catalogue.info(i).name, self.key(i))


@dataclass(frozen=True)
class Progress:
    """An object that has been done: its entry, whether its shard was there already, and the grasps so far."""

    entry: Entry
    reused: bool
    total: int


def entry_of(i: int, path: Path, shard: SyntheticShard) -> Entry:
    """What the manifest says of a shard."""
    grasps = 0 if shard.grasps is None else len(shard.grasps)
    labels = [] if shard.grasps is None else [sample.label for sample in shard.grasps]
    return Entry(
        number=i,
        object=shard.info.name,
        category=shard.info.category,
        file=path.name,
        digest=shard.digest,
        grasps=grasps,
        counts=shard.counts,
        parts=tuple(label.part for label in labels),
        intentions=tuple(label.intention for label in labels),
    )


def make_object(config: SynthesisConfig, i: int, out: Path) -> Entry:
    """Makes one object's shard. An object that cannot be made gives an entry that says why."""
    torch.set_num_threads(1)
    info = config.catalogue.info(i)
    try:
        graspable = config.catalogue.make(i)
        made = make_grasps(graspable, load_hand(config.hand), config.catalogue.seed, config.make)
    except HopriorError as error:
        return Entry(i, info.name, info.category, skipped=str(error))
    path = config.path(out, i)
    write_shard(path, made, config.parts(i))
    return entry_of(i, path, read_shard(path))


def kept_entry(config: SynthesisConfig, i: int, out: Path) -> Entry | None:
    """The entry of a shard that is there and whole; a damaged one is named and removed, to be made again."""
    try:
        path = config.path(out, i)
    except HopriorError as error:
        info = config.catalogue.info(i)
        return Entry(i, info.name, info.category, skipped=str(error))
    if not path.is_file():
        return None
    try:
        return entry_of(i, path, read_shard(path))
    except HopriorError as error:
        logger.warning("%s: made again", error)
        path.unlink()
        return None


def say_what_is_there(config: SynthesisConfig, out: Path, say: Callable[[str], object]) -> None:
    """Says how much of an earlier run is kept, and what differs where it is not."""
    kinds = len(config.catalogue.kinds)
    kept, reasons = 0, Counter[str]()
    # Objects that could not be made have no shard, so the first gap is not yet the end.
    i = gap = 0
    while gap < kinds:
        try:
            there, parts = config.path(out, i).is_file(), config.parts(i)
        except HopriorError:  # a mesh that is not there any more; it is named when it is its turn
            there, parts = False, None
        kept, gap = kept + there, 0 if there else gap + 1
        if not there and parts is not None:
            kind = glob.escape(config.catalogue.info(i).name.rsplit("_", 2)[0])
            reasons[reason(parts, files_of_keys(out, f"{kind}_*_*", ".safetensors"), made_of_file)] += 1
        i += 1
    say_start(say, kept, None, reasons, "objects")


def synthesize(
    config: SynthesisConfig, out: Path, workers: int = 1, say: Callable[[str], object] = logger.info
) -> Iterator[Progress]:
    """Makes the set in `out`, yielding after every object, in the objects' order; the manifest comes at the end.

    Args:
        say: told how much of an earlier run is kept, and why the rest is not; the log if not given.

    Raises:
        HopriorError: the folder cannot be written, a worker keeps dying over one object, or no object gives grasps.
    """
    if workers < 1:
        raise HopriorError(f"--workers {workers}: at least one is needed")
    check_place(out)
    out.mkdir(parents=True, exist_ok=True)
    say_what_is_there(config, out, say)
    entries: list[Entry] = []
    total, fruitless = 0, 0
    results = _in_order(config, out, workers)
    try:
        for entry, reused in results:
            entries.append(entry)
            total += entry.grasps
            fruitless = 0 if entry.grasps else fruitless + 1
            yield Progress(entry, reused, total)
            if total >= config.num:
                break
            if fruitless >= FRUITLESS_ROUNDS * len(config.catalogue.kinds):
                reasons = next((f", such as {e.object}: {e.skipped}" for e in entries[::-1] if e.skipped), "")
                raise HopriorError(
                    f"{fruitless} objects in a row, of every kind asked for, gave no grasp{reasons}; "
                    f"there are {total} of {config.num}: ask for other families or meshes"
                )
    finally:
        results.close()
    write_manifest(out, config.settings(), entries)


def _in_order(config: SynthesisConfig, out: Path, workers: int) -> Generator[tuple[Entry, bool], None, None]:
    """The entries of objects 0, 1, 2, ... without end, and whether each was there already."""
    if workers == 1:
        i = 0
        while True:
            entry = kept_entry(config, i, out)
            yield entry or make_object(config, i, out), entry is not None
            i += 1
    yield from _Crew(config, out, workers).entries()


class _Crew:
    """Worker processes that make objects ahead of the one that is asked for next; a dead worker is replaced."""

    def __init__(self, config: SynthesisConfig, out: Path, workers: int) -> None:
        self.config, self.out, self.workers = config, out, workers
        self.running: dict[int, Future[Entry]] = {}
        self.done: dict[int, tuple[Entry, bool]] = {}
        self.strikes: dict[int, int] = {}
        self.asked = 0
        self.pool = process_pool(workers)

    def entries(self) -> Iterator[tuple[Entry, bool]]:
        """The objects' entries in their order."""
        i = 0
        try:
            while True:
                self._collect(i)
                yield self.done.pop(i)
                i += 1
        finally:
            end_workers(self.pool)

    def _collect(self, i: int) -> None:
        """Works until object i is done."""
        while i not in self.done:
            while len(self.running) < self.workers and self.asked < i + 2 * self.workers:
                if (entry := kept_entry(self.config, self.asked, self.out)) is not None:
                    self.done[self.asked] = (entry, True)
                else:
                    self._submit(self.asked)
                self.asked += 1
            if i in self.done:
                return
            wait(self.running.values(), return_when=FIRST_COMPLETED)
            try:
                for k in [k for k, future in self.running.items() if future.done()]:
                    self.done[k] = (self.running[k].result(), False)
                    del self.running[k]
            except (BrokenProcessPool, SystemExit) as error:
                self._replace(error)

    def _submit(self, i: int) -> None:
        self.running[i] = self.pool.submit(make_object, self.config, i, self.out)

    def _replace(self, error: BaseException) -> None:
        """Starts new workers after one was ended from outside, and gives them what was left undone."""
        end_workers(self.pool)
        again = sorted(self.running)
        names = ", ".join(self.config.catalogue.info(i).name for i in again)
        for i in again:
            self.strikes[i] = self.strikes.get(i, 0) + 1
        if max(self.strikes.values()) >= STRIKES:
            raise HopriorError(
                f"workers were ended from outside {STRIKES} times, perhaps for their memory, while they made {names}; "
                "run again with fewer --workers: what was finished is kept"
            ) from error
        logger.warning("a worker was ended from outside; made again: %s", names)
        self.pool = process_pool(self.workers)
        self.running = {}
        for i in again:
            self._submit(i)


def synthesize_all(
    config: SynthesisConfig, out: Path, workers: int = 1, report: Callable[[Progress], None] | None = None
) -> None:
    """`synthesize`, run to its end; `report` hears of every object."""
    for progress in synthesize(config, out, workers):
        if report is not None:
            report(progress)
