"""The order of finished hands, of which no more are simulated than it takes to know the best."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.faults import GraspFaults

AT_A_TIME = 2
"""Hands that are simulated, at least, before it is asked whether that is enough."""
SPARE_OF_ONE, LEAST_SPARE = 16, 22
"""Hands that are optimised, or simulated, beyond those asked for, at least: of a single one, and from seven on.
docs/performance.md has what more of them, and fewer, are worth."""


def spare_hands(num: int, share: float) -> int:
    """How many hands beyond `num` are worked on: a share of them, or a least number.

    Example:
        >>> [spare_hands(num, 0.5) for num in (1, 7, 10, 100)]
        [16, 22, 22, 50]
    """
    return max(min(SPARE_OF_ONE + num - 1, LEAST_SPARE), round(share * num))


class Ranked(NamedTuple):
    """Hands, what they are ranked by (higher is better), and what that is made of, by name."""

    hands: GraspBatch
    ranking: Float[Tensor, " n"]
    scores: dict[str, Float[Tensor, " n"]]

    def best(self, num: int) -> "Ranked":
        """At most `num` of them, best first."""
        return self.those(self.ranking.argsort(descending=True, stable=True)[:num])

    def those(self, which: slice | Tensor) -> "Ranked":
        """Some of them."""
        scores = {name: column[which] for name, column in self.scores.items()}
        return Ranked(self.hands[which], self.ranking[which], scores)


def simulated_best(ranked: Ranked, faults: GraspFaults, num: int) -> Ranked:
    """The best `num` when what simulation finds wrong is taken off, best first.

    A simulated fault only ever lowers a hand. So hands are simulated in their order, and as soon as `num` of them are
    no worse than what the next one was before its own simulation, none that is left can come among them.
    """
    ranked = ranked.best(len(ranked.ranking))
    before: list[float] = ranked.ranking.tolist()
    done: list[Ranked] = []
    known: list[float] = []
    first = 0
    while first < len(ranked.ranking):
        if len(known) >= num and sorted(known, reverse=True)[num - 1] >= before[first]:
            break
        some = ranked.those(slice(first, first + max(AT_A_TIME, num - len(known))))
        found = faults.in_simulation(some.hands.angles, some.hands.T_object_hand)
        if not found:  # nothing is simulated
            return ranked.best(num)
        total, scores = some.ranking, dict(some.scores)
        for name, fault in found.items():
            total, scores[name], scores["faults"] = total - fault, fault, scores["faults"] + fault
        done.append(Ranked(some.hands, total, scores))
        known += total.tolist()
        first += len(some.ranking)
    return joined(done).best(num)


def joined(parts: list[Ranked]) -> Ranked:
    """All hands of several."""
    angles, places = ([getattr(part.hands, name) for part in parts] for name in ("angles", "T_object_hand"))
    scores = {name: torch.cat([part.scores[name] for part in parts]) for name in parts[0].scores}
    return Ranked(GraspBatch(torch.cat(angles), torch.cat(places)), torch.cat([part.ranking for part in parts]), scores)
