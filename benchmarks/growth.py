"""How cost grows with grasps, meshes, faces and frames: the processor's seconds of each, in one run.

    python -m benchmarks.growth [--only grasps meshes faces frames] [--rounds 1] [--out build/bench] [--check]

Each is done after a round of the first size that is not counted, so that what is loaded and compiled once is not in it.
Told is what one more costs, (last - first) / (sizes' difference), beside what the first costs each. `--check` ends with
1 where one more costs more than `MOST` times that: where cost grows faster than what there is to do.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import trimesh
from rich.console import Console
from rich.table import Table

import hoprior
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand.placement import LocalSearchConfig
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.reconstruct.config import FitConfig

MUG = Path(hoprior.__file__).parent / "assets" / "meshes" / "mug.obj"
MOST = 1.3
STILL = FaultWeights(simulate=False)
SMALL = GraspConfig(
    pool=128,
    local_search=LocalSearchConfig(1),
    guiding=DescentConfig(8),
    refining=DescentConfig(20),
    faults=STILL,
)
FIT = FitConfig(hand_steps=10, steps=20, resolution=24, hand_size=40, rounds=1, register_steps=10, stand_ins=False)


@dataclass(frozen=True)
class Growth:
    """What grows, in which sizes, and the work of a size."""

    name: str
    what: str
    sizes: tuple[int, ...]
    work: Callable[[int], Callable[[], object]]


@dataclass(frozen=True)
class Grown:
    """Of one growth: sizes, the processor's seconds of each, of one more, and of one of the first."""

    name: str
    what: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    one_more: float
    of_first: float

    @property
    def ratio(self) -> float:
        """What one more costs, in what each of the first costs: below 1 where some of it is done once for all."""
        return self.one_more / max(self.of_first, 1e-9)


def grasps(num: int) -> Callable[[], object]:
    """Grasps of the shipped mug, without priors and simulation."""
    return lambda: hoprior.grasp(MUG, num=num, priors=[], config=GraspConfig(faults=STILL))


def meshes(num: int) -> Callable[[], object]:
    """Two grasps each of so many mugs, from files to files, by a small search with all priors, in one process."""

    def many() -> None:
        with TemporaryDirectory() as folder:
            mug = trimesh.load_mesh(MUG)
            for k in range(num):
                mug.copy().apply_scale(1 + 0.01 * k).export(f"{folder}/mug_{k}.ply")
            found = list(hoprior.grasp_many(folder, f"{folder}/out", "a mug", num=2, config=SMALL))
            assert all(outcome.status == "done" for outcome in found), found

    return many


def faces(num: int) -> Callable[[], object]:
    """A ball of about so many faces, bumpy, mended and made a grid of distances."""
    ball = trimesh.creation.icosphere(subdivisions=round(np.log(num / 20) / np.log(4)), radius=0.05)
    verts = np.asarray(ball.vertices) * (1 + 0.05 * np.sin(80 * np.asarray(ball.vertices)).sum(axis=1, keepdims=True))
    return lambda: SdfGrid.from_mesh(prepare_mesh(trimesh.Trimesh(verts, ball.faces, process=False)))


def frames(num: int) -> Callable[[], object]:
    """A filmed box of so many frames, fitted in few steps, without priors."""
    from hoprior.datasets.clips.clip import read_clip
    from hoprior.datasets.clips.film import film
    from tests.held_box import FILM, HAND, held_box

    with TemporaryDirectory() as folder:
        film(held_box(num), HAND, Path(folder), FILM)
        clip = read_clip(folder)
    return lambda: hoprior.reconstruct(clip, priors=(), config=FIT)


GROWTHS = [
    Growth("grasps", "grasps of a mug, no priors, not simulated", (10, 40, 160), grasps),
    Growth("meshes", "mugs in one process, two grasps of a small search each", (2, 4, 8), meshes),
    Growth("faces", "faces mended and made a grid", (1280, 5120, 20480, 81920), faces),
    Growth("frames", "frames of a clip, fitted in few steps", (5, 10, 20), frames),
]


def measure(growth: Growth, rounds: int) -> Grown:
    """The median of each size."""
    works = [growth.work(size) for size in growth.sizes]
    works[0]()
    seconds = []
    for work in works:
        spent = []
        for _ in range(rounds):
            before = time.process_time()
            work()
            spent.append(time.process_time() - before)
        seconds.append(statistics.median(spent))
    one_more = (seconds[-1] - seconds[0]) / (growth.sizes[-1] - growth.sizes[0])
    return Grown(growth.name, growth.what, growth.sizes, tuple(seconds), one_more, seconds[0] / growth.sizes[0])


def cells(row: Grown) -> tuple[str, ...]:
    """A row of a table."""
    sizes, seconds = " ".join(f"{n:,}" for n in row.sizes), " ".join(f"{s:.2f}" for s in row.seconds)
    return row.what, sizes, seconds, f"{1000 * row.one_more:.3g}", f"{1000 * row.of_first:.3g}", f"{row.ratio:.2f}"


def markdown(rows: Sequence[Grown]) -> str:
    """A table for a page."""
    lines = ["| what grows | sizes | processor's s | one more, ms | each of the first, ms | ratio |"]
    lines += ["|---|---|---|---|---|---|", *(f"| {' | '.join(cells(row))} |" for row in rows)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="names of what grows")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [measure(growth, given.rounds) for growth in GROWTHS if not given.only or growth.name in given.only]
    table = Table("what grows", "sizes", "processor's s", "one more, ms", "of the first, ms", "ratio")
    for row in rows:
        table.add_row(*cells(row))
    Console(width=150).print(table)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "growth.json").write_text(
            json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=1)
        )
        (given.out / "growth.md").write_text(markdown(rows))
    steep = [row.name for row in rows if row.ratio > MOST]
    if given.check and steep:
        sys.exit(f"cost grows faster than what there is to do: {', '.join(steep)}")


if __name__ == "__main__":
    main()
