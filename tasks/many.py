"""Many things of one task: each in a folder of its own, whole or not at all, gone on with after a kill, and a manifest.

What is done says the folders themselves: results carry the digests of what they were made of (`MADE_OF` among their
settings), so that a later run knows which of them are as it would make them. `manifest.json` is for reading.
"""

import errno
import inspect
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.common.jobs import run_jobs
from hoprior.common.reading import read_json
from hoprior.common.run_key import RunKey
from hoprior.errors import ArgumentError, HopriorError
from hoprior.priors.registry import keep_priors, kept_priors
from hoprior.results.folder import REPORT_NAME, package_versions
from hoprior.results.report import write_report
from hoprior.tasks.many_items import Item, named_files

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"
FORMAT = "hoprior-many/1"
MADE_OF = "made_of"
"""Among the settings of a result of many: digests of what it was made of."""
EVERY = 5.0
"""Seconds between two states of the manifest, at least."""
ENGINES = ("local", "ray")
OF_THE_RUN = ("device", "seed")
"""Settings that are no part of "the settings" in a key: results do not follow from one, and the other is named."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
Status: TypeAlias = Literal["done", "kept", "failed", "waiting"]


@dataclass(frozen=True)
class Outcome:
    """What came of one of many things.

    Attributes:
        name: of its folder.
        source: its file or folder.
        folder: of its results.
        status: done, or kept as an earlier run had done it, or failed.
        seconds: that it took, start-up not counted; null of what an earlier run did.
        error: a sentence, of what failed.

    Example:
        >>> Outcome("mug", "meshes/mug.obj", Path("out/mug"), "done", 41.5).error is None
        True
    """

    name: str
    source: str
    folder: Path
    status: Status
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Work:
    """What is done with each of many things.

    Attributes:
        task: its name, "grasp".
        index_name: of the file that makes a folder of results whole.
        do: called with an item, its folder and the digests that its results are to carry (`MADE_OF`).
        key: what an item's results follow from.
        report: whether each folder gets its page; one that was kept, too, where a run was killed before it was written.
    """

    task: str
    index_name: str
    do: Callable[[Item, Path, Mapping[str, str]], object]
    key: Callable[[Item], RunKey]
    report: bool = False


def check_settings(
    settings: Mapping[str, Any], many: Callable[..., Any], one: Callable[..., Any], own: Collection[str]
) -> None:
    """Refuses what is no argument of the function that does one, or is one of those in which each has its `own`.

    Raises:
        HopriorError: there is one.

    Example:
        >>> import hoprior
        >>> check_settings({"seed": 1}, hoprior.grasp_many, hoprior.grasp, own=("mesh",))
    """
    known = inspect.signature(one).parameters
    if unknown := [name for name in settings if name not in known or name in own]:
        name = unknown[0]
        raise ArgumentError(name, settings[name], f"is no argument of {many.__name__}, nor of {one.__name__}")


def gpus_for(settings: Mapping[str, Any]) -> float:
    """How many GPUs of a cluster each thing needs with such settings.

    Example:
        >>> gpus_for({"device": "cuda"}), gpus_for({})
        (1.0, 0.0)
    """
    return 1.0 if str(settings.get("device", "auto")).startswith("cuda") else 0.0


def key_of(what: str, made_of: str, text: str | None, settings: Mapping[str, Any], of_all: Mapping[str, Any]) -> RunKey:
    """What one of many results follows from: not the device, nor where its file lies.

    Args:
        what: "the mesh".
        made_of: the digest of that.
        text: what is said of it.
        settings: its own and those of all, by name.
        of_all: those of all alone, of which some may name files.
    """
    of_all = {name: value for name, value in of_all.items() if name not in OF_THE_RUN}
    return RunKey.of(
        {
            what: made_of,
            "the text": text,
            "the seed": settings.get("seed", 0),
            "the settings": {name: value for name, value in settings.items() if name not in OF_THE_RUN},
            "the version": version("hoprior"),
            "files that the settings name": named_files(of_all),
        }
    )


def run_many(
    items: Sequence[Item],
    work: Work,
    out: Path,
    *,
    workers: int = 1,
    engine: str = "local",
    cluster: str = "auto",
    gpus: float = 0.0,
    say: Callable[[str], object] | None = None,
) -> Iterator[Outcome]:
    """Does all that is not done yet, and yields what came of each: first of what is kept, then as they end.

    What fails is told and does not keep the others from being done; a later run tries it again.

    Args:
        workers: processes on this machine, of one thread each where they are several; with one it is this process.
        engine: "local", or "ray" for a cluster that has these files at the same paths.
        cluster: address of that; "auto" is the one that this machine belongs to.
        gpus: of that, which each thing needs.
        say: told a sentence about what is there.

    Raises:
        HopriorError: nothing can be written in `out`, the disk is full, or workers cannot be started.
    """
    if engine not in ENGINES:
        raise ArgumentError("engine", engine, f"is unknown: use {' or '.join(ENGINES)}")
    if workers < 1:
        raise ArgumentError("workers", workers, "is too few: use at least one")
    out = out.absolute()
    check_place(out)
    manifest = _Manifest(out, work.task, items)
    keys: dict[str, RunKey] = {}
    waiting: list[tuple[Any, ...]] = []
    kept: list[Outcome] = []
    reasons: Counter[str] = Counter()
    for item in items:
        folder = out / item.name
        try:
            key = keys[item.name] = work.key(item)
        except HopriorError as error:
            manifest.enter(Outcome(item.name, item.source, folder, "failed", 0.0, str(error)))
            continue
        earlier = _made_of(folder / work.index_name)
        if earlier is not None and not (why := key.differing(earlier)):
            kept.append(Outcome(item.name, item.source, folder, "kept"))
        else:
            if earlier is not None:
                reasons[why] += 1
            waiting.append((work.do, item, folder, key.plain(), work.report, workers > 1 or engine == "ray"))
    if kept or reasons:
        anew = "".join(f"; {count} are made anew, because {why}" for why, count in reasons.items())
        (say or logger.info)(f"resumed: {len(kept)} of {len(items)} are there{anew}")
    try:
        manifest.write()
        for outcome in [*manifest.entered(), *kept]:
            if outcome.status == "kept":
                if work.report and not (outcome.folder / REPORT_NAME).exists():
                    write_report(outcome.folder)
                manifest.enter(outcome)
            yield outcome
        address = cluster if engine == "ray" else None
        with kept_priors():
            for job, (seconds, said, full) in run_jobs(
                _do_one, waiting, workers, address, gpus=gpus, lost=lambda job, error: (0.0, error, False)
            ):
                _, item, folder, *_ = job
                outcome = Outcome(item.name, item.source, folder, "failed" if said else "done", seconds, said)
                manifest.enter(outcome)
                if full:
                    raise HopriorError(str(said))
                yield outcome
                manifest.write(EVERY)
    finally:
        manifest.write()


def _do_one(
    do: Callable[[Item, Path, Mapping[str, str]], object],
    item: Item,
    folder: Path,
    made_of: Mapping[str, str],
    report: bool,
    in_worker: bool,
) -> tuple[float, str | None, bool]:
    """Seconds, a sentence if it failed, and whether the disk is full. Runs here, in a worker, or on a cluster."""
    if in_worker:  # which does nothing else, and whose fellows have the other cores
        torch.set_num_threads(1)
        keep_priors()
    began = time.perf_counter()
    said: str | None = None
    full = False
    try:
        do(item, folder, made_of)
        if report:
            write_report(folder)
    except HopriorError as problem:
        said = str(problem)
        full = isinstance(problem.__cause__, OSError) and problem.__cause__.errno in NO_ROOM
    except Exception as problem:  # of one among thousands: whatever it is, the others go on
        logger.info("%s", item.source, exc_info=True)
        said = f"{item.source}: {type(problem).__name__}: {' '.join(str(problem).split())[:300]}"
    return time.perf_counter() - began, said, full


def _made_of(index: Path) -> RunKey | None:
    """What results were made of; None if there are none, or none of many."""
    if not index.is_file():
        return None
    try:
        content = read_json(index)
    except HopriorError:
        return None
    settings = content.get("config") if isinstance(content, dict) else None
    return RunKey.read(settings.get(MADE_OF)) if isinstance(settings, dict) else None


class _Manifest:
    """What `manifest.json` says."""

    def __init__(self, out: Path, task: str, items: Sequence[Item]) -> None:
        self.path, self.task = out / MANIFEST_NAME, task
        earlier = self._earlier()
        self.items = {
            item.name: {
                "name": item.name,
                "source": item.source,
                "settings": dict(item.settings),
                "status": "waiting",
                "seconds": earlier.get(item.name),
                "error": None,
            }
            for item in items
        }
        self.outcomes: list[Outcome] = []
        self.began = self.written = time.perf_counter()

    def _earlier(self) -> dict[str, float]:
        """Seconds that an earlier run says of each.

        Raises:
            HopriorError: there is a file of this name that hoprior did not write.
        """
        if not self.path.exists():
            return {}
        content = read_json(self.path, "remove it, or choose another folder")
        if not isinstance(content, dict) or not str(content.get("format", "")).startswith("hoprior-many/"):
            raise HopriorError(f"{self.path}: is not one of hoprior's: choose another folder")
        listed = content.get("items")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        return {
            str(entry.get("name")): entry["seconds"]
            for entry in entries
            if isinstance(entry.get("seconds"), float) and entry.get("status") == "done"
        }

    def enter(self, outcome: Outcome) -> None:
        """Notes what came of one."""
        entry = self.items[outcome.name]
        entry["status"] = "done" if outcome.status == "kept" else outcome.status
        entry["error"] = outcome.error
        if outcome.seconds is not None:
            entry["seconds"] = round(outcome.seconds, 3)
        self.outcomes.append(outcome)

    def entered(self) -> list[Outcome]:
        """What has been noted so far."""
        return list(self.outcomes)

    def write(self, every: float = 0.0) -> None:
        """Writes what is known, unless it was written within so many seconds."""
        now = time.perf_counter()
        if every and now - self.written < every:
            return
        self.written = now
        counts = Counter(entry["status"] for entry in self.items.values())
        content = {
            "format": FORMAT,
            "task": self.task,
            "counts": {status: counts[status] for status in ("done", "failed", "waiting")},
            "seconds": round(now - self.began, 3),
            "items": list(self.items.values()),
            "versions": package_versions(),
        }
        write_atomically(self.path, lambda path: path.write_text(strict_json(content), encoding="utf-8"))
