"""Whether words steer grasps: the figures of docs/how_priors_were_made.md, "words".

usage: python benchmarks/words.py parts [--num 20] [--prior NAME:WEIGHT,...] [--families mug,hammer]
       python benchmarks/words.py kinds --set SET [--num 10] [--prior NAME:WEIGHT,...] [--families mug,hammer]

`parts`: handled objects of procedural families, of a seed that no prior was trained on. A grasp is by the part on which
most of its contacts lie (hand vertices nearer than 3 mm). Told nothing, the object, and each of its parts in turn.
`kinds`: grasps that were asked for by name, on objects that the synthetic set SET has such grasps of; a classifier
(nearest neighbours among the set's held-out grasps, which no prior was trained on) says which kind they became. Its own
share of right answers, each held-out object left out in turn, is printed beside.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.console import Console
from torch import Tensor

import hoprior
from hoprior.cli.arguments import parse_priors
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.datasets.training.held_out import held_out
from hoprior.geometry.sdf import signed_distance
from hoprior.language.phrases import with_article
from hoprior.language.taxonomy import grasp_type
from hoprior.models.networks.placement_encoder import JOINTS_SEEN
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.grasp.task import DEFAULT_PRIORS

SEED = 1000
"""Of the objects; sets are made with small seeds."""
HANDLED = ("mug", "pitcher", "frying pan", "hammer", "teapot", "screwdriver", "spatula", "brush", "knife", "spoon")
CONTACT, NEIGHBOURS = 0.003, 5
STILL = GraspConfig(faults=FaultWeights(simulate=False))
"""Where a hand is does not depend on the simulation that the ranking takes in."""


def held_parts(graspable: Graspable, results: GraspResults) -> list[str]:
    """The part that each grasp holds."""
    found = []
    for grasp in results:
        points = grasp.verts_object.astype(np.float64)
        near = points[signed_distance(graspable.solid, points) < CONTACT]
        counts = np.bincount(graspable.parts_near(near), minlength=len(graspable.part_names)) if len(near) else [0]
        found.append(graspable.part_names[int(np.argmax(counts))] if len(near) else "nothing")
    return found


def parts(families: Sequence[str], num: int, priors: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    """One row an object and a sentence: the part that it names, the share of grasps there, and where all are."""
    rows = []
    for i, family in enumerate(families):
        graspable = Catalogue.of([family], [], SEED).make(0)
        thing = with_article(family)
        by_part = [(f"{thing} by the {part}", part) for part in graspable.part_names]
        for told, part in [(None, None), (thing, None), *by_part]:
            results = hoprior.grasp(graspable.solid, told, num, seed=i, priors=priors, config=STILL)
            held = Counter(held_parts(graspable, results))
            share = None if part is None else held[part] / num
            rows.append({"object": family, "told": told, "part": part, "there": share, "parts": dict(held)})
            Console(stderr=True).print(rows[-1])
    return rows


class KindOfGrasp:
    """Nearest neighbours by how joints lie in the hand's frame, over the mean distance of joints."""

    def __init__(self, joints: Float[Tensor, "n 21 3"], kinds: Int[Tensor, " n"], owners: Int[Tensor, " n"]) -> None:
        self.joints, self.kinds, self.owners = joints[:, JOINTS_SEEN].flatten(1), kinds, owners

    def __call__(self, joints: Float[Tensor, "b 21 3"], without: Int[Tensor, " b"] | None = None) -> Int[Tensor, " b"]:
        """The kind that most neighbours are of, the nearest deciding a tie."""
        distance = torch.cdist(joints[:, JOINTS_SEEN].flatten(1), self.joints)
        if without is not None:
            distance = distance.masked_fill(without[:, None] == self.owners[None], torch.inf)
        near = self.kinds[distance.topk(NEIGHBOURS, largest=False).indices]
        return torch.tensor([Counter(row).most_common(1)[0][0] for row in near.tolist()])


def kinds(folder: Path, families: Sequence[str], num: int, priors: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    """One row an object and a kind of grasp: the share of its grasps that became that kind."""
    source = Synthetic(folder)
    objects = source.objects()
    kept_out = held_out([info.key for info in objects], 0.1)
    joints, labels, owners = [], [], []
    known: dict[str, Counter[int]] = {}
    for k, info in enumerate(objects):
        grasps = source.shard(info).grasps
        if grasps is None:
            continue
        numbers = [sample.label.taxonomy for sample in grasps]
        known.setdefault(info.category, Counter()).update(numbers)
        if info.key in kept_out:
            joints.append(grasps.joints_hand)
            labels += numbers
            owners += [k] * len(grasps)
    classify = KindOfGrasp(torch.cat(joints), torch.tensor(labels), torch.tensor(owners))
    own = classify(torch.cat(joints), classify.owners) == classify.kinds
    Console(stderr=True).print(f"classifier: {own.float().mean():.2f} of {len(own)} held-out grasps right")
    rows = []
    for i, family in enumerate(families):
        graspable = Catalogue.of([family], [], SEED).make(0)
        for number, _ in known[family].most_common(4):
            told = f"{with_article(family)} with {with_article(grasp_type(number).name)} grasp"
            results = hoprior.grasp(graspable.solid, told, num, seed=i, priors=priors, config=STILL)
            in_hand = torch.tensor(np.stack([joints_hand(g) for g in results]), dtype=torch.float32)
            became = Counter(classify(in_hand).tolist())
            rows.append({"object": family, "kind": number, "right": became[number] / num, "became": dict(became)})
            Console(stderr=True).print(rows[-1])
    return rows


def joints_hand(grasp: Any) -> Float[np.ndarray, "21 3"]:
    """A grasp's joints in the hand's frame."""
    T_hand_object = np.linalg.inv(grasp.T_object_hand)
    return grasp.joints_object @ T_hand_object[:3, :3].T + T_hand_object[:3, 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parts", "kinds"))
    parser.add_argument("--set", type=Path)
    parser.add_argument("--families", default=",".join(HANDLED))
    parser.add_argument("--num", type=int, default=20)
    parser.add_argument("--prior", type=parse_priors, default=DEFAULT_PRIORS, help="as of hoprior run grasp")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    families = args.families.split(",")
    if args.what == "parts":
        rows = parts(families, args.num, args.prior)
        untold = {row["object"]: row["parts"] for row in rows if row["told"] is None}
        named = [row for row in rows if row["part"]]
        told_share = np.mean([row["there"] for row in named])
        untold_share = np.mean([untold[row["object"]].get(row["part"], 0) / args.num for row in named])
        print(f"on the part that was named: {told_share:.2f}; on the same parts, told nothing: {untold_share:.2f}")
    else:
        rows = kinds(args.set, families, args.num, args.prior)
        print(f"of the kind that was named: {np.mean([row['right'] for row in rows]):.2f}")
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
