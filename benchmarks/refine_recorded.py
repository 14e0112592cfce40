"""Refinement of hands that people were recorded with, partly hidden: a table of docs/refine.md.

usage: python benchmarks/refine_recorded.py FOLDER [--prior pose ...] [--num 300] [--seed 0]

FOLDER holds meshes and `grasps.npz` (`joints_object` (n, 21, 3) in metres, and `object`, the mesh's name, of each): for
example DexYCB's grasps. Views, what they hide and first estimates are made as for `hoprior eval refine`; the hands are
people's own. Each prior is told nothing, and "a hand holding a banana" of 011_banana. PA-MPJPE in mm with 95 %
intervals, and the mean paired change from no text.
"""

import argparse
from pathlib import Path

import torch
from grasps import recorded_beside

from hoprior.datasets.benchmarks.occluded_hands import LEVELS, HeldOutGrasps, make_benchmark
from hoprior.datasets.myodm.source import fit_recorded
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.evaluation.refinement import FIRST, errors_by_text
from hoprior.geometry.mesh import load_mesh
from hoprior.hand import HandModel, load_hand
from hoprior.language.phrases import sentence
from hoprior.language.schema import Affordance
from hoprior.metrics.intervals import mean_and_interval
from hoprior.priors.registry import load_prior
from hoprior.tasks.refine.sampling import RefineConfig

NONE, NAMED = "no text", "the thing named"


def recorded_grasps(folder: Path, hand: HandModel) -> list[HeldOutGrasps]:
    """People's grasps of each mesh of a folder."""
    held, meshes = [], sorted(folder.glob("*.ply"))
    recorded = recorded_beside(meshes)
    for path in meshes:
        name = path.stem.split("_", 1)[-1].replace("_", " ")
        info = ObjectInfo(path.stem, name, folder.name, "not stated", str(path), sentence(name))
        mine = torch.from_numpy(recorded[path.stem]).float()
        ids = torch.zeros(len(mine), dtype=torch.long)
        grasps = fit_recorded(
            info, mine, hand, text_id=ids, sequence_id=ids, sentences=(info.text,), sequences=(path.stem,)
        )
        held.append(HeldOutGrasps(grasps, load_mesh(path).mesh, (Affordance(object_category=name),) * len(mine)))
    return held


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prior", nargs="+", default=["pose"])
    parser.add_argument("--num", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hand = load_hand()
    bench = make_benchmark(recorded_grasps(options.folder, hand), hand, options.num, options.seed)
    texts = {NONE: None, NAMED: [sentence(each.object_category) for each in bench.affordances]}
    masks = {name: torch.tensor([level == name for level in bench.levels]) for name in LEVELS}
    print(f"| PA-MPJPE, mm | {' | '.join(LEVELS)} |\n|---|{'---|' * len(LEVELS)}")
    for k, name in enumerate(options.prior):
        errors, _ = errors_by_text(load_prior(name), bench, hand, RefineConfig(), texts, options.seed)
        for told, values in errors.items():
            if told == FIRST and k:
                continue
            cells = [mean_and_interval(values[mask].numpy()) for mask in masks.values()]
            shown = " | ".join(f"{mean:.2f} ± {half:.2f}" for mean, half in cells)
            print(f"| {told if told == FIRST else f'{name}, {told}'} | {shown} |")
        changes = []
        for mask in masks.values():
            before, after = errors[NONE][mask], errors[NAMED][mask]
            mean, half = mean_and_interval((100 * (after - before) / before.mean()).numpy())
            changes.append(f"{mean:+.1f} ± {half:.1f} %")
        print(f"| {name}, named from no text | {' | '.join(changes)} |")


if __name__ == "__main__":
    main()
