"""Small networks that answer nearly as priors of placements do, for looks at thousands of placements.

usage: python tools/distil_placements.py label CONTRASTIVE.safetensors LABELS [--meshes DIR] [--num 600]
       python tools/distil_placements.py train PRIOR.safetensors LABELS OUT.safetensors [--quick 16 48] [--epochs 1.5]

`label` places hands at the objects of a folder of meshes and at made ones, random ones and such as a search climbs to,
and writes what a contrastive prior's networks see and answer there, LABELS/OBJECT.npz; what is there is kept. `train`
gives a contrastive prior, or one of words, a small network beside its own (the argument `quick` of their classes) and
fits it: to the mean of a contrastive prior's networks, or to the features that the first network of words makes of the
same placements. A tenth of the objects is held out. The prior's own networks stay as they are.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.training.held_out import held_out
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand import load_hand
from hoprior.hand.placement import displaced, diverse_best, random_placements
from hoprior.kernels.grids import object_grid
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.networks.placement_encoder import FEATURES, folded
from hoprior.models.text_match import TextMatchPrior
from hoprior.priors.pretrained import load_safetensors
from hoprior.priors.text_encoders import load_text_encoder

RANDOM, CLIMBED, PROPOSALS, ROUNDS = 512, 64, 4, 2
"""Placements of an object: random ones, those of them that climb, and where each of these tries to go, how often."""
SPACING = 0.015
BATCH = 64
STEPS_OF_INT8 = 127
QUICK = (16, 48)
"""Widths of the small network where none are given."""
THINGS = "mug hammer bottle knife pan phone bowl cup box ball banana scissors drill toy camera lamp".split()  # noqa: SIM905
WORDINGS = ("a {}", "holding a {} by the handle", "hand over the {}", "use the {} with a tripod grasp")
SENTENCES = 8
"""For which joints are compared, of each batch."""
FEATURES_WEIGHT = 0.3
"""How much features count beside what is made of them."""
HELD_OUT = 0.1
"""Share of the objects on which the student is judged, one at least."""
SCALES = (0.8, 1.25)
"""Objects are made smaller or larger by as much as this, at random, unless told otherwise."""


class Labels:
    """What the prior's networks see of placements, and what they answer."""

    def __init__(self) -> None:
        self.fields: list[Int8[np.ndarray, "n D H W"]] = []
        self.logits: list[Float[np.ndarray, " n"]] = []
        self.joints: list[Float[np.ndarray, "n j 3"]] = []

    def save(self, path: Path) -> None:
        """All of it in one file, whole or not at all."""
        arrays = {
            "field": np.concatenate(self.fields),
            "logit": np.concatenate(self.logits),
            "joints": np.concatenate(self.joints),
        }

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        write_atomically(path, write)


@torch.no_grad()
def label_object(prior: ContrastivePrior, sdf: SdfGrid, surface, generator: torch.Generator) -> Labels:
    """The prior's answers at random placements, and on the way from the best of them to better ones."""
    hand, found = load_hand(), Labels()
    relaxed = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))

    def judged(T: Float[Tensor, "n 4 4"]) -> Float[Tensor, " n"]:
        logits = []
        for piece in T.split(BATCH):
            field = object_grid(HandObjectState(sdf, piece, relaxed.expand(len(piece), -1, -1)), prior.spec)
            logit, joints = prior.judged_fields(field)
            unit = (field[:, 0] / prior.truncation).clamp(-1, 1)
            found.fields.append((unit * STEPS_OF_INT8).round().to(torch.int8).numpy())
            found.logits.append(logit.numpy())
            found.joints.append(joints.numpy())
            logits.append(logit)
        return torch.cat(logits)

    T = random_placements(surface, RANDOM, generator)
    score = judged(T)
    best = diverse_best(score, T, relaxed.expand(len(T), -1, -1), CLIMBED, SPACING)
    T, score = T[best], score[best]
    rows = torch.arange(len(T))
    for _ in range(ROUNDS):
        turn = torch.randn(len(T) * PROPOSALS, 3, generator=generator) * 0.15
        move = torch.randn(len(T) * PROPOSALS, 3, generator=generator) * 0.008
        tried = displaced(T.repeat_interleave(PROPOSALS, dim=0), turn, move)
        scores = torch.cat([score[:, None], judged(tried).view(-1, PROPOSALS)], dim=1)
        placed = torch.cat([T[:, None], tried.view(-1, PROPOSALS, 4, 4)], dim=1)
        T, score = placed[rows, scores.argmax(dim=1)], scores.amax(dim=1)
    return found


def label(given: argparse.Namespace) -> None:
    """Answers at one object after the other."""
    prior = ContrastivePrior.from_safetensors(given.prior).eval()
    catalogue = Catalogue.of(None, [given.meshes] if given.meshes else [], seed=given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for i in range(given.start, given.num, given.step):
        path = given.out / f"{catalogue.info(i).name}.npz"
        if path.exists():
            continue
        try:
            surface = catalogue.make(i).solid.copy()
        except HopriorError as error:
            print(f"left out: {error}")
            continue
        generator = torch.Generator().manual_seed(i)
        low, high = given.scales
        surface.apply_scale(low + (high - low) * float(torch.rand((), generator=generator)))
        label_object(prior, SdfGrid.from_mesh(surface), surface, generator).save(path)
        print(f"{i} of {given.num}: {path.name}, {time.monotonic() - began:.0f} s", flush=True)


def read(paths: list[Path]) -> tuple[Tensor, Tensor, Tensor]:
    """Fields (n, D, H, W) of int8, logits (n,) and joints (n, j, 3) of all the files."""
    parts = [np.load(path) for path in paths]
    fields, logits, joints = (
        torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in ("field", "logit", "joints")
    )
    return fields, logits, joints


def unit_of(field: Int8[Tensor, "b D H W"]) -> Float[Tensor, "b 1 D H W"]:
    """What a network sees."""
    return field[:, None].float() / STEPS_OF_INT8


class Answers(NamedTuple):
    """Log-odds of placements and where their joints are (m), as the small network has them and as they should be."""

    logits: Float[Tensor, "b k"]
    true_logits: Float[Tensor, "b k"]
    off: Float[Tensor, ""]
    """The distance between joints, on average."""
    apart: Float[Tensor, ""] | float = 0.0
    """What is learnt beside."""

    def loss(self) -> Float[Tensor, ""]:
        """What is made small."""
        return F.smooth_l1_loss(self.logits, self.true_logits) + 100 * self.off + self.apart


class Whole:
    """A small network beside a contrastive prior's, which answers as their mean."""

    def __init__(self, prior: ContrastivePrior) -> None:
        assert prior.quick is not None, "the prior is made with a small network"
        self.mean_joints, self.net = prior.mean_joints, prior.quick

    def __call__(self, unit: Tensor, logits: Float[Tensor, " b"], joints: Float[Tensor, "b j 3"]) -> Answers:
        """At some placements."""
        with torch.autocast("cpu", torch.bfloat16):
            logit, offset = self.net(unit)
        off = (self.mean_joints + 0.1 * offset.float() - joints).norm(dim=-1).mean()
        return Answers(logit.float()[:, None], logits[:, None], off)


class Features:
    """A small body for the first network of words, which gives it the same features.

    It is asked what these say of many sentences.
    """

    def __init__(self, prior: TextMatchPrior) -> None:
        assert prior.quick_body is not None, "the prior is made with a small body"
        self.prior, self.net = prior, prior.quick_body
        self.own: Any = prior.members[0]
        said = [wording.format(thing) for thing in THINGS for wording in WORDINGS]
        texts = load_text_encoder(prior.text_encoder_name or "minilm").encode(said).mean(dim=1)
        with torch.no_grad():
            heard = self.own.listen(texts * texts.shape[-1] ** 0.5)
            self.claim, self.turn, self.shift = self.own.claim(heard), self.own.turn(heard), self.own.shift(heard)

    def __call__(self, unit: Tensor, logits: object, joints: object) -> Answers:
        """At some placements; what the other prior says of them does not matter."""
        with torch.autocast("cpu", torch.bfloat16):
            found = self.net(folded(unit))
            with torch.no_grad():
                true = self.own.body(folded(unit))
        some = torch.randint(len(self.claim), (SENTENCES,))
        (logit, joint), (true_logit, true_joint) = (self._said(features.float(), some) for features in (found, true))
        apart = FEATURES_WEIGHT * F.mse_loss(found.float(), true.float()) / true.float().var()
        return Answers(logit, true_logit, (joint - true_joint).norm(dim=-1).mean(), apart)

    def _said(self, features: Float[Tensor, "b f"], some: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of all sentences, and joints with some of them."""
        logit = self.own.look(features) @ self.claim.T / FEATURES**0.5
        joints = self.own.joints(features[:, None] * (1 + self.turn[some]) + self.shift[some])
        bound = self.prior.bound
        return bound * torch.tanh(logit / bound), 0.1 * joints.unflatten(-1, (-1, 3))


@torch.no_grad()
def told(lesson: Whole | Features, labels: tuple[Tensor, Tensor, Tensor]) -> str:
    """How near the answers are to the prior's, at objects held out."""
    lesson.net.eval()
    answers = [
        lesson(unit_of(field), logit, joint)
        for field, logit, joint in zip(*(part.split(256) for part in labels), strict=True)
    ]
    lesson.net.train()
    logits, true = (torch.cat([getattr(each, name) for each in answers]) for name in ("logits", "true_logits"))
    r = torch.corrcoef(torch.stack([logits.flatten(), true.flatten()]))[0, 1]
    off = torch.stack([each.off for each in answers]).mean()
    return f"held out: r {r:.4f}, rms {(logits - true).square().mean().sqrt():.3f}, joints {1000 * off:.2f} mm"


def train(given: argparse.Namespace) -> None:
    """Fits the small network, and writes the prior with it."""
    torch.manual_seed(0)
    lesson, prior = lesson_of(given.prior, given.quick)
    paths = sorted(given.labels.glob("*.npz"))
    if len(paths) < 2:
        raise HopriorError(f"{given.labels}: holds answers at {len(paths)} objects: label two at least")
    kept = held_out([path.stem for path in paths], max(HELD_OUT, 1 / len(paths)))
    labels = read([path for path in paths if path.stem not in kept])
    test = read([path for path in paths if path.stem in kept])
    steps = int(given.epochs * len(labels[0])) // given.batch
    weights = list(lesson.net.parameters())
    optimizer = torch.optim.AdamW(weights, given.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, given.rate, steps, pct_start=0.05)
    print(f"{len(labels[0])} placements of {len(paths) - len(kept)} objects; {steps} steps; {told(lesson, test)}")
    began, order = time.monotonic(), torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < given.batch:
            order = torch.randperm(len(labels[0]))
        rows, order = order[: given.batch], order[given.batch :]
        field, *answers = (part[rows] for part in labels)
        loss = lesson(unit_of(field), *answers).loss()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 499 or step == steps - 1:
            seconds = time.monotonic() - began
            print(f"{step + 1}: loss {loss.item():.3f}, {told(lesson, test)}, {seconds:.0f} s", flush=True)
            prior.save_safetensors(given.out)
    if not math.isfinite(loss.item()):
        raise HopriorError("the loss is no number: take a lower --rate")


def lesson_of(path: Path, quick: Sequence[int]) -> tuple[Whole | Features, ContrastivePrior | TextMatchPrior]:
    """What is to be learnt, and the prior of a file with a small network of these widths beside its own."""
    teacher = load_safetensors(path)
    if not isinstance(teacher, (ContrastivePrior, TextMatchPrior)):
        raise HopriorError(
            f"{path}: holds a {type(teacher).__name__}: only priors of placements are looked at thousands of times"
        )
    prior = type(teacher)(**teacher.config() | {"quick": list(quick)}).eval()
    prior.load_state_dict(teacher.state_dict(), strict=False)
    return (Whole(prior) if isinstance(prior, ContrastivePrior) else Features(prior)), prior


def main() -> None:
    """Reads what to do, and does it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    todo = parser.add_subparsers(required=True)
    labelling, training = todo.add_parser("label"), todo.add_parser("train")
    for each in (labelling, training):
        each.add_argument("prior", type=Path)
    labelling.add_argument("out", type=Path)
    labelling.add_argument("--meshes", type=Path)
    labelling.add_argument("--start", type=int, default=0)
    labelling.add_argument("--step", type=int, default=1)
    labelling.add_argument("--num", type=int, default=600)
    labelling.add_argument("--seed", type=int, default=100)
    labelling.add_argument("--scales", type=float, nargs=2, default=SCALES, help="least and greatest; of what is made")
    labelling.set_defaults(do=label)
    training.add_argument("labels", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--quick", type=int, nargs=2, default=QUICK, help="its widths, fine and coarse")
    training.add_argument("--epochs", type=float, default=1.5)
    training.add_argument("--batch", type=int, default=96)
    training.add_argument("--rate", type=float, default=3e-3)
    training.set_defaults(do=train)
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
