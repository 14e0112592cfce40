"""Are surfaces of coded shapes whole? Held-out objects of the families through their codes, and draws of things.

usage: python benchmarks/shape_surfaces.py [--objects 52] [--draws 8]

Of each held-out object: whether what comes back has as many pieces and handles as the object, and the overlap (IoU) of
the inside at places most of which are within 1.5 % of the surface; as decoded, as `whole_surface` takes it, and at the
last of its levels. Of each drawn thing: how many draws have the pieces and handles that it ought to have, as decoded
and whole.
"""

import argparse
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from rich.console import Console

from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.training.held_out import held_out
from hoprior.datasets.training.shape_points import ShapePoints, shape_points
from hoprior.geometry.shape_box import REACH
from hoprior.models.interaction_draws import draw_objects
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.models.shape_surfaces import LEVELS, Topology, topology, unit_surface, whole_surface
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts

TRAINED = 1560
"""Objects of which a tenth were held out."""
THINGS = {
    **dict.fromkeys(("wine glass", "frying pan", "bowl", "plate", "spoon", "cup", "hammer"), Topology(1, 0)),
    **dict.fromkeys(("mug", "pitcher", "basket", "teapot"), Topology(1, 1)),
}


def main() -> None:
    """Prints what the module's docstring says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=52)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    prior = load_prior("interaction")
    assert isinstance(prior, InteractionPrior)
    console = Console(width=110)
    measure_held_out(prior, given.objects, console)
    measure_draws(prior, given.draws, given.seed, console)


@torch.no_grad()
def measure_held_out(prior: InteractionPrior, count: int, console: Console) -> None:
    """Objects that the autoencoder has not seen, through their codes."""
    catalogue = Catalogue.of(None, [], 0)
    names = [catalogue.info(i).key for i in range(TRAINED)]
    unseen = held_out(names, 0.1)
    numbers = [i for i, name in enumerate(names) if name in unseen][:count]
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for i in numbers:
        thing = catalogue.make(i)
        points, true = shape_points(thing.solid, thing.info.key, thing.info.category, i), topology(thing.solid)
        code = prior.shapes.encode(points.field[None].float())[0]
        values = prior.shapes.decode(code).cpu().numpy()
        whole = whole_surface(values)
        ways: tuple[tuple[str, trimesh.Trimesh, float], ...] = (
            ("as decoded", unit_surface(values, 0.0), 0.0),
            ("whole", *whole),
            ("at the last level", unit_surface(values, LEVELS[-1]), LEVELS[-1]),
        )
        for name, mesh, level in ways:
            found[name].append((topology(mesh) == true, overlap(values, level, points), level))
    for name, rows in found.items():
        same, iou, level = np.mean(rows, axis=0)
        console.print(
            f"{name:<18} {len(rows)} held-out objects: same topology {same:.3f}, IoU {iou:.3f}, level {level:.4f}",
            highlight=False,
        )


def overlap(values: np.ndarray, level: float, points: ShapePoints) -> float:
    """IoU of the inside at an object's places."""
    grid, at = torch.from_numpy(values)[None, None], (points.places / REACH).view(1, 1, 1, -1, 3)
    mine, true = F.grid_sample(grid.float(), at, align_corners=True).flatten() < level, points.distance < 0
    return float((mine & true).sum() / (mine | true).sum())


@torch.no_grad()
def measure_draws(prior: InteractionPrior, draws: int, seed: int, console: Console) -> None:
    """Draws by name."""
    totals = np.zeros(2, int)
    for name, wanted in THINGS.items():
        cond = encode_texts(prior, [f"a hand holding a {name}"] * draws)
        generator = torch.Generator().manual_seed(seed)
        drawn = draw_objects(prior, cond, draws, steps=50, guidance_scale=1.0, generator=generator)
        lattices = [prior.shapes.decode(code).cpu().numpy() for code in prior.decode_objects(drawn)[0]]
        before = sum(topology(unit_surface(values, 0.0)) == wanted for values in lattices)
        now = sum(topology(whole_surface(values).mesh) == wanted for values in lattices)
        totals += (before, now)
        console.print(f"{name:<18} as decoded {before} of {draws}, whole {now}", highlight=False)
    console.print(f"{'all':<18} as decoded {totals[0]} of {draws * len(THINGS)}, whole {totals[1]}", highlight=False)


if __name__ == "__main__":
    main()
