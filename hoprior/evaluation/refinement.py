"""`hoprior eval refine`: errors of refined hands by how much of them is occluded, as a table, as JSON and as CSV.

The benchmark is in `hoprior.datasets.benchmarks.occluded_hands`; docs/refine.md says what is measured and how it is
made.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.io import strict_json, write_atomically, write_table
from hoprior.datasets.benchmarks.occluded_hands import (
    LEVELS,
    OccludedHands,
)
from hoprior.geometry.camera import project
from hoprior.hand import HandModel, HandPose
from hoprior.metrics.pose import pa_mpjpe_mm
from hoprior.priors.protocols import DenoisesHandPoses
from hoprior.results.folder import package_versions
from hoprior.tasks.refine.observations import HandViews, Picture
from hoprior.tasks.refine.sampling import RefineConfig, refine_poses
from hoprior.tasks.refine.words import told

FORMAT = "hoprior-refine-metrics/1"
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
    prior: DenoisesHandPoses,
    bench: OccludedHands,
    hand: HandModel,
    config: RefineConfig,
    seed: int = 0,
    progress: Any = None,
) -> RefineEvaluation:
    """Refines the benchmark's hands without text, with their text and with another grasp's, and measures all."""
    texts: dict[str, Sequence[str] | None] = {NO_TEXT: None, TEXT: bench.texts, WRONG: bench.wrong_texts}
    found, seconds = errors_by_text(prior, bench, hand, config, texts, seed, progress)
    rows = {name: _by_level(values, bench.levels) for name, values in found.items()}
    counts = {level: len(v) for level, v in rows[FIRST].items() if len(v)}
    return RefineEvaluation(
        errors={name: {level: float(row[level].mean()) for level in counts} for name, row in rows.items()},
        intervals={name: {level: _interval(row[level], seed) for level in counts} for name, row in rows.items()},
        counts=counts,
        seconds=seconds,
    )


def errors_by_text(
    prior: DenoisesHandPoses,
    bench: OccludedHands,
    hand: HandModel,
    config: RefineConfig,
    texts: Mapping[str, Sequence[str] | None],
    seed: int = 0,
    progress: Any = None,
) -> tuple[dict[str, Float[Tensor, " b"]], dict[str, float]]:
    """PA-MPJPE (mm) of each hand: of the first estimates, and as refined under each of some texts, None for no text;
    and the seconds that each took. Texts are told as `hoprior.refine` tells them."""
    tell = progress or (lambda stage, share: None)
    views = benchmark_views(bench, hand)
    truth = _joints(hand, bench.truth) if bench.joints is None else bench.joints
    found = {FIRST: pa_mpjpe_mm(_joints(hand, bench.first), truth)}
    seconds = {}
    for k, (name, words) in enumerate(texts.items()):
        said = [None] * len(bench) if words is None else words
        cond = told(prior, hand, views, said, config, prior.alphas_cumprod.device).cond
        began = time.perf_counter()
        share = lambda s, k=k, name=name: tell(name, (k + s) / len(texts))  # noqa: E731
        pose = refine_poses(prior, hand, views, cond, config, seed, share).pose
        seconds[name] = time.perf_counter() - began
        found[name] = pa_mpjpe_mm(_joints(hand, pose), truth)
    return found, seconds


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


def save(found: RefineEvaluation, out: Path, settings: Mapping[str, Any]) -> None:
    """Writes everything as JSON, and the table beside it as CSV, each whole or not at all."""
    document = {"format": FORMAT, "settings": settings, **asdict(found), "versions": package_versions()}
    write_atomically(out, lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    rows = [
        (name, level, found.counts[level], *(f"{number:.4f}" for number in (value, *found.intervals[name][level])))
        for name, row in found.errors.items()
        for level, value in row.items()
    ]
    write_table(out.with_suffix(".csv"), ("method", "level", "hands", "pa_mpjpe_mm", "low_95", "high_95"), rows)
