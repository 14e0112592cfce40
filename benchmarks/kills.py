"""Commands that are killed at random moments, and run again: the result is that of a run that nobody killed.

usage: python benchmarks/kills.py [--only poses synthesize ...] [--kills 5] [--seed 0] [--work out/kills]

Each command runs once undisturbed, which says how long it computes and what it gives. Then it is started again and
killed (SIGKILL, with all of its processes) after a random share of that, in the same folder, `--kills` times, and run
to its end; one that ends before, as most was there already, is run once more and begins anew. What it leaves must be
the same: each file's bytes, or its content where times are written into it.
"""

import argparse
import hashlib
import importlib
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoprior.cli.entry import main as main_of_hoprior

MUG = str(files("hoprior") / "assets" / "meshes" / "mug.obj")
COMMANDS = ("data_prepare", "data_synthesize", "data_mine", "run_grasp", "run_refine", "run_reconstruct")
LOADED = (
    *(f"hoprior.cli.{name}" for name in COMMANDS),
    *(f"hoprior.tasks.{name}" for name in ("grasp", "refine", "reconstruct.task")),
    *("hoprior.datasets.synthetic.build", "hoprior.datasets.training.poses", "pytorch_lightning"),
)
"""What most of the commands load."""
OF_THE_RUN = ("timings", "versions", "config", "spent", "seconds", "source", "clip")
"""Entries that differ between runs that give the same."""
NOT_RESULTS = (".log", ".csv", ".html", ".png", ".mp4")
"""Endings of what has times in it, or is drawn of what is compared already."""


@dataclass(frozen=True)
class Case:
    """A command, small; `{out}` is its folder, `{work}` that of what it is given."""

    command: str
    before: str = ""


SMALL_GRASP = "--num 2 --config.pool 64 --config.local-search.iterations 2 --no-report"
SMALL_FIT = "--fast --config.steps 20 --config.hand_steps 20 --config.resolution 32 --no-report"
CASES = {
    "poses": Case("data poses --out {out}/poses.safetensors --resting 2000"),
    "prepare": Case("data prepare --procedural 2 --background 8 --out {out}"),
    "synthesize": Case("data synthesize --out {out} --num 2 --families ball"),
    "grasp": Case(f"run grasp --mesh {MUG} --out {{out}} {SMALL_GRASP}"),
    "meshes": Case(
        f"run grasp --mesh {{shapes}} --out {{out}} --prior none --config.faults.simulate false {SMALL_GRASP}"
    ),
    "mine": Case(
        "data mine --cache {work}/cache --out {out} --rounds 1 --steps 20 --num 4",
        "data prepare --procedural 3 --background 8 --out {work}/cache",
    ),
    "reconstruct": Case(
        f"run reconstruct --clip {{work}}/clip --out {{out}} {SMALL_FIT}",
        "data render-clip --out {work}/clip --family mug --frames 3 --film-config.size 96",
    ),
    "refine": Case("run refine --image {photos} --out {out} --config.samples 1 --no-report"),
}


def main() -> int:
    """A line a kill, and 1 if a result differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[name for name in CASES if name not in ("refine", "meshes")])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("out/kills"))
    parser.add_argument("--photos", default="", help="folder of photos, for refine")
    parser.add_argument("--shapes", default="", help="folder or pattern of meshes, for meshes")
    given = parser.parse_args()
    _load()
    rng, differing, kills = random.Random(given.seed), 0, 0
    for name in given.only:
        place = given.work / name
        shutil.rmtree(place, ignore_errors=True)
        (place / "work").mkdir(parents=True)
        case = CASES[name]
        if case.before:
            _run(_words(case.before, place, "work", given))
        seconds = _run(_words(case.command, place, "whole", given))
        wanted = content_of(place / "whole")
        written: set[tuple[str, int]] = set()
        for k in range(given.kills):
            moment = rng.uniform(0.2, 1.0) * seconds
            ended = _run(_words(case.command, place, "killed", given), moment) <= moment
            kills += not ended
            written |= _done(place / "killed")
            print(f"{name}: {'ended before' if ended else 'killed at'} {moment:.1f} of {seconds:.1f} s", flush=True)
            if ended or k == given.kills - 1:
                _run(_words(case.command, place, "killed", given))
                written |= _done(place / "killed")
                found = content_of(place / "killed")
                same = found == wanted
                differing += not same
                others = sorted(n for n in {*found, *wanted} if found.get(n) != wanted.get(n))
                print(f"{name}: {'the same' if same else f'differs in {others[:5]}'}", flush=True)
                if written:
                    once = len({path for path, _ in written})
                    print(f"{name}: {once} things were done {len(written)} times", flush=True)
                    written = set()
                shutil.rmtree(place / "killed", ignore_errors=True)
    print(f"{kills} kills; {differing} results differ")
    return int(differing > 0)


def content_of(folder: Path) -> dict[str, str]:
    """Digests of the files in a folder, by name, without what differs between runs that give the same."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix not in NOT_RESULTS and path.name != "config.yaml":
            content = path.read_bytes()
            if path.suffix == ".json":
                content = json.dumps(_without_times(json.loads(content)), sort_keys=True).encode()
            if path.suffix == ".safetensors":  # the order of its header's entries is any
                size = 8 + int.from_bytes(content[:8], "little")
                content = json.dumps(json.loads(content[8:size]), sort_keys=True).encode() + content[size:]
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _done(folder: Path) -> set[tuple[str, int]]:
    """The indices of many things that are there, each with when it was written."""
    return {(str(path), path.stat().st_mtime_ns) for path in folder.glob("*/grasps.json")}


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_times(value) for name, value in content.items() if name not in OF_THE_RUN}
    return [_without_times(item) for item in content] if isinstance(content, list) else content


def _words(command: str, place: Path, out: str, given: argparse.Namespace) -> list[str]:
    named = {"photos": given.photos, "shapes": given.shapes}
    return [word.format(out=place / out, work=place / "work", **named) for word in command.split()]


def _run(words: Sequence[str], seconds: float = math.inf) -> float:
    """Runs a command to its end, or kills it and all that it has started when it has computed for so long.

    It runs in a fork, which has loaded already what all commands load: most kills would hit nothing else.

    Returns:
        for how long it has computed, s; more than it was given if it was killed.
    """
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.setsid()
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            status = 1
            try:
                status = main_of_hoprior(list(words))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        computed = 0.0
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if (computed := _computed(child)) > seconds:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return computed
            time.sleep(0.01)
        if ended[1]:
            said.seek(0)
            told = said.read().decode(errors="replace")[-400:]
            raise SystemExit(f"{' '.join(words)}: status {os.waitstatus_to_exitcode(ended[1])}: {told}")
    return min(computed, seconds)


def _computed(process: int) -> float:
    """Seconds: what else the machine does is not to shift the moments."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _load() -> None:
    """What the commands import, once for all of them."""
    for name in LOADED:
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
