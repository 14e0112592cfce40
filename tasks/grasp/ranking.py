"""The order of finished hands, of which no more are simulated than it takes to know the best."""

import math
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.faults import GraspFaults

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

    A simulated fault only ever lowers a hand: without those not yet simulated it is worth the most that it can be. The
    best `num` by the most that they can be are simulated, a fault after the other, until all of theirs are known; then
    none that is left can come among them.
    """
    simulations = faults.simulations(ranked.hands.angles, ranked.hands.T_object_hand)
    if not simulations:
        return ranked.best(num)
    most: list[float] = ranked.ranking.tolist()
    unknown = [list(simulations) for _ in most]
    found: dict[str, list[float]] = {name: [math.nan] * len(most) for name in simulations}
    running: dict[Future[float], tuple[int, str]] = {}
    workers = torch.get_num_threads()
    with ThreadPoolExecutor(workers, "simulation") as pool:
        while True:
            best = sorted(range(len(most)), key=lambda hand: -most[hand])[:num]
            busy = {hand for hand, _ in running.values()}
            for hand in [hand for hand in best if unknown[hand] and hand not in busy][: workers - len(running)]:
                name = unknown[hand].pop(0)
                running[pool.submit(simulations[name], hand)] = hand, name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                hand, name = running.pop(future)
                found[name][hand] = future.result()
                most[hand] -= found[name][hand]
    known = ranked.those(torch.tensor(best, device=ranked.ranking.device))
    total, scores = known.ranking, dict(known.scores)
    for name, each in found.items():
        fault = torch.tensor([each[hand] for hand in best]).to(total)
        total, scores[name], scores["faults"] = total - fault, fault, scores["faults"] + fault
    return Ranked(known.hands, total, scores).best(num)
