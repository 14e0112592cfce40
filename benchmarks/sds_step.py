"""What one guided score distillation step costs: the embedded grid prior against the paper-sized one, in one run.

A step is `sds_loss` with guidance (encode, conditional and unconditional U-Net) and its backward to the placement and
the joints. Weights are random, which costs the same.

    python benchmarks/sds_step.py [--threads 2] [--grasps 10] [--repeats 5]

The last two columns compare a grasp's cost with the paper's size at the same precision, and at float32, which is what
the reference code runs.
On a machine that does other work, too, trust the processor's seconds,
with one thread (threads that wait use them up).
"""

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.models.grid_prior import GridPrior
from hoprior.models.networks.blocks import count_parameters
from hoprior.priors.guidance import sds_loss

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
GUIDANCE_SCALE = 4.0


def make_prior(folder: Path) -> GridPrior:
    """The prior that a folder's two configurations describe, untrained."""

    def arguments(name: str) -> dict[str, Any]:
        return yaml.safe_load((folder / name).read_text())["model"]["init_args"]

    return GridPrior(**{**arguments("grid_prior.yaml"), "vqvae": arguments("vqvae.yaml")}).eval().requires_grad_(False)


def make_state(grasps: int) -> HandObjectState:
    """Hands at a box of 6 x 8 x 10 cm that is looked up in a grid, as in the grasp task."""
    import trimesh

    T_object_hand = torch.eye(4).repeat(grasps, 1, 1)
    T_object_hand[:, :3, 3] = torch.tensor([-0.1, 0.0, -0.06]) + 0.01 * torch.randn(grasps, 3)
    joints_hand = 0.15 * torch.rand(grasps, 21, 3)
    sdf = SdfGrid.from_mesh(trimesh.creation.box((0.06, 0.08, 0.10)))
    return HandObjectState(sdf, T_object_hand.requires_grad_(), joints_hand.requires_grad_())


def time_step(prior: GridPrior, grasps: int, repeats: int) -> tuple[float, float]:
    """Median seconds of a step, by the clock and of the processor, after one that is not counted."""
    state, cond = make_state(grasps), torch.randn(grasps, 1, prior.text_dim)
    clock, processor = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter(), time.process_time()
        sds_loss(prior, state, cond, guidance_scale=GUIDANCE_SCALE).loss.backward()
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return statistics.median(clock[1:]), statistics.median(processor[1:])


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--grasps", type=int, default=10, help="batch of the embedded prior; the paper's takes one")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    sizes = {"embedded": (make_prior(CONFIGS), args.grasps), "paper": (make_prior(CONFIGS / "paper"), 1)}
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads, torch {torch.__version__}\n")
    print(
        "| prior | U-Net | VQ-VAE | precision | grasps | s/step | CPU s/step | s/grasp | cheaper, same | cheaper, f32 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    paper: dict[str, float] = {}
    for size in ("paper", "embedded"):
        prior, grasps = sizes[size]
        millions = [f"{count_parameters(part.parameters()) / 1e6:.1f} M" for part in (prior.unet, prior.vqvae)]
        for name, dtype in dtypes.items():
            prior.compute_dtype = dtype
            repeats = args.repeats if size == "embedded" else max(1, args.repeats // 2)
            seconds, processor = time_step(prior, grasps, repeats)
            each = seconds / grasps
            paper.setdefault(name, each)
            ratios = [f"{paper[name] / each:.0f}x", f"{paper['float32'] / each:.0f}x"]
            figures = [f"{seconds:.3f}", f"{processor:.3f}", f"{each:.4f}", *ratios]
            print("| " + " | ".join([size, *millions, name, str(grasps), *figures]) + " |", flush=True)


if __name__ == "__main__":
    main()
