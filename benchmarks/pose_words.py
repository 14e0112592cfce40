"""What words do to the pose prior: the figures of docs/how_priors_were_made.md, "pose".

usage: python benchmarks/pose_words.py [--prior pose] [--poses poses.safetensors] [--num 100] [--guidance 2]

Sizes: for each of the 28 grasps, hands told of "a small object" and of "a large object" in an otherwise equal sentence,
drawn with the same noise; how much wider the large one's thumb-index aperture is, in mm, with a 95 % interval of the
mean of the paired differences. The rest needs the table of poses (`--poses`): the same with the object named, by its
commonest category; how far apart hands of one sentence are, beside poses of its category and kind of grasp
in the table; and, on held-out poses, the denoising error when the prior is told the right text, none, and the text of
another held-out pose that is of another category and kind of grasp.
"""

import argparse
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hoprior.datasets.training.poses import PoseTable, read_poses
from hoprior.hand import HandPose, load_hand
from hoprior.language.schema import Affordance
from hoprior.language.taxonomy import TAXONOMY
from hoprior.language.template import describe
from hoprior.metrics.intervals import mean_and_interval
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.generate.poses import aperture, sample_poses

LEVELS, NOISES = (0.1, 0.3, 0.5, 0.7, 0.9), 4
MM = 1000.0


@torch.no_grad()
def apertures(prior: PosePrior, sentence: str, num: int, guidance: float, seed: int) -> Float[Tensor, " n"]:
    """Thumb-index apertures (mm) of hands drawn from a sentence, within their joint limits."""
    hand = load_hand()
    cond = encode_texts(prior, [sentence])
    assert cond is not None
    generator = torch.Generator().manual_seed(seed)
    drawn = sample_poses(prior, cond.expand(num, -1, -1), num, guidance_scale=guidance, generator=generator)
    return MM * aperture(hand.joints_only(hand.within_limits(drawn)[0]))


def print_sizes(
    console: Console, prior: PosePrior, num: int, guidance: float, seed: int, names: dict[int, str] | None = None
) -> None:
    """The table of apertures by grasp and size; `names` of the objects of each kind that are known."""
    told = "an object" if names is None else "the object named"
    table = Table(title=f"thumb-index aperture, mm; {told}, {num} hands each, guidance {guidance:g}, seed {seed}")
    for name in ("grasp", "small", "large", "large - small", "95 %", "widens"):
        table.add_column(name, justify="left" if name == "grasp" else "right")
    wider = narrower = 0
    kinds = [kind for kind in TAXONOMY if names is None or kind.number in names]
    for kind in kinds:
        name = "" if names is None else names[kind.number]
        small, large = (
            apertures(prior, describe(Affordance(name, object_size=size, grasp=kind.number)), num, guidance, seed)
            for size in ("small", "large")
        )
        mean, half = mean_and_interval((large - small).numpy())
        wider, narrower = wider + (mean > half), narrower + (mean < -half)
        verdict = "yes" if mean > half else "narrows" if mean < -half else "-"
        row = (f"{small.mean():.1f}", f"{large.mean():.1f}", f"{mean:+.1f}", f"± {half:.1f}", verdict)
        table.add_row(f"{kind.number} {kind.name}{': ' * bool(name)}{name}", *row)
    console.print(table)
    console.print(f"{wider} of {len(kinds)} grasps widen, {narrower} narrow (95 %)")


def commonest_objects(poses: PoseTable) -> dict[int, str]:
    """Of each kind of grasp the category that has most poses of it."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for i in range(len(poses)):
        row = poses.row(i)
        if row.affordance.grasp:
            counts[row.affordance.grasp][row.affordance.object_category] += 1
    return {kind: count.most_common(1)[0][0] for kind, count in counts.items()}


def scatter_mm(joints: Float[Tensor, "n 21 3"]) -> float:
    """Mean over the joints of how far their places are apart: the standard deviation, mm."""
    return MM * float(joints.var(dim=0, unbiased=False).sum(dim=-1).sqrt().mean())


@torch.no_grad()
def print_diversity(console: Console, prior: PosePrior, poses: PoseTable, num: int, seed: int) -> None:
    """How far apart hands of one sentence are, without guidance, and poses that are described alike."""
    hand = load_hand()
    table = Table(title=f"scatter of joints, mm; {num} hands each, without guidance, seed {seed}")
    for name in ("text", "drawn", "in the table", "poses"):
        table.add_column(name, justify="left" if name == "text" else "right")
    joints = hand.joints_only(poses.hand_pose())
    told: list[tuple[str, int] | None] = [None, ("mug", 0), ("bottle", 3), ("hammer", 2), ("ball", 11), ("box", 9)]
    for alike in told:
        mine = torch.ones(len(poses), dtype=torch.bool)
        if alike is not None:
            known = [(row.affordance.object_category, row.affordance.grasp) for row in poses.rows]
            fits = torch.tensor([(name, kind if alike[1] else 0) == alike for name, kind in known])
            mine = fits[poses.row_id]
        text = "none" if alike is None else describe(Affordance(alike[0], grasp=alike[1]))
        cond = None if alike is None else encode_texts(prior, [text])
        drawn = sample_poses(
            prior,
            None if cond is None else cond.expand(num, -1, -1),
            num,
            generator=torch.Generator().manual_seed(seed),
        )
        of_table = f"{scatter_mm(joints[mine]):.1f}" if int(mine.sum()) > 1 else "-"
        found = scatter_mm(hand.joints_only(hand.within_limits(drawn)[0]))
        table.add_row(text, f"{found:.1f}", of_table, str(int(mine.sum())))
    console.print(table)


def another(table: PoseTable, of: PoseTable, generator: torch.Generator) -> list[str]:
    """For each pose the description of one of another category and kind of grasp, of those in `of`."""
    texts = []
    for i in range(len(table)):
        own = table.row(i)
        others = [
            row.affordance
            for row in of.rows
            if row.category != own.category
            and (row.affordance.grasp != own.affordance.grasp or not own.affordance.grasp)
        ]
        texts.append(describe(others[int(torch.randint(len(others), (), generator=generator))]))
    return texts


@torch.no_grad()
def errors(
    prior: PosePrior, table: PoseTable, cond: Float[Tensor, "n tokens dim"] | None, seed: int
) -> Float[Tensor, " n"]:
    """Denoising error of each pose, mean over levels and noises; the same noises whatever the condition."""
    x = prior.encode(HandPose.of(table.hand_pose()))
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(x))
    for level in LEVELS:
        t = torch.full((len(x),), int(level * len(prior.schedule)))
        for _ in range(NOISES):
            noise = torch.randn(x.shape, generator=generator)
            total += prior.denoising_loss(x, cond, t, noise)
    return total / (len(LEVELS) * NOISES)


def print_held_out(
    console: Console, prior: PosePrior, poses: PoseTable, val_fraction: float, num: int, seed: int
) -> None:
    """The table of denoising errors on held-out objects, by source."""
    _, val = poses.split(val_fraction)
    table = Table(title=f"denoising error on poses at held-out objects, t/T in {LEVELS}, {NOISES} noises, seed {seed}")
    for name in ("source", "poses", "right text", "no text", "wrong text", "no - right", "wrong - right"):
        table.add_column(name, justify="left" if name == "source" else "right")
    sources = sorted({val.row(i).source for i in range(len(val))})
    held = replace(val, rows=tuple(val.rows[k] for k in val.row_id.unique().tolist()))
    for source in (*sources, "all"):
        generator = torch.Generator().manual_seed(seed)
        mine = torch.tensor([source in ("all", val.row(i).source) for i in range(len(val))])
        index = mine.nonzero()[:, 0]
        index = index[torch.multinomial(val.weights()[index], min(num, len(index)), generator=generator)]
        part = val[index]
        texts = [describe(part.row(i).affordance) for i in range(len(part))]
        told = encode_texts(prior, texts)
        right, none = errors(prior, part, told, seed), errors(prior, part, None, seed)
        wrong = errors(prior, part, encode_texts(prior, another(part, held, generator)), seed)
        gains = [mean_and_interval((other - right).numpy()) for other in (none, wrong)]
        shown = [f"{gain:+.3f} ± {half:.3f}" for gain, half in gains]
        table.add_row(source, str(len(part)), *(f"{e.mean():.3f}" for e in (right, none, wrong)), *shown)
    console.print(table)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="pose")
    parser.add_argument("--poses", type=Path, help="the table of poses that the prior was trained on")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="as in training")
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prior = load_prior(options.prior)
    if not isinstance(prior, PosePrior):
        raise SystemExit(f"{options.prior}: is no pose prior")
    console = Console(width=120)
    print_sizes(console, prior, options.num, options.guidance, options.seed)
    if options.poses is not None:
        poses = read_poses(options.poses)
        print_sizes(console, prior, options.num, options.guidance, options.seed, commonest_objects(poses))
        print_diversity(console, prior, poses, options.num, options.seed)
        print_held_out(console, prior, poses, options.val_fraction, options.num, options.seed)


if __name__ == "__main__":
    main()
