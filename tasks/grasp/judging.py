"""How ensembles are asked for less: one member sees all placements, all see the best; one guides after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.priors.protocols import Ensemble, info_of, text_encoder_of
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.terms import ScoreNormalizer, reads_placement

Terms: TypeAlias = Sequence[tuple[float, Any]]


def in_turn(terms: Terms) -> Terms:
    """The priors, with one that asks one member after another in the place of each ensemble."""
    return [(weight, InTurn(alone) if len(alone := members_of(prior)) > 1 else prior) for weight, prior in terms]


def members_of(prior: Any) -> Sequence[Any]:
    """The members of an ensemble; of any other prior itself."""
    return prior.members_alone() if isinstance(prior, Ensemble) else [prior]


class InTurn:
    """An energy of an ensemble that asks one member after another: over as many calls as there are, their mean.

    Descents take small steps, each by a gradient of its own, so that one member's bent does not last.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members, self.asked = members, 0
        self.text_encoder_name, self.info = text_encoder_of(members[0]), info_of(members[0])
        self.energy_name = f"{type(members[0]).__name__}.energy"

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """That of the member whose turn it is."""
        member = self.members[self.asked % len(self.members)]
        self.asked += 1
        return member.energy(state, cond)


def of_placements(terms: Terms) -> Terms:
    """Those of the priors that look at where a hand is."""
    return [(weight, prior) for weight, prior in terms if reads_placement(prior)]


@dataclass(frozen=True)
class Look:
    """What a look at hands has told: each prior's score, how many fingers are out of place, the joints expected."""

    scores: Sequence[Float[Tensor, " b"]]
    out_of_place: Float[Tensor, " b"]
    joints: Float[Tensor, "b 21 3"]

    def __getitem__(self, index: Int[Tensor, " k"]) -> "Look":
        scores = [column[index] for column in self.scores]
        return Look(scores, self.out_of_place[index], self.joints[index])


class PlacementJudge:
    """How good placements are, by priors whose scores are brought to one scale, less what is out of place.

    Of an ensemble one member sees all placements, and ever more of them the best of these (successive halving, Jamieson
    and Talwalkar 2016): a placement that is bad by one is hardly ever the best by their mean. What has been said of a
    placement is not asked again.

    Args:
        terms: weights, and the members of each prior that judges; of none, only what is out of place counts.
        look: looks at hands with the first members.
        score: what another member says of hands, the joints being those that were expected.
        shares: of the placements, those that as many members again see, for each round; all members in the last.
        out_of_place: what a finger that is out of place costs, in standard deviations of a prior's score.
    """

    def __init__(
        self,
        terms: Sequence[tuple[float, Sequence[Any]]],
        look: Callable[[Terms, GraspBatch], Look],
        score: Callable[[Any, GraspBatch, Float[Tensor, "b 21 3"]], Float[Tensor, " b"]],
        shares: Sequence[float],
        out_of_place: float,
    ) -> None:
        self.look, self.score, self.shares, self.out_of_place = look, score, shares, out_of_place
        self.first = [(weight, alone[0]) for weight, alone in terms]
        self.members = [alone for _, alone in terms]
        self.normalize: ScoreNormalizer | None = None

    def best(self, hands: GraspBatch, least: int) -> tuple[GraspBatch, Float[Tensor, " b"]]:
        """Those of many random hands that all members have seen, `least` or more, and how good they are.

        What the first members say of all of them sets the scale.
        """
        look = self.look(self.first, hands)
        self.normalize = ScoreNormalizer.of(self.first, look.scores) if self.first else None
        kept, total = self._narrowed(hands, look, 1, least)
        return hands[kept], total

    def of_each(self, hands: GraspBatch, count: int) -> Float[Tensor, " b"]:
        """How good hands are, each `count` in a row being choices for one; -inf where some members leave one out."""
        kept, total = self._narrowed(hands, self.look(self.first, hands), len(hands) // count, 1)
        return total.new_full((len(hands),), -torch.inf).index_copy(0, kept, total)

    def _narrowed(
        self, hands: GraspBatch, look: Look, groups: int, least: int
    ) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """Which hands are left, of each group in a row the same number, and how good they are."""
        kept = torch.arange(len(hands), device=look.joints.device)
        most, asked, total = max(map(len, self.members), default=1), 1, self._total(look)
        for turn, share in enumerate(self.shares, start=1):
            if asked == most:
                break
            left = min(max(least, round(share * len(hands) / groups)), len(kept) // groups)
            best = total.view(groups, -1).topk(left, dim=1).indices.sort(dim=1).values
            rows = (best + len(kept) // groups * torch.arange(groups, device=best.device)[:, None]).flatten()
            until = most if turn == len(self.shares) else min(2 * asked, most)
            kept = kept[rows]
            look = self._asked(hands[kept], look[rows], slice(asked, until))
            asked, total = until, self._total(look)
        return kept, total

    def _asked(self, hands: GraspBatch, look: Look, which: slice) -> Look:
        """What is known of hands when some more members have been asked."""
        scores = []
        for known, alone in zip(look.scores, self.members, strict=True):
            more = [self.score(member, hands, look.joints) for member in alone[which]]
            before = min(which.start, len(alone))
            scores.append((before * known + sum(more)) / (before + len(more)) if more else known)
        return replace(look, scores=scores)

    def _total(self, look: Look) -> Float[Tensor, " b"]:
        return (self.normalize(look.scores) if self.normalize else 0.0) - self.out_of_place * look.out_of_place
