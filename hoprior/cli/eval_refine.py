"""`hoprior eval refine`: errors of refined hands by how much of them is occluded, as a table, as JSON and as CSV."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.compute import torch_device
from hoprior.common.console import answers_console, notes_console, progress_bar
from hoprior.common.io import check_place
from hoprior.datasets.benchmarks.occluded_hands import (
    LEVELS,
    EstimateNoise,
    held_out_grasps,
    make_benchmark,
)
from hoprior.datasets.benchmarks.occluded_recordings import recorded_benchmark
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.errors import ArgumentError, HopriorError
from hoprior.evaluation.heavy_pages import refine_metrics_page
from hoprior.evaluation.refinement import FIRST, RefineEvaluation, evaluate, save
from hoprior.hand import load_hand
from hoprior.priors.protocols import DenoisesHandPoses
from hoprior.priors.registry import prior_on
from hoprior.results.report.tables import write_page_beside
from hoprior.tasks.refine.sampling import RefineConfig

DEFAULT_CONFIG = RefineConfig()
RENAMED = {"denoise": "config", "denoise.guidance": "config.guidance_scale"}


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
    no_report: bool = False,
    config: RefineConfig = DEFAULT_CONFIG,
) -> dict[str, Any]:
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
        no_report: leave out the page of the tables, the same name with .html.
        config: how poses are refined.

    Example:
        hoprior eval refine --myodm myodm --num 200
    """

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
    pose_prior = prior_on(prior, where, "refine")
    if not isinstance(pose_prior, DenoisesHandPoses):
        raise ArgumentError("prior", prior, "draws no hand poses: give pose, or the file of another pose prior")
    hand = load_hand("open")
    with progress_bar(notes_console()) as progress:
        progress("making the benchmark", 0.0)
        if root is None:
            bench = make_benchmark(held_out_grasps(myodm, synthetic, val_fraction, poses, free), hand, num, seed)
        else:
            bench = recorded_benchmark(open_dataset(dataset, root, protocol=protocol), hand, num, seed, estimates)
        found = evaluate(pose_prior, bench, hand, config, seed, progress)
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
        "config": asdict(config),
        "noise": None if estimates else asdict(EstimateNoise()),
        "objects": sorted(set(bench.objects)),
    }
    save(found, out, settings)
    page = write_page_beside(out, None if no_report else refine_metrics_page(found, settings))
    console = answers_console()
    show(found, console)
    names = ", ".join(path.name for path in (out.with_suffix(".csv"), page) if path)
    console.print(f"{out}, {names}", highlight=False, markup=False, soft_wrap=True)
    return {"out": out, "counts": found.counts, "errors": found.errors}


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


def main(args: Sequence[str]) -> Any:
    """The command line of `hoprior eval refine`."""
    return call_with_arguments(evaluate_refine, "hoprior eval refine", args, RENAMED)
