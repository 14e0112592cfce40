"""`hoprior eval prior`: how good an interaction-grid prior is, as tables, as JSON and as CSV.

What is measured is in `hoprior.evaluation.prior_quality` and `whole_objects`; docs/metrics.md says what each column is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import trimesh
from torch import Tensor

from hoprior.common.io import rounded, strict_json, write_atomically, write_table
from hoprior.evaluation.drawn_grids import BATCH, DrawsGrids, joined
from hoprior.evaluation.prior_quality import (
    CLOUD_POINTS,
    EMPTY,
    ENTERED,
    REFERENCES,
    WHOLE,
    Row,
    Sample,
    Truth,
    measure_families,
    measure_generation,
    measure_sizes,
    measure_vqvae,
)
from hoprior.evaluation.whole_objects import SampleObjects, measure_objects
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.models.grid_prior import GridPrior
from hoprior.priors.protocols import AnyPrior, SamplesInteractions, SamplesObjects
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions

FORMAT = "hoprior-prior-metrics/1"

Columns = Mapping[str, tuple[str, str]]
"""Field -> title and format in the table; columns without a value are left out."""

TABLES: tuple[tuple[str, str, Columns], ...] = (
    (
        "vqvae",
        "VQ-VAE on {split} objects: grid cell {cell_mm:.1f} mm, latent cell {latent_cell_mm:.1f} mm",
        {
            "grids": ("grids", "{:.0f}"),
            "left_out": ("left\nout", "{:.0f}"),
            "iou": ("IoU\n↑", "{:.3f}"),
            "chamfer_mm": ("surface\nmm ↓", "{:.2f}"),
            "lost": ("lost\n↓", "{:.2f}"),
        },
    ),
    (
        "generation",
        "Samples against recorded grasps of {split} objects",
        {
            "samples": ("n", "{:.0f}"),
            "coverage_object": ("object\nCOV ↑", "{:.2f}"),
            "mmd_object_cm2": ("object\nMMD cm² ↓", "{:.2f}"),
            "nna_object": ("object\n1-NNA → .5", "{:.2f}"),
            "coverage_hand": ("hand\nCOV ↑", "{:.2f}"),
            "mmd_hand_cm": ("hand\nMMD cm ↓", "{:.2f}"),
            "nna_hand": ("hand\n1-NNA → .5", "{:.2f}"),
        },
    ),
    (
        "generation",
        "The same samples, each by itself",
        {
            "bones_in_range": ("bones in\nrange ↑", "{:.2f}"),
            "flexion_excess_deg": ("flexion\nexcess ° ↓", "{:.1f}"),
            "ik_residual_mm": ("IK residual\nmm ↓", "{:.1f}"),
            "volume_cm3": ("overlap\ncm³ ↓", "{:.1f}"),
            "empty": ("empty\n↓", "{:.2f}"),
            "fragmented": ("frag-\nmented ↓", "{:.2f}"),
        },
    ),
    (
        "families",
        "Is the object what the text names? Nearest of the training objects' grids; alone: of these objects themselves",
        {
            "samples": ("n", "{:.0f}"),
            "families": ("families", "{:.0f}"),
            "references": ("references", "{:.0f}"),
            "accuracy": ("accuracy\n↑", "{:.3f}"),
            "accuracy_low": ("95 %\nfrom", "{:.3f}"),
            "accuracy_high": ("\nto", "{:.3f}"),
            "chance": ("chance", "{:.3f}"),
        },
    ),
    (
        "sizes",
        'Do "small" and "large" change it?',
        {
            "small_samples": ("n\nsmall", "{:.0f}"),
            "large_samples": ("n\nlarge", "{:.0f}"),
            "small_cm": ("small\ncm", "{:.2f}"),
            "large_cm": ("large\ncm", "{:.2f}"),
            "cohens_d": ("Cohen's d\n↑", "{:.2f}"),
            "d_low": ("95 %\nfrom", "{:.2f}"),
            "d_high": ("\nto", "{:.2f}"),
        },
    ),
)
"""Of each table: the attribute of `PriorEvaluation` that has its rows, the title, and the columns."""


@dataclass(frozen=True)
class PriorEvaluation:
    """What `evaluate` found: rows of the tables by name."""

    about: dict[str, Any]
    vqvae: dict[str, Row]
    generation: dict[str, Row]
    families: dict[str, Row]
    sizes: dict[str, Row]


def evaluate(
    prior: DrawsGrids,
    truth: Truth,
    sample: Sample,
    num: int,
    seed: int = 0,
    report: Callable[[str], object] | None = None,
    sample_objects: SampleObjects | None = None,
) -> PriorEvaluation:
    """Measures a prior's samples, how they follow the text, and its VQ-VAE where it has one.

    Args:
        truth: recorded grasps on the prior's grid.
        sample: makes the samples, see `hoprior.evaluation.prior_quality.Sample`; `sampler` is the prior's own.
        num: samples of each kind; as pairs of "small" and "large", half as many.
        seed: of samples, draws and bootstraps.
        report: called with what is measured next.
        sample_objects: makes objects alone, see `object_sampler`; without it they are not measured.

    Raises:
        HopriorError: there are too few recorded grasps, or the samples are NaN.
    """
    tell = report or (lambda _: None)
    tell("samples")
    generation = measure_generation(prior, truth, sample, num, seed)
    tell("families")
    families = measure_families(prior, truth, sample, num, seed)
    if sample_objects is not None:
        families |= measure_objects(truth, sample_objects, num, seed)
    tell("sizes")
    sizes = measure_sizes(truth, sample, num, seed)
    if not isinstance(prior, GridPrior):
        about = {"split": truth.split, "seed": seed, "cell_mm": 1000 * prior.spec.cell}
        return PriorEvaluation(about, {}, generation, families, sizes)
    tell("VQ-VAE")
    grasps = truth.grasps[truth.split]
    each = max(REFERENCES, num // len(grasps.categories))
    recorded = grasps.draw_each(each, torch.Generator().manual_seed(seed))
    about = {
        "split": truth.split,
        "seed": seed,
        "cell_mm": 1000 * prior.spec.cell,
        "latent_cell_mm": 1000 * prior.latent_spec.cell,
    }
    return PriorEvaluation(about, measure_vqvae(prior.vqvae, recorded), generation, families, sizes)


def sampler(
    prior: SamplesInteractions[Any], steps: int, guidance_scale: float, report: Callable[[int], object] | None = None
) -> Sample:
    """Samples of a prior by its own sampler, in batches; `report` hears how many each batch had."""

    def sample(texts: Sequence[str], seed: int) -> InteractionGrid:
        options: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale}
        batches = _batches(prior, texts, seed, report)
        return joined(
            [prior.sample_interactions(cond, count, generator=noise, **options).grid for cond, count, noise in batches]
        )

    return sample


def object_sampler(
    prior: SamplesObjects[Any], steps: int, guidance_scale: float, report: Callable[[int], object] | None = None
) -> SampleObjects:
    """Objects alone by a prior's own sampler; arguments as of `sampler`."""

    def sample(texts: Sequence[str], seed: int) -> list[trimesh.Trimesh]:
        options: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale}
        batches = _batches(prior, texts, seed, report)
        return [
            mesh
            for cond, count, noise in batches
            for mesh in prior.sample_objects(cond, count, generator=noise, **options)
        ]

    return sample


def _batches(
    prior: AnyPrior, texts: Sequence[str], seed: int, report: Callable[[int], object] | None
) -> Iterator[tuple[Tensor | None, int, torch.Generator]]:
    """What is said to a prior for each batch of texts, how many these are, and their noise; each is then reported."""
    generator = torch.Generator().manual_seed(seed)
    cond = encode_texts(prior, texts, device=getattr(prior, "null_text", torch.zeros(0)).device)
    for first in range(0, len(texts), BATCH):
        count = len(texts[first : first + BATCH])
        yield None if cond is None else cond[first : first + BATCH], count, generator
        if report:
            report(count)


def table_title(found: PriorEvaluation, title: str) -> str:
    """A table's title, with what it was measured on."""
    named = {"val": "held-out", "train": "training"}
    return title.format(**{**found.about, "split": named[found.about["split"]]})


def save(found: PriorEvaluation, out: Path, settings: Mapping[str, Any]) -> None:
    """Writes everything as JSON, and the tables beside it as one CSV, each whole or not at all."""
    rules = {
        "entered_share": ENTERED,
        "empty_below_cm3": 1e6 * EMPTY,
        "fragmented_below": WHOLE,
        "cloud_points": CLOUD_POINTS,
        "references_a_family": REFERENCES,
    }
    document = {"format": FORMAT, "settings": settings, "rules": rules, **asdict(found), "versions": package_versions()}
    write_atomically(out, lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    rows = [
        (table, label, name, rounded(value))
        for table in dict.fromkeys(name for name, _, _ in TABLES)
        for label, row in getattr(found, table).items()
        for name, value in row.items()
    ]
    write_table(out.with_suffix(".csv"), ("table", "row", "metric", "value"), rows)
