"""Two ways of the same work side by side, in one run: how many times quicker hoprior's own is.

    python -m benchmarks.bench [--only WORD ...] [--rounds 7] [--threads 1] [--out build/bench] [--check]

Each round does both ways one after the other, so that whatever else the machine does meets both; told are the medians
of the processor's milliseconds and of the rounds' ratios, with the quarters of these. `--out` gets a JSON, a Markdown
table and a plot (SVG). `--check` ends with 1 where a ratio is less than the least that is allowed, which is far below
the usual one.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import trimesh
from rich.console import Console
from rich.table import Table

import hoprior
from benchmarks.bench_plot import bars
from benchmarks.sds_step import CONFIGS, make_prior, make_state
from hoprior.common.compute import inference_dtype
from hoprior.geometry.engines import ENGINES
from hoprior.geometry.grid import GridSpec, sample_object_grid
from hoprior.geometry.lookup import trilinear_distance
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand import OpenHand, load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.hand.placement import random_placements
from hoprior.kernels.choice import SWITCH
from hoprior.kernels.fields import DistanceAt
from hoprior.kernels.grids import object_grid
from hoprior.models.networks.norms import QuickGroupNorm
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.priors.guidance import sds_loss
from hoprior.priors.registry import load_prior
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN, render_scene
from hoprior.tasks.grasp.config import SHALLOW, WRAPPING
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.guided import descend_guided
from hoprior.tasks.grasp.terms import HeldGuidance

MUG = Path(hoprior.__file__).parent / "assets" / "meshes" / "mug.obj"
Work = Callable[[], Any]


@dataclass(frozen=True)
class Pair:
    """The same work in two ways; the ratio is theirs over ours, each divided by how much of the work it does."""

    name: str
    ours: str
    theirs: str
    make: Callable[[], tuple[Work, Work]]
    least: float = 1.0
    """The ratio below which `--check` fails."""
    per_theirs: float = 1.0
    """How many of ours one call of theirs stands for."""
    in_processes: bool = False


@dataclass(frozen=True)
class Measured:
    """Of one pair: medians of milliseconds, and the quartiles of the ratio."""

    name: str
    ours: str
    theirs: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    lower: float
    upper: float
    least: float


@contextmanager
def without_kernels() -> Iterator[None]:
    """torch does all."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "off"
    try:
        yield
    finally:
        os.environ.pop(SWITCH) if before is None else os.environ.update({SWITCH: before})


def both(work: Work) -> tuple[Work, Work]:
    """A work with kernels and without."""

    def by_torch() -> Any:
        with without_kernels():
            return work()

    return work, by_torch


def features() -> torch.Tensor:
    """As a placement network has them after its first layer, of 32 placements."""
    return torch.randn(32, 48, 8, 8, 8).contiguous(memory_format=torch.channels_last_3d)


def norm() -> tuple[Work, Work]:
    layer, x = QuickGroupNorm(8, 48).requires_grad_(False), features()
    return both(torch.no_grad()(lambda: layer(x)))


def norm_slopes() -> tuple[Work, Work]:
    layer, x = QuickGroupNorm(8, 48), features().requires_grad_()
    return both(lambda: torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()]))


def mug_state(num: int, slopes: bool = False) -> HandObjectState:
    """Random hands at the shipped mug."""
    mesh = trimesh.load(MUG, force="mesh")
    sdf = SdfGrid.from_mesh(mesh, resolution=64)
    placed = random_placements(mesh, num, torch.Generator().manual_seed(0)).requires_grad_(slopes)
    hand = load_hand()
    joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles.expand(num, -1, -1)))
    return HandObjectState(sdf, placed, joints)


def anew(state: HandObjectState) -> HandObjectState:
    """The same hands that nobody has looked up yet: what was looked up last is remembered."""
    return replace(state, T_object_hand=state.T_object_hand.clone())


def look_up() -> tuple[Work, Work]:
    state, spec = mug_state(64), GridSpec(PALM_CENTRE, 0.12, 16)
    return lambda: object_grid(anew(state), spec), lambda: sample_object_grid(anew(state), spec)


def look_up_slopes() -> tuple[Work, Work]:
    state, spec = mug_state(32, slopes=True), GridSpec(PALM_CENTRE, 0.12, 16)

    def slopes(grid: Callable[..., torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(grid(state, spec).square().sum(), state.T_object_hand)

    return slopes(object_grid), slopes(sample_object_grid)


def points_of_a_grid() -> tuple[Work, Work]:
    """Points along a fit's rays, with slopes in themselves and in the grid."""
    values, points = torch.randn(48, 48, 48).requires_grad_(), (torch.rand(38_400, 3) - 0.5).requires_grad_()
    lower, upper = torch.full((3,), -0.4), torch.full((3,), 0.4)

    def by_torch() -> torch.Tensor:
        return trilinear_distance(values[None, None], points[None] / upper, upper)

    def slopes(look_up: Callable[[], torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(look_up().sum(), [values, points])

    return slopes(lambda: DistanceAt.apply(values, lower, upper, points)), slopes(by_torch)


def picture() -> tuple[Work, Work]:
    mug, hand = trimesh.load(MUG, force="mesh").subdivide_to_size(0.004), load_hand()
    scene = [(mug.vertices, mug.faces, OBJECT_GREY), (hand.v_template.numpy(), hand.faces.numpy(), SKIN)]
    return both(lambda: render_scene(scene, (320, 320)))


def judge() -> tuple[Work, Work]:
    prior, state = load_prior("contrastive"), mug_state(64)
    prior.compute_dtype = inference_dtype(torch.device("cpu"))
    return both(torch.no_grad()(lambda: prior.placement_energy(anew(state))))


def guide() -> tuple[Work, Work]:
    prior, state = load_prior("contrastive"), mug_state(32, slopes=True)
    prior.compute_dtype = inference_dtype(torch.device("cpu"))
    return both(lambda: torch.autograd.grad(prior.energy(state).sum(), state.T_object_hand))


def descend() -> tuple[Work, Work]:
    mesh, hand = trimesh.load(MUG, force="mesh"), OpenHand()
    sdf = SdfGrid.from_mesh(mesh, resolution=64)
    energy, walls = FleshEnergy(hand, sdf, SHALLOW), CollisionGuard(hand, sdf)
    hands = GraspBatch(
        hand.relaxed_angles.repeat(16, 1, 1), random_placements(mesh, 16, torch.Generator().manual_seed(0))
    )

    def unasked(_: Any) -> Any:
        raise AssertionError("no prior looks at hands")

    return both(lambda: descend_guided(hands, energy, HeldGuidance([]), unasked, WRAPPING, walls))


def distances() -> tuple[Work, Work]:
    mesh = trimesh.load(MUG, force="mesh")
    points = mesh.sample(4000) + 0.02 * torch.randn(4000, 3).numpy()
    return lambda: ENGINES["igl"](mesh, points), lambda: ENGINES["trimesh"](mesh, points)


def hands(slopes: bool) -> tuple[Work, Work]:
    """MANO with shapes, beside smplx's own layer, both of a made-up file of the same size."""
    import tempfile

    import smplx
    from smplx.utils import Struct

    from hoprior.hand.mano import ManoHand
    from tests.made_up_mano import made_up_mano, write_mano_folder

    with tempfile.TemporaryDirectory() as folder:
        ours = ManoHand("right", write_mano_folder(Path(folder)))
    with open(os.devnull, "w") as quiet, redirect_stdout(quiet):
        theirs = smplx.MANO("", data_struct=Struct(**made_up_mano()), use_pca=False, flat_hand_mean=True)
    angles, betas, orient, transl = 0.3 * torch.randn(32, 45), *torch.randn(32, 16).split([10, 3, 3], dim=1)
    pose = ours.from_smplx(angles, betas, orient, transl)
    mine, other = (leaf.clone().requires_grad_(slopes) for leaf in (pose.hand_pose, angles))

    def made(mesh: Work, leaf: torch.Tensor) -> Work:
        return (lambda: torch.autograd.grad(mesh().square().sum(), leaf)) if slopes else torch.no_grad()(mesh)

    return (
        made(lambda: ours(mine, pose.betas, pose.global_orient, pose.transl).verts, mine),
        made(lambda: theirs(betas=betas, hand_pose=other, global_orient=orient, transl=transl).vertices, other),
    )


def guided_step() -> tuple[Work, Work]:
    def step(folder: Path, grasps: int) -> Work:
        prior, state = make_prior(folder), make_state(grasps)
        prior.compute_dtype = inference_dtype(torch.device("cpu"))
        cond = torch.randn(grasps, 1, prior.text_dim)
        return lambda: sds_loss(prior, state, cond, guidance_scale=4.0).loss.backward()

    return step(CONFIGS, 10), step(CONFIGS / "paper", 1)


def command(*words: str) -> Work:
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def helped() -> tuple[Work, Work]:
    return command("-m", "hoprior", "run", "grasp", "--help"), command("-c", "import torch")


PAIRS = [
    Pair("GroupNorm, 32 x 48 x 8³", "kernel", "torch", norm, 1.3),
    Pair("GroupNorm with slopes", "kernel", "torch", norm_slopes),
    Pair("object on 16³ points, 64 hands", "kernel", "torch", look_up, 1.5),
    Pair("the same with slopes, 32 hands", "kernel", "torch", look_up_slopes, 1.1),
    Pair("38,400 distances with slopes", "kernel", "torch", points_of_a_grid, 1.1),
    Pair("picture of 320², hand and mug", "kernels", "numpy", picture, 1.3),
    Pair("contrastive judges 64 placements", "kernels", "torch", judge, 1.1),
    Pair("contrastive guides 32 hands", "kernels", "torch", guide, 1.05),
    Pair("refinement of 16 hands", "kernel", "torch", descend, 3.0),
    Pair("distances at 4,000 points", "igl", "trimesh", distances, 2.0),
    Pair("MANO with betas, 32 hands", "hoprior", "smplx", lambda: hands(False), 0.9),
    Pair("the same with slopes", "hoprior", "smplx", lambda: hands(True), 0.9),
    Pair("guided step of a grasp (SDS)", "shipped", "paper's size", guided_step, 10.0, per_theirs=10.0),
    Pair("run grasp --help", "hoprior", "import torch", helped, 2.0, in_processes=True),
]


def seconds_of(work: Work, in_processes: bool) -> float:
    """The processor's seconds of a call, those of processes that it starts if these do the work."""

    def now() -> float:
        times = os.times()
        return times.children_user + times.children_system if in_processes else time.process_time()

    before = now()
    work()
    return now() - before


def measure(pair: Pair, rounds: int) -> Measured:
    """Both ways of a pair, in turns, after a round that is not counted."""
    torch.manual_seed(0)
    works = pair.make()
    rows = [[seconds_of(work, pair.in_processes) for work in works] for _ in range(rounds + 1)][1:]
    ratios = sorted(pair.per_theirs * theirs / max(ours, 1e-6) for ours, theirs in rows)
    lower, ratio, upper = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    ours_ms, theirs_ms = (1000 * statistics.median(column) for column in zip(*rows, strict=True))
    return Measured(pair.name, pair.ours, pair.theirs, ours_ms, theirs_ms, ratio, lower, upper, pair.least)


def table_of(rows: list[Measured]) -> Table:
    """To be read on a screen."""
    table = Table("work", "ours", "ms", "beside", "ms", "times quicker", "quarters", "least")
    for row in rows:
        quarters = f"{row.lower:.2f} - {row.upper:.2f}"
        figures = (row.name, row.ours, f"{row.ours_ms:.1f}", row.theirs, f"{row.theirs_ms:.1f}")
        table.add_row(*figures, f"{row.ratio:.2f}", quarters, f"{row.least:g}")
    return table


def write(rows: list[Measured], folder: Path, threads: int) -> None:
    """JSON, Markdown and a plot."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"machine": platform.processor() or platform.machine(), "threads": threads, "torch": torch.__version__}
    (folder / "bench.json").write_text(json.dumps(about | {"pairs": [asdict(row) for row in rows]}, indent=1))
    lines = ["| work | ours | ms | beside | ms | times quicker |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r.name} | {r.ours} | {r.ours_ms:.1f} | {r.theirs} | {r.theirs_ms:.1f} | {r.ratio:.2f} "
        f"({r.lower:.2f} - {r.upper:.2f}) |"
        for r in rows
    ]
    (folder / "bench.md").write_text("\n".join(lines) + "\n")
    (folder / "bench.svg").write_text(bars([(r.name, f"{r.ours} beside {r.theirs}", r.ratio) for r in rows]))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="pairs whose names have one of these words")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = [pair for pair in PAIRS if not arguments.only or any(word in pair.name for word in arguments.only)]
    rows = [measure(pair, arguments.rounds) for pair in chosen]
    Console(width=150).print(table_of(rows))
    if arguments.out:
        write(rows, arguments.out, arguments.threads)
    slow = [row.name for row in rows if row.ratio < row.least]
    if arguments.check and slow:
        sys.exit(f"slower than is allowed: {', '.join(slow)}")


if __name__ == "__main__":
    main()
