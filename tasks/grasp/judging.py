"""How good placements are by several priors, and quick looks for when they are many."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.threads import side_by_side
from hoprior.priors.protocols import HasQuickLook
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.terms import ScoreNormalizer, reads_placement

Terms: TypeAlias = Sequence[tuple[float, Any]]
Verdict: TypeAlias = tuple[list[Float[Tensor, " b"]], Float[Tensor, " b"]]
"""Each prior's score of hands, and how many fingers of each hand would be out of place."""
Judged: TypeAlias = Callable[[GraspBatch], Verdict]


def quick_looks(terms: Terms) -> Terms:
    """The priors, each that has a quick look (`HasQuickLook`) by that.

    Example:
        >>> class Quick:
        ...     def quick_look(self):
        ...         return "nearly the same"
        >>> quick_looks([(2.0, Quick()), (1.0, "other")])
        [(2.0, 'nearly the same'), (1.0, 'other')]
    """
    return [(weight, prior.quick_look() if isinstance(prior, HasQuickLook) else prior) for weight, prior in terms]


def of_placements(terms: Terms) -> Terms:
    """Those of the priors that look at where a hand is."""
    return [(weight, prior) for weight, prior in terms if reads_placement(prior)]


def in_batches(judged: Judged, hands: GraspBatch, size: int, by_threads: bool) -> Verdict:
    """What is said of hands, so many at a time; `by_threads` has several threads ask at once (`side_by_side`)."""
    batches = [hands[slice(start, start + size)] for start in range(0, len(hands), size)]
    said = side_by_side(judged, batches) if by_threads else [judged(batch) for batch in batches]
    columns = zip(*(scores for scores, _ in said), strict=True)
    return [torch.cat(column) for column in columns], torch.cat([misplaced for _, misplaced in said])


class PlacementJudge:
    """How good placements are: what priors say, brought to one scale, less what is out of place.

    Args:
        terms: the priors that judge; of none, only what is out of place counts.
        judged: what they say of hands, and how many fingers of each would be out of place.
        out_of_place: what a finger that is out of place costs, in standard deviations of a prior's score.
    """

    def __init__(self, terms: Terms, judged: Judged, out_of_place: float) -> None:
        self.terms, self.judged, self.out_of_place = terms, judged, out_of_place
        self.normalize: ScoreNormalizer | None = None

    def __call__(self, hands: GraspBatch, judged: Judged | None = None) -> Float[Tensor, " b"]:
        """How good hands are, by the priors or, on their scale, by what is `judged` in their place.

        What is said of the first hands, many random ones, sets the scale.
        """
        scores, misplaced = (judged or self.judged)(hands)
        if self.terms and self.normalize is None:
            self.normalize = ScoreNormalizer.of(self.terms, scores)
        return (self.normalize(scores) if self.normalize else 0.0) - self.out_of_place * misplaced
