"""`python -m tests.fuzz --minutes 60`: spoilt files for every reader, each batch in a process of its own.

Readers take turns so that each has the same time, whether its files take long or not; no file counts twice for a
reader. `--minutes 0` tells what all runs with this `--out` have counted.
"""

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.making import Reader
from fuzz.more_readers import more_readers
from fuzz.readers import readers
from fuzz.recordings import recordings
from fuzz.running import Counts, set_limits, try_files

from hoprior.errors import HopriorError

MEMORY_DISK = Path("/dev/shm")
"""Where the spoilt files lie if there is such a place: disks take ten times as long to write a file as it is read."""
BATCH_SECONDS = 4
"""Of computing, after which a batch begins no other file."""


def main() -> int:
    """Counts by reader, of all runs with this `--out`, to the terminal. 1 if there were faults."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", nargs="*", help="names of readers")
    parser.add_argument("--batch", type=int, default=2000, help="files a process at most")
    parser.add_argument("--seed", type=int, default=None, help="of the first file; by the clock if not given")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder of counts and of files with faults")
    given = parser.parse_args()
    if MEMORY_DISK.is_dir():
        tempfile.tempdir = str(MEMORY_DISK)
    with TemporaryDirectory() as mano:
        return _run(given, readers() | more_readers() | recordings(Path(mano)))


def _run(given: argparse.Namespace, all_readers: dict[str, Reader]) -> int:
    chosen = {name: all_readers[name] for name in given.only or all_readers}
    first = time.time_ns() // 1000 if given.seed is None else given.seed
    counts, turns = {name: Counts() for name in chosen}, dict.fromkeys(chosen, 0.0)
    end, said = time.monotonic() + 60 * given.minutes, time.monotonic()
    for reader in chosen.values():
        _warm(reader)
    gc.freeze()  # what is loaded is not to be copied by each batch's collections
    while time.monotonic() < end:
        name = min(turns, key=turns.__getitem__)
        seeds, before = range(first, first + given.batch), _computed()
        counts[name].add(_batch(name, chosen[name], seeds, given.out / "faults", counts[name].digests))
        turns[name] += _computed() - before
        first += given.batch
        if time.monotonic() - said > 60:
            said = time.monotonic()
            _write(counts, given.out)
    _write(counts, given.out)
    return _tell(_all_counts(given.out))


def _warm(reader: Reader) -> None:
    """Reads a right file, so that batches, which are forks, need not each load what the reader does."""
    with TemporaryDirectory() as name:
        reader.put(Path(name))
        if reader.file:
            (Path(name) / reader.file).write_bytes(reader.seeds[0])
        with warnings.catch_warnings(), suppress(HopriorError):  # some right files name a class that there is not
            warnings.simplefilter("ignore")
            reader.read(Path(name) / reader.file)


def _batch(name: str, reader: Reader, seeds: range, kept: Path, known: Set[str]) -> Counts:
    """In a process of its own: one that dies takes nothing along. `known` are digests of what was read before."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            set_limits()
            found = try_files(reader, seeds, kept / name.replace("/", "-"), known, BATCH_SECONDS)
            told = [found.read, found.refused, dict(found.faults.most_common(20)), sorted(found.digests)]
            with os.fdopen(write, "wb") as pipe:
                pipe.write(json.dumps(told).encode())
        except BaseException:  # of the fuzzer itself
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    counts = Counts()
    if answer:
        counts.read, counts.refused, faults, digests = json.loads(answer)
        counts.faults.update(faults)
        counts.digests.update(digests)
    else:
        counts.faults[f"the process died (status {status}) at one of the seeds {seeds}"] += 1
    return counts


def _computed() -> float:
    """Seconds that all batches together have computed; other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(counts: dict[str, Counts], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    table = {name: [c.read, c.refused, dict(c.faults)] for name, c in counts.items()}
    (out / f"counts-{os.getpid()}.json").write_text(json.dumps(table, indent=1))


def _all_counts(out: Path) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for path in sorted(out.glob("counts-*.json")):
        for name, (read, refused, faults) in json.loads(path.read_text()).items():
            found.setdefault(name, Counts()).add(Counts(read, refused, Counter(faults)))
    return found


def _tell(counts: dict[str, Counts]) -> int:
    print(f"{'reader':26}{'inputs':>10}{'read':>10}{'refused':>10}{'faults':>8}")
    for name, one in sorted(counts.items()):
        print(f"{name:26}{one.inputs:>10}{one.read:>10}{one.refused:>10}{sum(one.faults.values()):>8}")
        for fault, times in one.faults.most_common(10):
            print(f"    {times} x {fault}")
    faults = sum(sum(one.faults.values()) for one in counts.values())
    print(f"{'all':26}{sum(one.inputs for one in counts.values()):>10}{'':>20}{faults:>8}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
