"""The figures of docs/synthetic.md: how fast the set is made, and whether its early test agrees with the whole one.

usage: python benchmarks/synthesis.py [--families hammer,mug] [--objects 20] [--tries 96] [--out synthesis.json]

Grasps are made without the simulation and without the test of statics; then each is simulated twice: by
`survival_share` (six whole seconds, all the hand) and by `holds`. Times are of the process (CPU), on one thread.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from hoprior.datasets.synthetic.make import MakeConfig, make_grasps
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.physics.simulation.convex import convex_parts
from hoprior.physics.simulation.survival import holds, survival_share


def measure(catalogue: Catalogue, i: int, config: MakeConfig) -> list[dict[str, Any]]:
    """The grasps of object i: kind, statics, both simulations and their times; the object's own times in the first."""
    hand = load_hand()
    began = time.process_time()
    graspable = catalogue.make(i)
    made = make_grasps(graspable, hand, catalogue.seed, config)
    making = time.process_time() - began
    if made.grasps is None:
        return [{"object": graspable.info.name, "making": making, "tried": sum(c[0] for c in made.counts.values())}]
    began = time.process_time()
    parts = convex_parts(graspable.solid)
    dividing = time.process_time() - began
    sdf = SdfGrid.from_mesh(graspable.solid, resolution=config.sdf_resolution, margin=0.06)
    grasps, faces = made.grasps, hand.faces.numpy()
    verts = transform_points(grasps.T_object_hand, hand(hand.angles_to_pose(grasps.angles), grasps.betas).verts).numpy()
    rows = []
    for k, sample in enumerate(grasps):
        points = verts[k].astype(np.float64)
        began = time.process_time()
        early = holds(points, faces, parts, lambda p: sdf(torch.tensor(p, dtype=torch.float32)).numpy())
        middle = time.process_time()
        share = survival_share(points, faces, parts)
        ended = time.process_time()
        rows.append(
            {
                "object": graspable.info.name,
                "kind": sample.label.taxonomy,
                "unheld": float(made.unheld[k]),
                "holds": early,
                "survival": share,
                "seconds_holds": middle - began,
                "seconds_survival": ended - middle,
            }
        )
    tried = sum(stages[0] for stages in made.counts.values())
    rows[0] |= {"making": making, "dividing": dividing, "tried": tried}
    return rows


def main(args: Sequence[str] | None = None) -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families")
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--tries", type=int, default=96)
    parser.add_argument("--out", type=Path, default=Path("synthesis.json"))
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    console = Console()
    catalogue = Catalogue.of(options.families.split(",") if options.families else None, [], 0)
    config = MakeConfig(tries=options.tries, keep=options.tries, unheld=1.0, simulate=False)
    rows: list[dict[str, Any]] = []
    for i in range(options.objects):
        rows += measure(catalogue, i, config)
        console.print(summary(rows))
        options.out.write_text(json.dumps(rows, indent=1))


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """One line of figures."""
    tested = [row for row in rows if "holds" in row]
    whole = [row["survival"] == 1 for row in tested]
    early = [row["holds"] for row in tested]
    agree = sum(a == b for a, b in zip(whole, early, strict=True))
    wrong = sum(b and not a for a, b in zip(whole, early, strict=True))
    making, tried = (sum(row.get(name, 0) for row in rows) for name in ("making", "tried"))
    checking, plain = (sum(row[name] for row in tested) for name in ("seconds_holds", "seconds_survival"))
    total = making + checking + sum(row.get("dividing", 0) for row in rows)
    return (
        f"{len({row['object'] for row in rows})} objects, {tried} tried, {len(tested)} before and {sum(early)} after "
        f"the check; {60 * len(tested) / max(making, 1e-9):.0f} and {60 * sum(early) / max(total, 1e-9):.0f} a minute; "
        f"agreement {agree} of {len(tested)} ({wrong} held only by the early test); "
        f"{checking / max(len(tested), 1):.2f} s early, {plain / max(len(tested), 1):.2f} s whole"
    )


if __name__ == "__main__":
    main()
