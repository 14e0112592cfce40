"""What priors that judge hands at objects add to refinement, where the object is known: the figures of docs/refine.md.

usage: python benchmarks/refine_judges.py --myodm DIR [--synthetic DIR] [--judges grid:1] [--num 60] [--rate 0 0.1]

Hands of `hoprior eval refine` at High occlusion, at objects that training held out (of a synthetic set, which has to be
of a seed of its own, all objects). What each holds and where that is before the camera is given, exactly or with an
error (`--error`, metres; ten times as many radians). All rows begin from the same estimates with the same noise.
PA-MPJPE over 21 joints, and the mean paired difference from no judges with its 95 % interval.
"""

import argparse
import time
from pathlib import Path

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.cli.arguments import parse_priors
from hoprior.datasets.benchmarks.occluded_hands import LEVELS, OccludedHands, held_out_grasps, make_benchmark
from hoprior.evaluation.refinement import benchmark_views
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel, load_hand
from hoprior.metrics.pose import pa_mpjpe_mm
from hoprior.tasks.refine import HeldObject, RefineConfig
from hoprior.tasks.refine.judging import JudgeConfig, Judging
from hoprior.tasks.refine.sampling import refine_poses
from hoprior.tasks.refine.words import told
from hoprior.tasks.shared import load_priors

RADIANS_PER_M = 10.0
CPU = torch.device("cpu")


def held_by(bench: OccludedHands, chosen: list[int], error: float, seed: int) -> list[HeldObject | None]:
    """What each of the chosen hands holds, placed with normal errors."""
    assert bench.T_camera_object is not None, "the benchmark knows its objects"
    generator = torch.Generator().manual_seed(seed)
    held: list[HeldObject | None] = []
    for i in chosen:
        T, mesh = bench.T_camera_object[i], bench.meshes[i]
        turn = roma.rotvec_to_rotmat(RADIANS_PER_M * error * torch.randn(3, generator=generator))
        T = rigid(turn @ T[:3, :3], T[:3, 3] + error * torch.randn(3, generator=generator))
        held.append(None if mesh is None else HeldObject(mesh, T, bench.objects[i]))
    return held


def paired(change: Float[Tensor, " b"], seed: int) -> str:
    """The mean of a change and its 95 % bootstrap interval."""
    draws = torch.randint(len(change), (2000, len(change)), generator=torch.Generator().manual_seed(seed))
    low, high = torch.quantile(change[draws].mean(dim=1), torch.tensor([0.025, 0.975])).tolist()
    return f"{change.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def measure(bench: OccludedHands, hand: HandModel, options: argparse.Namespace) -> None:
    """Prints a row for refinement without judges, and for each rate with them; without text and with."""
    chosen = [i for i, level in enumerate(bench.levels) if level == "high"]
    views = benchmark_views(bench, hand)[torch.tensor(chosen)]
    truth = hand.joints_only(bench.truth.hand_pose, bench.truth.betas)[chosen]
    betas = bench.truth.betas[chosen]
    prior = load_priors([(1.0, "pose")], "refine", CPU)[0].prior
    judges = load_priors(parse_priors(options.judges), "refine", CPU)
    held = held_by(bench, chosen, options.error, options.seed)
    first = pa_mpjpe_mm(hand.joints_only(views.pose.hand_pose, betas), truth)
    print(
        f"{len(chosen)} hands at {len({bench.objects[i] for i in chosen})} objects, first estimate {first.mean():.2f}"
    )
    for name in ("no text", "text"):
        texts = [bench.texts[i] if name == "text" else None for i in chosen]
        cond = told(prior, hand, views, texts, RefineConfig(), CPU).cond
        plain = refine_poses(prior, hand, views, cond, RefineConfig(), options.seed).pose.hand_pose
        before = pa_mpjpe_mm(hand.joints_only(plain, betas), truth)
        print(f"{name}, no judges: {before.mean():.2f}", flush=True)
        for rate in options.rate:
            config = RefineConfig(judge=JudgeConfig(rate=rate, sharpness=options.sharpness))
            began = time.perf_counter()
            judging = Judging(judges, held, texts, ["right"] * len(chosen), CPU, config.judge)
            judged = refine_poses(prior, hand, views, cond, config, options.seed, judging=judging).pose.hand_pose
            after = pa_mpjpe_mm(hand.joints_only(judged, betas), truth)
            seconds = (time.perf_counter() - began) / len(chosen)
            change = paired(after - before, options.seed)
            print(f"{name}, {options.judges}, rate {rate:g}: {after.mean():.2f}, {change}, {seconds:.2f} s", flush=True)


def main() -> None:
    """Measures each folder that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--myodm", type=Path)
    parser.add_argument("--val_fraction", type=float, default=0.06, help="of MyoDM's objects: what `grid` held out")
    parser.add_argument("--synthetic", type=Path)
    parser.add_argument("--judges", default="grid:1")
    parser.add_argument("--num", type=int, default=60, help="hands at High")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--error", type=float, default=0.0)
    parser.add_argument("--sharpness", type=float, default=JudgeConfig().sharpness)
    parser.add_argument("--rate", type=float, nargs="+", default=[0.0, 0.1])
    options = parser.parse_args()
    hand = load_hand()
    if options.myodm:
        held = held_out_grasps(options.myodm, val_fraction=options.val_fraction)
        measure(make_benchmark(held, hand, len(LEVELS) * options.num, options.seed), hand, options)
    if options.synthetic:
        held = held_out_grasps(None, [options.synthetic], val_fraction=1.0)
        measure(make_benchmark(held, hand, len(LEVELS) * options.num, options.seed), hand, options)


if __name__ == "__main__":
    main()
