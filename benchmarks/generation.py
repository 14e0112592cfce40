"""The figures of docs/generation.md: samplers of an interaction-grid prior, compared on the same texts and seeds.

usage: python benchmarks/generation.py [--prior grid] [--num 32] [--only ddim,ancestral] [--pictures DIR]

Sixteen texts take turns. `plausible` is the share of draws that `hoprior run generate` would keep. A row is printed as
soon as it is measured.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from hoprior.hand import load_hand
from hoprior.language.phrases import sentence_for
from hoprior.models.grid_prior import GridPrior
from hoprior.models.grid_sampling import clean_range, field_residual
from hoprior.priors.diffusion import ddim_sample
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.rendering import OBJECT_GREY, SKIN
from hoprior.rendering.sheet import Cell, draw_sheet
from hoprior.results.samples import reasons_text
from hoprior.tasks.generate.plausibility import Candidate, Plausible, count_faults, examine

TEXTS = (
    *("a hammer", "a mug", "a hand drinking from a bottle", "an apple", "a cup", "a hand using a knife"),
    *("a large cube", "a small sphere", "a hand playing with a gamecontroller", "a hand using a pair of scissors"),
    *("a bowl", "a flashlight", "a toothbrush", "a wine glass", "a box", "a phone"),
)
SAMPLERS: dict[str, dict[str, Any]] = {
    "ddim": {"steps": 50, "eta": 0.0, "ranged": False},
    "ddim-ranged": {"steps": 50, "eta": 0.0},
    "ancestral-free": {"steps": 50, "ranged": False},
    "ancestral": {"steps": 50},
    "ancestral-25": {"steps": 25},
    "ancestral-100": {"steps": 100},
    "ancestral-guided": {"steps": 50, "guidance_scale": 3.0},
    "from-average": {"steps": 50, "t_start": 0.9},
}
"""Arguments of `ddim_sample`; ancestral and brought into range where nothing else is said."""


def draw(prior: GridPrior, num: int, settings: dict[str, Any], seed: int = 0) -> torch.Tensor:
    """`num` clean grids."""
    settings = {"eta": 1.0, **settings}
    x0_range = clean_range(prior) if settings.pop("ranged", True) else None
    x_init = torch.zeros(num, *prior.shape) if "t_start" in settings else None
    texts = [sentence_for(TEXTS[i % len(TEXTS)]) for i in range(num)]
    generator = torch.Generator().manual_seed(seed)
    cond = encode_texts(prior, texts)
    return ddim_sample(
        prior, (num, *prior.shape), cond, x0_range=x0_range, x_init=x_init, generator=generator, **settings
    )


def picture(candidates: Sequence[Candidate], title: str) -> Image.Image:
    """The first sixteen draws, whatever is wrong with them."""
    hand = load_hand()
    cells = []
    for i, candidate in enumerate(candidates[:16]):
        pose = candidate.pose
        assert pose is not None
        verts = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).verts[0]
        meshes: list[Any] = [(verts.numpy(), hand.faces.numpy(), SKIN)]
        if candidate.object_mesh is not None:
            meshes.append((candidate.object_mesh.vertices, candidate.object_mesh.faces, OBJECT_GREY))
        label = (candidate.fault or "plausible") + f" · {TEXTS[i]}"
        cells.append(Cell(meshes, np.eye(3), "right", label, {}))
    return draw_sheet(title, "", cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="grid")
    parser.add_argument("--num", type=int, default=32)
    parser.add_argument("--only", default=",".join(SAMPLERS))
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    console, prior = Console(width=160), load_prior(arguments.prior)
    assert isinstance(prior, GridPrior), f"{arguments.prior} is no interaction-grid prior"
    console.print("| sampler | bones % | IK cm | field | plausible | the others are | depth cm | seconds |")
    for name in arguments.only.split(","):
        began = time.perf_counter()
        x0 = draw(prior, arguments.num, SAMPLERS[name])
        seconds = time.perf_counter() - began
        with torch.no_grad():
            grid = prior.decode(x0)
        found = examine(grid, field_residual(prior, x0, grid.joints_hand), load_hand(), Plausible())

        def mean(key: str, found: Sequence[Candidate] = found) -> float:
            return float(np.mean([c.measures[key] for c in found if key in c.measures]))

        kept = np.mean([c.fault is None for c in found])
        console.print(
            f"| {name} | {100 * mean('bone_error'):.1f} | {mean('ik_error_cm'):.2f} | {mean('field_residual'):.3f}"
            f" | {kept:.2f} | {reasons_text(count_faults(found)) or 'none'} | {mean('max_depth_cm'):.2f}"
            f" | {seconds:.0f} |"
        )
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            picture(found, name).save(arguments.pictures / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
