"""The prior of shapes: what is this object, of which a clip's masks show only the outside, and that from one side?

Masks cannot show that a bowl is hollow, nor how far a thing reaches where no frame looks. The prior is given the
signed distances of an object as far as it has been guessed, what it is called, from where it was seen and how a hand
holds it; it answers with the distances that such objects have, with how sure it is of each, and with where their mouth
is. It has seen thousands of visual hulls of made objects beside the objects themselves.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hoprior.errors import HopriorError
from hoprior.geometry.lookup import trilinear
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.geometry.whole import whole_objects
from hoprior.models.base import TrainedPrior
from hoprior.models.networks.blocks import (
    ResBlock,
    Upsample,
    channels_last,
    conv3,
    depth_to_space,
    group_norm,
    space_to_depth,
)
from hoprior.models.shape_inputs import WAYS, Box, box_around, hand_distance, tidied, ways_of
from hoprior.moved import old_names_of
from hoprior.priors.protocols import PriorInfo
from hoprior.priors.records import ObjectView

Cond = Float[Tensor, "b tokens dim"]

TRUNCATION = 0.4
"""Of distances, over the box's mean half side."""
NEAR = 0.12
"""Distances that the network sees in full contrast; inside, it sees no deeper."""
FLIPS = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
"""Axes (x, y, z) along which a box is mirrored."""
EMBEDDING = 96
LEAST_LOG_SPREAD = -6.0
MOUTH_WEIGHT = 0.3
"""How much the mouth's squared error counts in training, beside distances."""
NOTHING_KNOWN = ObjectView()


class Completion(NamedTuple):
    """What the prior takes an object for, under b sentences; metres, at most `TRUNCATION` of the box's scale.

    A wall that is thinner than what is known of its place would be lost in a mean, so inside and outside are answered
    apart: the object is `filled` without its `hollow`.
    """

    box: Box
    filled: Float[Tensor, "b r r r"]
    """Signed distances of what it looks like from outside."""
    hollow: Float[Tensor, "b r r r"]
    """Signed distances of the air in it, which goes on through its mouth."""
    spread: Float[Tensor, "b 2 r r r"]
    """Mean errors that it expects of both."""
    mouth: Float[Tensor, "b 3"]
    """Out of the object's mouth, in its frame: the mean of what may be, so short where it is not sure, or has none."""

    @property
    def distance(self) -> Float[Tensor, "b r r r"]:
        """Signed distances of the object."""
        return torch.maximum(self.filled, -self.hollow)

    def at(self, points: Float[Tensor, "n 3"]) -> "CompletionAt":
        """The same at points of the object's frame."""
        unit = self.box.unit(points)
        fields = torch.stack([self.filled, self.hollow], dim=1)
        found = trilinear(fields, unit.expand(len(fields), -1, -1))
        return CompletionAt(found[:, 0], found[:, 1], (unit.abs() <= 1).all(dim=-1))


class CompletionAt(NamedTuple):
    """A completion at n points; `known` are those in its box."""

    filled: Float[Tensor, "b n"]
    hollow: Float[Tensor, "b n"]
    known: Bool[Tensor, " n"]


class ShapeCompletionNet(nn.Module):
    """A U-Net over distances of object and hand; every block hears what it is called, its size, and the directions."""

    def __init__(self, width: int, text_dim: int, dropout: float) -> None:
        super().__init__()
        wide = (width, 2 * width, 3 * width)
        self.hear = nn.Sequential(nn.Linear(text_dim, 128), nn.SiLU(), nn.Dropout(dropout), nn.Linear(128, EMBEDDING))
        self.silence = nn.Parameter(torch.zeros(EMBEDDING))
        self.measure = nn.Linear(3 + 3 * WAYS, EMBEDDING)
        self.first = conv3(24, wide[0])
        self.down = nn.ModuleList([conv3(wide[0], wide[1], 2), conv3(wide[1], wide[2], 2)])
        self.encode = nn.ModuleList([ResBlock(w, w, EMBEDDING) for w in wide])
        self.middle = ResBlock(wide[2], wide[2], EMBEDDING)
        self.up = nn.ModuleList([Upsample(wide[2], wide[1]), Upsample(wide[1], wide[0])])
        self.decode = nn.ModuleList([ResBlock(2 * w, w, EMBEDDING) for w in (wide[1], wide[0])])
        self.unfold = nn.Sequential(group_norm(wide[0]), nn.SiLU(), conv3(wide[0], 32))
        self.gather = nn.Sequential(conv3(wide[2], 16, 1), nn.SiLU(), nn.AdaptiveAvgPool3d(4), nn.Flatten())
        self.point = nn.Sequential(nn.Linear(1024 + EMBEDDING, 64), nn.SiLU(), nn.Dropout(dropout), nn.Linear(64, 3))
        channels_last(self)

    def forward(
        self,
        field: Float[Tensor, "b 1 r r r"],
        hand: Float[Tensor, "b 1 r r r"],
        half: Float[Tensor, "b 3"],
        ways: Float[Tensor, "b 5 3"],
        text: Float[Tensor, "b dim"] | None,
        heard: Bool[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, "b 2 r r r"], Float[Tensor, "b 2 r r r"], Float[Tensor, "b 3"]]:
        """Distances of the object filled and of its hollow, over the box's scale, log errors it expects, the mouth."""
        said = self.silence.expand(len(field), -1)
        if text is not None:
            told = self.hear(text * text.shape[-1] ** 0.5)
            said = told if heard is None else torch.where(heard[:, None], told, said.to(told.dtype))
        embedding = said + self.measure(torch.cat([(half / 0.05).log(), ways.flatten(1)], dim=1))
        shown = ((field / NEAR).clamp(-1, 1), (field / TRUNCATION).clamp(0, 1), hand / TRUNCATION)
        seen = torch.cat(shown, dim=1)
        fine = self.encode[0](self.first(space_to_depth(seen, 2)), embedding)
        half = self.encode[1](self.down[0](fine), embedding)
        quarter = self.middle(self.encode[2](self.down[1](half), embedding), embedding)
        half = self.decode[0](torch.cat([self.up[0](quarter), half], dim=1), embedding)
        fine = self.decode[1](torch.cat([self.up[1](half), fine], dim=1), embedding)
        found = depth_to_space(self.unfold(fine), 2).float()
        mouth = self.point(torch.cat([self.gather(quarter), embedding], dim=1)).float()
        # It answers with what is to be added to the hull, which is right in most places, and to no hollow at all.
        start = torch.cat([field.clamp(min=-NEAR), torch.full_like(field, NEAR)], dim=1)
        return start + NEAR * found[:, :2], found[:, 2:].clamp(LEAST_LOG_SPREAD, 1.0), mouth


class ShapeCompletionPrior(TrainedPrior):
    """Completes objects; as an energy, how far an object is from what the prior takes it for.

    `energy = mean over the box of |s - s_hat| / spread`, distances truncated, `s_hat` and its `spread` held fixed:
    following its gradient is plug-and-play denoising, in which places count by how sure the prior is of them.

    Args:
        resolution: points per axis of the box around the object; a multiple of 8.
        width, dropout: of the network.
        text_encoder, text_dim: whose features the sentences come as, and how many these are.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    info = PriorInfo(reads=frozenset({"sdf"}))

    def __init__(
        self,
        resolution: int = 32,
        width: int = 24,
        dropout: float = 0.1,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 50,
    ) -> None:
        super().__init__()
        self.resolution, self.text_encoder_name = resolution, text_encoder
        self.net = ShapeCompletionNet(width, text_dim, dropout)

    @torch.no_grad()
    def complete(
        self,
        sdf: SdfGrid,
        cond: Cond | None = None,
        view: ObjectView = NOTHING_KNOWN,
        mirrored: bool = False,
    ) -> Completion:
        """What the prior takes an object for, under each of b sentences (or none).

        An object in a mirror is as likely, but what the network answers differs: several answers tell how sure it is.

        Args:
            sdf: the object as far as it is known.
            cond: text features.
            view: from where it was seen, and the hand that holds it.
            mirrored: eight answers to each sentence, one after the other, from each way to mirror the box.

        Raises:
            HopriorError: the grid has no inside.
        """
        inside = (sdf.values < 0).nonzero().flip(1)  # x, y, z
        if len(inside) < 2:
            raise HopriorError("prior of shapes: the object's grid of distances has no inside")
        box = box_around(sdf.lower + sdf.cell * inside)
        count, r = 1 if cond is None else len(cond), self.resolution
        flips = FLIPS if mirrored else FLIPS[:1]
        limit = TRUNCATION * box.scale
        field = tidied(sdf(box.points(r)).view(r, r, r), box)
        field = (field.clamp(-limit, limit) / box.scale)[None, None]
        hand = torch.full_like(field, TRUNCATION)
        if view.joints is not None:
            hand = (hand_distance(box.points(r), view.joints) / box.scale).clamp(-TRUNCATION, TRUNCATION).view_as(field)
        text = None if cond is None else cond.mean(dim=1).repeat_interleave(len(flips), dim=0)
        asked, held = (
            torch.cat([each.flip([4 - k for k in flip]) for flip in flips]).repeat(count, 1, 1, 1, 1)
            for each in (field, hand)
        )
        signs = torch.ones(len(flips), 3, device=field.device)
        for row, flip in zip(signs, flips, strict=True):
            row[list(flip)] = -1
        signs = signs.repeat(count, 1)
        ways = ways_of(view, box) * signs[:, None]
        found, log_spread, mouth = self.net(asked, held, box.half.expand(len(asked), 3), ways, text)
        both = torch.cat([(found * box.scale).clamp(-limit, limit), log_spread.exp() * box.scale], dim=1)
        back = [row.flip([3 - k for k in flips[i % len(flips)]]) for i, row in enumerate(both)]
        filled, hollow, spread = torch.stack(back).split([1, 1, 2], dim=1)
        return Completion(box, filled[:, 0], hollow[:, 0], spread, (mouth * signs) @ box.axes.T)

    def energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """See the class. Differentiable in the object's distances; the same for all hands at it that are told the same.

        Raises:
            HopriorError: the state's distances have no inside.
        """
        objects, found, asked = whole_objects(state), [], []
        for grid, rows in objects:
            # Hands at one object that are told the same, as most are, cost one look at it.
            told = None if cond is None else cond[rows]
            if told is None or (told == told[:1]).all():
                told, rows = None if told is None else told[:1], rows[:1]
            found.append(self.complete(grid, told))
            asked.append(rows)
        points = [
            one.box.points(self.resolution).expand(len(rows), -1, -1) for one, rows in zip(found, asked, strict=True)
        ]
        now = state[torch.cat(asked)].sdf(torch.cat(points)).split([len(rows) for rows in asked])
        each = [_missed(*one).expand(len(rows)) for *one, (_, rows) in zip(found, now, objects, strict=True)]
        return torch.cat(each)[torch.cat([rows for _, rows in objects]).argsort()]

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Mean error of the distances, and the likelihood of these errors, which are Laplace's."""
        loss = self._loss(batch)[0]
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """The same on objects held out, and the overlap with the object before and after completion."""
        loss, found, error, mouth = self._loss(batch)
        self.log(f"{stage}/loss", loss, prog_bar=True)
        for name, mean in zip(("filled", "hollow"), error, strict=True):
            self.log(f"{stage}/{name}", mean)
        filled, hollow = batch["filled"], batch["hollow"]
        self.log(f"{stage}/mouth", (mouth - batch["mouth"]).square().sum(dim=1).mean())
        self.log(f"{stage}/iou_hull", _overlap(batch["hull"] < 0, filled < 0))
        self.log(f"{stage}/iou", _overlap(found[:, :1] < 0, filled < 0), prog_bar=True)
        open_ones = ((hollow < 0) & (filled < 0)).flatten(1).any(dim=1)
        if open_ones.any():
            inside = [(h < 0) & (f < 0) for h, f in ((found[:, 1:], found[:, :1]), (hollow, filled))]
            self.log(f"{stage}/iou_hollow", _overlap(*(each[open_ones] for each in inside)))

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        hull, target = batch["hull"], torch.cat([batch["filled"], batch["hollow"]], dim=1)
        given = (batch[name] for name in ("hand", "half", "ways", "text", "heard"))
        found, log_spread, mouth = self.net(hull, *given)
        target = torch.cat([target[:, :1].clamp(-NEAR, 2 * NEAR), target[:, 1:].clamp(-NEAR, NEAR)], dim=1)
        error = (found - target).abs()
        # What is far outside the hull is outside the object: nothing to learn there.
        weight = 0.05 + (hull < NEAR).to(error)
        weight = weight / weight.sum()
        # Were the answers to follow the likelihood too, what is certain, as that most things have no hollow, would
        # count a hundred times what is not.
        likelihood = error.detach() / log_spread.exp() + log_spread
        loss = ((error / NEAR + 0.5 * likelihood) * weight).sum() / 2
        # Squares make the answer a mean: of two ends that are as likely it is none.
        missed = (mouth - batch["mouth"]).square().sum(dim=1).mean()
        return loss + MOUTH_WEIGHT * missed, found, (error * weight).sum(dim=(0, 2, 3, 4)), mouth


def _missed(found: Completion, now: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """How far distances on the box's points are from those that were found, in errors that were expected; the mean."""
    near = NEAR * found.box.scale
    spread = torch.where(found.filled > -found.hollow, found.spread[:, 0], found.spread[:, 1])
    off = now.view(-1, *spread.shape[1:]).clamp(-near, near) - found.distance.clamp(-near, near)
    return (off.abs() / spread).flatten(1).mean(dim=1)


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    """Mean intersection over union of a batch's solids."""
    both, either = ((f.flatten(1).sum(dim=1).float()) for f in (one & other, one | other))
    return (both / either.clamp(min=1)).mean()


__getattr__ = old_names_of(__name__)
