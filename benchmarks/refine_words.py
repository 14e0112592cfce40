"""What words do to refinement, as people say them: the table of docs/refine.md.

usage: python benchmarks/refine_words.py [--prior pose] --myodm DIR --synthetic DIR [--poses poses.safetensors]
       [--num 300] [--val-fraction 0.1]

The hands of `hoprior eval refine`, told nothing, the sentence that names the kind of grasp, and what people say who
name none: in wordings that the prior was taught and in wordings that it was not (`hoprior.language.wordings`), as names
of files, and of a thing that is not the one in the hand. PA-MPJPE in mm with 95 % intervals of the mean; and, of the
hands of which most is hidden, the mean paired change from no text, in % of the error without.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hoprior.datasets.benchmarks.occluded_hands import LEVELS, OccludedHands, held_out_grasps, make_benchmark
from hoprior.evaluation.refinement import FIRST, errors_by_text
from hoprior.hand import load_hand
from hoprior.language.schema import Affordance
from hoprior.language.template import describe
from hoprior.language.wordings import What, Wordings, kept_out, seeded, taught
from hoprior.metrics.intervals import mean_and_interval
from hoprior.priors.registry import load_prior
from hoprior.tasks.refine.sampling import RefineConfig

NONE = "no text"


def everyday(said: Wordings, told_of: Sequence[Affordance], seed: int) -> list[str]:
    """A wording of each affordance without its kind of grasp: every other one says the use, the others the thing."""
    frames: tuple[What, What] = ("use", "name")
    return [said.said(one, frames[i % 2], seeded("said", seed, i)) for i, one in enumerate(told_of)]


def wordings_of(bench: OccludedHands, seed: int) -> dict[str, Sequence[str] | None]:
    """The texts of the hands in each row of the table."""
    own = bench.affordances
    others = []
    for i, one in enumerate(own):
        strangers = [other for other in own if other.object_category != one.object_category]
        others.append(strangers[int(seeded("other", seed, i).integers(len(strangers)))])
    return {
        NONE: None,
        "kind named": bench.texts,
        "no kind, wordings taught": everyday(taught(), own, seed),
        "no kind, wordings kept out": everyday(kept_out(), own, seed),
        "file name, kept out": [kept_out().said(one, "file", seeded("file", seed, i)) for i, one in enumerate(own)],
        "wrong thing, kind named": [describe(one) for one in others],
        "wrong thing, wordings taught": everyday(taught(), others, seed),
        "wrong thing, wordings kept out": everyday(kept_out(), others, seed),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="pose")
    parser.add_argument("--myodm", type=Path)
    parser.add_argument("--synthetic", type=Path, action="append", default=[])
    parser.add_argument("--poses", type=Path, help="the table of poses that the prior was trained on")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="as in training; 1 for sets of other seeds")
    parser.add_argument("--num", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prior, hand = load_prior(options.prior), load_hand()
    held = held_out_grasps(options.myodm, options.synthetic, options.val_fraction, options.poses)
    bench = make_benchmark(held, hand, options.num, options.seed)
    texts = wordings_of(bench, options.seed)
    found, _ = errors_by_text(prior, bench, hand, RefineConfig(), texts, options.seed)
    masks = {name: torch.tensor([level == name for level in bench.levels]) for name in LEVELS}
    title = f"PA-MPJPE, mm; {len(bench)} hands at {len(set(bench.objects))} objects, seed {options.seed}"
    table = Table(title=title)
    for name in ("told", *LEVELS, "high: change from no text"):
        table.add_column(name, justify="left" if name == "told" else "right")
    for name, errors_mm in found.items():
        cells = [
            f"{mean:.2f} ± {half:.2f}"
            for mean, half in (mean_and_interval(errors_mm[m].numpy()) for m in masks.values())
        ]
        none = found[NONE][masks["high"]]
        mean, half = mean_and_interval((errors_mm[masks["high"]] - none).numpy() * (100 / float(none.mean())))
        table.add_row(name, *cells, "" if name in (FIRST, NONE) else f"{mean:+.1f} ± {half:.1f} %")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
