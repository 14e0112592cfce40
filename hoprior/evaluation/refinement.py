"""`hoprior eval refine`: errors of refined hands by how much of them is occluded, as a table, as JSON and as CSV.

The benchmark is in `hoprior.datasets.benchmarks.occluded_hands`; docs/refine.md says what is measured and how it is
made.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.compute import torch_device
from hoprior.common.console import progress_bar
from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.datasets.benchmarks.occluded_hands import (
    LEVELS,
    EstimateNoise,
    OccludedHands,
    held_out_grasps,
    make_benchmark,
)
from hoprior.datasets.benchmarks.occluded_recordings import recorded_benchmark
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.errors import HopriorError
from hoprior.geometry.camera import project
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.metrics.pose import pa_mpjpe_mm
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.tasks.refine.evidence import HandViews, Picture
from hoprior.tasks.refine.sampling import RefineConfig, refine_poses
from hoprior.tasks.refine.task import as_pose_prior

FORMAT = "hoprior-refine-metrics/1"
DEFAULT_CONFIG = RefineConfig()
FIRST, NO_TEXT, TEXT, WRONG = "first estimate", "prior, no text", "prior, text", "prior, wrong text"
BOOTSTRAPS = 2000


@dataclass(frozen=True)
class RefineEvaluation:
    """Mean PA-MPJPE (mm) by method and level, with 95 % bootstrap intervals; hands a level; seconds by method."""

    errors: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    counts: dict[str, int]
    seconds: dict[str, float]


def benchmark_views(bench: OccludedHands, hand: HandModel) -> HandViews:
    """The first estimates as refinement takes them: their own projections are all that is known of the picture, and
    that nothing stands before hands that hold nothing."""
    keypoints = project(_joints(hand, bench.first), bench.K)
    pictures = tuple(Picture(None) if alone else None for alone in bench.alone)
    return HandViews(bench.first, bench.K, keypoints, torch.ones(len(bench), 21), bench.occluded, pictures)


def evaluate(
    prior: PosePrior, bench: OccludedHands, hand: HandModel, config: RefineConfig, seed: int = 0, progress: Any = None
) -> RefineEvaluation:
    """Refines the benchmark's hands without text, with their text and with another grasp's, and measures all."""
    tell = progress or (lambda stage, share: None)
    views = benchmark_views(bench, hand)
    truth = _joints(hand, bench.truth) if bench.joints is None else bench.joints
    found = {FIRST: pa_mpjpe_mm(_joints(hand, bench.first), truth)}
    seconds = {}
    texts: dict[str, Sequence[str] | None] = {NO_TEXT: None, TEXT: bench.texts, WRONG: bench.wrong_texts}
    for k, (name, words) in enumerate(texts.items()):
        cond = None if words is None else encode_texts(prior, list(words))
        began = time.perf_counter()
        share = lambda s, k=k, name=name: tell(name, (k + s) / len(texts))  # noqa: E731
        pose = refine_poses(prior, hand, views, cond, config, seed, share).pose
        seconds[name] = time.perf_counter() - began
        found[name] = pa_mpjpe_mm(_joints(hand, pose), truth)
    rows = {name: _by_level(values, bench.levels) for name, values in found.items()}
    counts = {level: len(v) for level, v in rows[FIRST].items() if len(v)}
    return RefineEvaluation(
        errors={name: {level: float(row[level].mean()) for level in counts} for name, row in rows.items()},
        intervals={name: {level: _interval(row[level], seed) for level in counts} for name, row in rows.items()},
        counts=counts,
        seconds=seconds,
    )


def _joints(hand: HandModel, pose: HandPose) -> Float[Tensor, "b 21 3"]:
    return hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)


def _by_level(values: Float[Tensor, " b"], levels: Sequence[str]) -> dict[str, Float[Tensor, " k"]]:
    """All values, and those of each level."""
    return {"all": values} | {
        level: values[torch.tensor([name == level for name in levels], dtype=torch.bool)] for level in LEVELS
    }


def _interval(values: Float[Tensor, " k"], seed: int) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(values), (BOOTSTRAPS, len(values)), generator=generator)
    low, high = torch.quantile(values[draws].mean(dim=1), torch.tensor([0.025, 0.975])).tolist()
    return low, high


def evaluate_refine(
    myodm: Path | None = None,
    synthetic: Sequence[Path] = (),
    free: Path | None = None,
    poses: Path | None = None,
    prior: str = "pose",
    num: int = 300,
    seed: int = 0,
    val_fraction: float = 0.1,
    dataset: str = "hograspnet",
    root: Path | None = None,
    protocol: str | None = None,
    estimates: Path | None = None,
    device: str = "auto",
    out: Path = Path("refine_eval.json"),
    denoise: RefineConfig = DEFAULT_CONFIG,
) -> None:
    """Measure refinement on held-out grasps: PA-MPJPE by occlusion, against the first estimate, without and with text.

    Args:
        myodm: prepared MyoDM, as for `hoprior data poses`.
        synthetic: sets of `hoprior data synthesize`, '[one,two]', of different seeds.
        free: joints of hands that hold nothing, as for `hoprior data poses`.
        poses: the table of `hoprior data poses` that the prior was trained on, if it holds other objects too: its
            objects decide which are held out.
        prior: a pose prior that was trained on these folders' other objects: its name, or its file.
        num: hands, a third of each level of occlusion.
        seed: of views, of the estimates' errors and of the samples.
        val_fraction: share of the objects that training held out.
        dataset: what is in --root: hograspnet, or another dataset with cameras (`hoprior data list`).
        root: your copy of it; its test frames are refined instead of held-out grasps.
        protocol: which of the dataset's splits; its first without.
        estimates: with --root, an estimator's .npz (docs/refine.md) with `key`, the frames' keys; else the truth with
            an estimator's errors.
        device: where the prior computes.
        out: file of the results; a .csv of the table is written beside it.
        denoise: how poses are refined.
    """
    from rich.console import Console

    if root is not None and (myodm is not None or synthetic or free is not None):
        raise HopriorError("--root measures a recorded dataset: leave --myodm, --synthetic and --free out")
    if estimates is not None and root is None:
        raise HopriorError("--estimates are of a recorded dataset's frames: give its folder with --root")
    if num < len(LEVELS):
        raise HopriorError(f"--num {num}: give at least {len(LEVELS)}, one hand a level; 300 says something")
    if out.suffix != ".json" or out.is_dir():
        raise HopriorError(f"--out {out}: give the name of a .json file")
    check_place(out.absolute().parent)
    where = torch_device(device)
    pose_prior = as_pose_prior(prior, where)
    hand = load_hand("open")
    with progress_bar(Console(stderr=True)) as progress:
        progress("making the benchmark", 0.0)
        if root is None:
            bench = make_benchmark(held_out_grasps(myodm, synthetic, val_fraction, poses, free), hand, num, seed)
        else:
            bench = recorded_benchmark(open_dataset(dataset, root, protocol=protocol), hand, num, seed, estimates)
        found = evaluate(pose_prior, bench, hand, denoise, seed, progress)
    settings = {
        "prior": prior,
        "myodm": str(myodm) if myodm else None,
        "synthetic": [str(folder) for folder in synthetic],
        "free": str(free) if free else None,
        "poses": str(poses) if poses else None,
        "dataset": dataset if root else None,
        "root": str(root) if root else None,
        "protocol": protocol,
        "estimates": str(estimates) if estimates else None,
        "num": num,
        "seed": seed,
        "val_fraction": val_fraction,
        "denoise": asdict(denoise),
        "noise": None if estimates else asdict(EstimateNoise()),
        "objects": sorted(set(bench.objects)),
    }
    save(found, out, settings)
    console = Console()
    show(found, console)
    console.print(f"{out}, {out.with_suffix('.csv').name}", highlight=False, markup=False, soft_wrap=True)


def save(found: RefineEvaluation, out: Path, settings: Mapping[str, Any]) -> None:
    """Writes everything as JSON, and the table beside it as CSV, each whole or not at all."""
    document = {"format": FORMAT, "settings": settings, **asdict(found), "versions": package_versions()}
    write_atomically(out, lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    def write_csv(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["method", "level", "hands", "pa_mpjpe_mm", "low_95", "high_95"])
            for name, row in found.errors.items():
                for level, value in row.items():
                    low, high = found.intervals[name][level]
                    writer.writerow([name, level, found.counts[level], f"{value:.4f}", f"{low:.4f}", f"{high:.4f}"])

    write_atomically(out.with_suffix(".csv"), write_csv)


def show(found: RefineEvaluation, console: Any) -> None:
    """Prints the table, each error with its change from the first estimate."""
    from rich.table import Table

    console.print("PA-MPJPE, mm ↓ (change from the first estimate)", style="bold", highlight=False)
    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column("")
    for level, count in found.counts.items():
        bounds = "" if level == "all" else f" {LEVELS[level][0]}-{LEVELS[level][1]}"
        table.add_column(f"{level}{bounds}\nn = {count}", justify="right")
    for name, row in found.errors.items():
        first = found.errors[FIRST]
        cells = [
            f"{value:.2f}" + ("" if name == FIRST else f" ({100 * (value / first[level] - 1):+.0f} %)")
            for level, value in row.items()
        ]
        table.add_row(name, *cells)
    console.print(table, end="\n\n")


def main(args: Sequence[str]) -> None:
    """The command line of `hoprior eval refine`."""
    call_with_arguments(evaluate_refine, "hoprior eval refine", args)
