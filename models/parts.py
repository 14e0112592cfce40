"""The prior of parts: which part of the object does this sentence speak of, and is the hand there?

It looks at the whole object once, not through the hand's window, and says of every place on it how likely a sentence is
of a hand that is there: "by the handle" at a mug's ring, "by the head" at a hammer's. A hand is at several places; its
likelihood is their mean, and the prior's word the ratio of that to the mean over the object, so that it adds to other
energies by Bayes' rule. A sentence that fits every place, as an object's bare name does, changes nothing.

A condition may hold several wordings, a token each (`hoprior.language.part_wordings`): their log-odds are averaged.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.common.constants import constant
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.geometry.whole import whole_objects
from hoprior.hand.bones import bone_points
from hoprior.models.base import TrainedPrior
from hoprior.models.networks.blocks import ResBlock, Upsample, channels_last, conv3, group_norm, space_to_depth
from hoprior.models.training.measures import binary_auroc
from hoprior.priors.protocols import PriorInfo

Cond = Float[Tensor, "b tokens dim"]

VIEW_MARGIN = 1.25
"""The cube that is looked at, over the object's longest side."""
REACH = 0.012
"""A place counts for e times less with every so many metres between it and a bone, beyond the flesh."""
FLESH = 0.01
"""Between a bone and the skin (m)."""
NOWHERE = 0.5
"""How much the object as a whole counts beside the places that a hand is near."""
SOFTNESS = 0.02
"""Likelihoods are taken for at least about this: no part is out of the question."""


class View(NamedTuple):
    """An object as it is shown to the network."""

    field: Float[Tensor, "1 r r r"]
    """Signed distances over the cube's half extent, clamped to +- `TRUNCATION`."""
    spec: GridSpec
    """The cube, in the object's frame (m)."""


TRUNCATION = 0.5
"""Of distances, over the cube's half extent."""
NEAR = 0.1
"""Distances that the network sees in full contrast, over the cube's half extent."""


class Seen(NamedTuple):
    """An object as the network saw it."""

    view: View
    features: Float[Tensor, "1 f r r r"]
    """Of its places."""
    surface: Float[Tensor, "n 3"]
    """Points of the cube near the surface (object's frame, m)."""


def view_of(sdf: SdfGrid, resolution: int) -> View:
    """The cube around an object's surface, seen by its distances.

    Raises:
        HopriorError: the grid has no surface in it.
    """
    near = (sdf.values < sdf.cell).nonzero().flip(1)  # x, y, z
    if not len(near):
        raise HopriorError("prior of parts: the object's grid of distances has no surface in it")
    lower, upper = (sdf.lower + sdf.cell * near.amin(dim=0), sdf.lower + sdf.cell * near.amax(dim=0))
    x, y, z = ((lower + upper) / 2).tolist()
    spec = GridSpec((x, y, z), VIEW_MARGIN * float((upper - lower).max()) / 2, resolution)
    distance = sdf(spec.points(sdf.values.device)).view(1, *spec.shape)
    return View((distance / spec.half_extent).clamp(-TRUNCATION, TRUNCATION), spec)


class PartsNet(nn.Module):
    """A U-Net over the object and a layer that hears; places and sentences meet in an inner product."""

    def __init__(self, width: int, features: int, text_dim: int, dropout: float) -> None:
        super().__init__()
        wide = (width, 2 * width, 3 * width)
        self.first = conv3(17, wide[0])
        self.fine = ResBlock(wide[0], wide[0])
        self.down = nn.ModuleList([conv3(wide[0], wide[1], 2), conv3(wide[1], wide[2], 2)])
        self.middle = nn.ModuleList(
            [ResBlock(wide[1], wide[1]), nn.Sequential(*(ResBlock(wide[2], wide[2]) for _ in "ab"))]
        )
        self.up = nn.ModuleList([Upsample(wide[2], wide[1]), Upsample(wide[1], wide[0])])
        self.join = nn.ModuleList([ResBlock(2 * wide[1], wide[1]), ResBlock(2 * wide[0], wide[0])])
        self.last = nn.Sequential(group_norm(wide[0]), nn.SiLU(), conv3(wide[0], features))
        # Sentences are told apart by what is left of them without what all have in common.
        self.apart = nn.BatchNorm1d(text_dim, affine=False)
        self.listen = nn.Sequential(
            nn.Linear(text_dim, 128), nn.SiLU(), nn.Dropout(dropout), nn.Linear(128, features + 1)
        )
        channels_last(self)

    def look(self, field: Float[Tensor, "b 1 r r r"], size: Float[Tensor, " b"]) -> Float[Tensor, "b f r2 r2 r2"]:
        """Features of places, of objects whose cubes reach `size` (m) to each side."""
        # Seen from near and from far: a handle is thin beside the size of what it is on.
        x = space_to_depth(torch.cat([(field / NEAR).clamp(-1, 1), field / TRUNCATION], dim=1), 2)
        scale = (size / 0.1).log().view(-1, 1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        fine = self.fine(self.first(torch.cat([x, scale], dim=1)))
        half = self.middle[0](self.down[0](fine))
        quarter = self.middle[1](self.down[1](half))
        half = self.join[0](torch.cat([self.up[0](quarter), half], dim=1))
        return self.last(self.join[1](torch.cat([self.up[1](half), fine], dim=1)))

    def heard(self, cond: Cond) -> Float[Tensor, "b 1 f1"]:
        """What each of b conditions claims: of several sentences, a token each, the mean of their log-odds."""
        return self.hear(cond).mean(dim=1, keepdim=True)

    def hear(self, texts: Float[Tensor, "*b dim"]) -> Float[Tensor, "*b f1"]:
        """What sentences claim of a place: weights of its features, and a bias."""
        apart = self.apart(texts.flatten(0, -2))
        return self.listen(apart).unflatten(0, texts.shape[:-1])


def surface_points(view: View) -> Float[Tensor, "n 3"]:
    """Points of the cube near the surface (object's frame, m)."""
    near = view.field.flatten().abs() * view.spec.half_extent < view.spec.cell
    return view.spec.points(view.field.device)[near]


def at_places(features: Float[Tensor, "b f r r r"], unit: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n f"]:
    """Features at points (x, y, z in -1 .. 1 over the cube), between cells' centres and beyond the outermost."""
    sampled = F.grid_sample(features, unit[:, :, None, None], align_corners=False, padding_mode="border")
    return sampled[..., 0, 0].transpose(1, 2)


def log_odds(places: Float[Tensor, "b n f"], claims: Float[Tensor, "b k f1"]) -> Float[Tensor, "b k n"]:
    """The log-odds of k sentences at n places of each of b objects."""
    weights, bias = claims[..., :-1], claims[..., -1:]
    return weights @ places.transpose(1, 2) / places.shape[-1] ** 0.5 + bias


class PartsPrior(TrainedPrior):
    """Energy of where a hand is, given a sentence; without one it is zero.

    `energy = log(mean over the object of p(sentence | place)) - log(mean over the hand's places of the same)`, where a
    place counts by how near a bone is to the surface there.

    Args:
        resolution: points per axis of the cube around the object; a multiple of 8.
        width, features, dropout: of the network.
        text_encoder, text_dim: whose features the sentences come as, and how many these are.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    # Log-odds that differ by less than a half are no reason to prefer a grasp.
    info = PriorInfo(requires_text=True, min_score_std=0.5, repeats=True)

    def __init__(
        self,
        resolution: int = 32,
        width: int = 32,
        features: int = 32,
        dropout: float = 0.1,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 50,
    ) -> None:
        super().__init__()
        self.resolution, self.text_encoder_name = resolution, text_encoder
        self.net = PartsNet(width, features, text_dim, dropout)

    def energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """See the class. Differentiable in `T_object_hand` and `joints_hand`; each object is looked at anew.

        Where many states of one object are judged, ask `at_object`.

        Raises:
            HopriorError: the state's distances have no surface near a hand.
        """
        if cond is None:
            return state.joints_hand.new_zeros(len(state))
        bones, nearness = _bones_near(state)
        objects = whole_objects(state)
        each = [self._energy_at(self.look(grid), bones[rows], nearness[rows], cond[rows]) for grid, rows in objects]
        return torch.cat(each)[torch.cat([rows for _, rows in objects]).argsort()]

    def at_object(self, sdf: SdfGrid) -> "PartsAtObject":
        """This prior for states of one object, which it looks at once; its weights are those of now."""
        return PartsAtObject(self, sdf, self.look(sdf))

    @torch.no_grad()
    def look(self, sdf: SdfGrid) -> Seen:
        """What the network sees in an object.

        Raises:
            HopriorError: the grid has no surface in it.
        """
        view = view_of(sdf, self.resolution)
        size = torch.tensor([view.spec.half_extent], device=sdf.values.device)
        return Seen(view, self.net.look(view.field[None], size), surface_points(view))

    def bones_at(self, state: HandObjectState, cond: Cond) -> Float[Tensor, " b"]:
        """How much of each hand's `bone_points` is at the part that a sentence speaks of: their number, softly.

        Raises:
            HopriorError: the state's distances have no surface near a hand.
        """
        bones, nearness = _bones_near(state)
        objects = whole_objects(state)
        each = [self._bones_at(self.look(grid), bones[rows], nearness[rows], cond[rows]) for grid, rows in objects]
        return torch.cat(each)[torch.cat([rows for _, rows in objects]).argsort()]

    def _bones_at(
        self, seen: Seen, bones: Float[Tensor, "b n 3"], nearness: Float[Tensor, "b n"], cond: Cond
    ) -> Float[Tensor, " b"]:
        """The same of hands that are all at one object."""
        claims = self.net.heard(cond)
        return (nearness * self._likelihood(seen, claims, bones)).sum(dim=1)

    def _energy_at(
        self, seen: Seen, bones: Float[Tensor, "b n 3"], nearness: Float[Tensor, "b n"], cond: Cond
    ) -> Float[Tensor, " b"]:
        """The energy of hands that are all at one object."""
        claims = self.net.heard(cond)
        said = self._likelihood(seen, claims, bones)
        # One sentence for all is known from how it lies in memory, without a look at it.
        alike = cond.stride(0) == 0 or bool((cond == cond[:1]).all())
        surface = seen.surface[None]
        each = claims[:1] if alike else claims
        whole = torch.stack([self._likelihood(seen, claim[None], surface).mean() for claim in each]).expand(len(cond))
        here = ((nearness * said).sum(dim=1) + NOWHERE * whole) / (nearness.sum(dim=1) + NOWHERE)
        return torch.log(whole + SOFTNESS) - torch.log(here + SOFTNESS)

    def _likelihood(
        self, seen: Seen, claims: Float[Tensor, "b 1 f1"], points: Float[Tensor, "b n 3"]
    ) -> Float[Tensor, "b n"]:
        view, features = seen.view, seen.features
        centre = constant(tuple(view.spec.center), like=features)
        unit = (points - centre) / (view.spec.half_extent + view.spec.cell / 2)
        places = at_places(features, unit.reshape(1, -1, 3))[0].view(*points.shape[:2], -1)
        return log_odds(places, claims)[:, 0].sigmoid()

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Cross-entropy of sentences at places: does each speak of the part that the place is on?"""
        odds = self._odds(batch)
        loss = F.binary_cross_entropy_with_logits(odds, batch["fits"].to(odds.dtype))
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """The same on objects held out, and the AUC over all places and sentences that name a part."""
        odds, fits = self._odds(batch).float(), batch["fits"]
        named = ~fits.all(dim=2)
        self.log(f"{stage}/loss", F.binary_cross_entropy_with_logits(odds, fits.float()), prog_bar=True)
        self.log(f"{stage}/auc", binary_auroc(odds[named].flatten(), fits[named].flatten().long()), prog_bar=True)

    def _odds(self, batch: dict[str, Tensor]) -> Float[Tensor, "b k n"]:
        features = self.net.look(batch["field"], batch["size"])
        return log_odds(at_places(features.float(), batch["places"]), self.net.hear(batch["texts"]).float())


@dataclass(frozen=True)
class PartsAtObject:
    """The prior of parts at one object, of which it knows what it saw: a descent asks it at every step.

    States of any other object go to the prior itself.
    """

    prior: PartsPrior
    sdf: SdfGrid
    seen: Seen

    info = PartsPrior.info

    @property
    def text_encoder_name(self) -> str | None:
        """The prior's."""
        return self.prior.text_encoder_name

    def energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """As `PartsPrior.energy`."""
        if cond is None or state.sdf is not self.sdf:
            return self.prior.energy(state, cond)
        return self.prior._energy_at(self.seen, *_bones_near(state), cond)

    def bones_at(self, state: HandObjectState, cond: Cond) -> Float[Tensor, " b"]:
        """As `PartsPrior.bones_at`."""
        if state.sdf is not self.sdf:
            return self.prior.bones_at(state, cond)
        return self.prior._bones_at(self.seen, *_bones_near(state), cond)

    @torch.no_grad()
    def likelihood_at(self, points: Float[Tensor, "n 3"], cond: Float[Tensor, "1 tokens dim"]) -> Float[Tensor, " n"]:
        """How likely a sentence is of a hand that is at points of the object's surface (its frame, m)."""
        claims = self.prior.net.heard(cond)
        return self.prior._likelihood(self.seen, claims, points[None])[0]


def _bones_near(state: HandObjectState) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]]:
    """Places of the hands (object's frame, m), and how much each counts for being near the surface."""
    bones = transform_points(state.T_object_hand, bone_points(state.joints_hand))
    return bones, torch.exp(-torch.relu(state.sdf(bones) - FLESH) / REACH)
