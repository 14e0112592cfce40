"""Spoilt files one after the other: only a `HopriorError` may come out, soon, and in bounded memory."""

import hashlib
import logging
import math
import os
import random
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.making import Reader

from hoprior.errors import HopriorError

SECONDS = 20
"""Of computing, that one file may take; where others compute too, ten times that by the clock."""
MEMORY = 4 << 30
"""Bytes that a process may take beyond what it has when it starts to read."""


class TooSlow(BaseException):
    """A file took longer than it may; no `except Exception` catches it."""


@dataclass
class Counts:
    """What came of the files of one reader."""

    read: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    digests: set[str] = field(default_factory=set)
    """Of the files: what is spoilt the same way again is not read again."""

    def add(self, other: "Counts") -> None:
        """Those of another run."""
        self.read += other.read
        self.refused += other.refused
        self.faults.update(other.faults)
        self.digests |= other.digests

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.read + self.refused + sum(self.faults.values())


def try_files(
    reader: Reader,
    seeds: Iterable[int],
    kept: Path | None = None,
    known: Set[str] = frozenset(),
    seconds: float = math.inf,
) -> Counts:
    """Reads a spoilt file for each seed, of those that are not `known`; the first of each fault is kept in a folder."""
    counts, end = Counts(), time.process_time() + seconds
    with TemporaryDirectory() as name:
        folder = Path(name)
        reader.put(folder)
        whole = dict(reader.beside)
        for seed in seeds:
            if time.process_time() > end:
                break
            file, spoilt = reader.spoilt(random.Random(seed))
            digest = hashlib.blake2b(file.encode() + b"\0" + spoilt, digest_size=8).hexdigest()
            if digest in known or digest in counts.digests:
                continue
            counts.digests.add(digest)
            (folder / file).write_bytes(spoilt)
            fault = _try(reader, folder / reader.file, counts)
            if fault is not None:
                if kept is not None and fault not in counts.faults:
                    kept.mkdir(parents=True, exist_ok=True)
                    (kept / f"{seed}-{file.replace('/', '-')}").write_bytes(spoilt)
                counts.faults[fault] += 1
            if file in whole:
                (folder / file).write_bytes(whole[file])
    return counts


def _try(reader: Reader, path: Path, counts: Counts) -> str | None:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(10 * SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
        counts.read += 1
    except HopriorError as error:
        if "\n" in str(error).strip() or len(str(error)) > 4000:
            return f"HopriorError of {len(str(error))} characters: {str(error)[:80]!r}"
        counts.refused += 1
    except (Exception, TooSlow) as error:
        places = [frame for frame in traceback.extract_tb(error.__traceback__) if "/hoprior/" in frame.filename]
        last = places[-1] if places else None
        where = f"{Path(last.filename).name}:{last.lineno}" if last else "?"
        return f"{type(error).__name__} at {where}: {str(error)[:60]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return None


def set_limits() -> None:
    """An alarm, and a bound on memory, for the process that reads."""

    def stop(*_: object) -> None:
        raise TooSlow

    for kind in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(kind, stop)
    warnings.simplefilter("ignore")  # of the libraries that make spoilt files
    logging.disable(logging.CRITICAL)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
