"""A base class for priors that configs and plug-ins name, and weighted sums of priors of either kind."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.priors.asking import is_energy
from hoprior.priors.protocols import AnyPrior, PriorInfo, info_of, text_encoder_of


class Prior:
    """A base class for priors that says what is missing when the class is made; the protocols alone are enough, too.

    A subclass has either `energy` or `encode` and `predict_noise` (with `alphas_cumprod`), says with
    `text_encoder_name` whose features it takes as `cond`, or None if it listens to no text, and with `info` the rest
    that tasks want to know (`PriorInfo`).

    Example:
        >>> class Low(Prior):
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> class Nothing(Prior):
        ...     pass
        Traceback (most recent call last):
        TypeError: Nothing is no prior: it needs `energy`, or `encode` and `predict_noise`
    """

    text_encoder_name: str | None = None
    info: PriorInfo = PriorInfo()

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """Refuses a class that is no prior, unless it is said to be `abstract`: what several priors share."""
        super().__init_subclass__(**kwargs)
        denoises = hasattr(cls, "encode") and hasattr(cls, "predict_noise")
        if not abstract and not denoises and not hasattr(cls, "energy"):
            raise TypeError(f"{cls.__qualname__} is no prior: it needs `energy`, or `encode` and `predict_noise`")


class WeightedPrior:
    """A weighted sum of priors of either kind, taken by `guidance_loss` and `score` wherever one prior is.

    All terms that listen to text must have the same encoder; the others get no condition. Weights multiply a term's
    guidance loss and its score alike. `weighted_sum` makes it.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> WeightedPrior([(1.0, Low()), (0.15, Low())]).text_encoder_name is None
        True
    """

    def __init__(self, terms: "Sequence[tuple[float, AnyPrior | WeightedPrior]]") -> None:
        if not terms:
            raise HopriorError("weighted sum of priors: no terms; give at least one (weight, prior)")
        hearing = {name: type(prior).__name__ for _, prior in terms if (name := text_encoder_of(prior)) is not None}
        if len(hearing) > 1:
            each = " and ".join(f"{prior} hears '{name}'" for name, prior in hearing.items())
            raise HopriorError(
                f"weighted sum of priors: {each}: only priors of one text encoder can share a condition, leave out the"
                " others"
            )
        self.terms: list[tuple[float, Any]] = [(float(weight), prior) for weight, prior in terms]
        self.text_encoder_name = next(iter(hearing), None)

    def cond_for(self, prior: Any, cond: Tensor | None) -> Tensor | None:
        """The condition as this term takes it: none, if it listens to no text."""
        return None if text_encoder_of(prior) is None else cond

    def to(self, device: str | torch.device) -> "WeightedPrior":
        """Moves the terms that are modules; returns itself."""
        for _, prior in self.terms:
            if hasattr(prior, "to"):
                prior.to(device)
        return self


def weighted_sum(terms: Iterable[tuple[float, AnyPrior | WeightedPrior]]) -> WeightedPrior:
    """A prior that is the weighted sum of others.

    Args:
        terms: pairs of a weight and a prior, which may be a sum itself; at least one.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> weighted_sum([(1.0, Low()), (0.15, Low())]).terms[1][0]
        0.15
    """
    return WeightedPrior(list(terms))


def all_repeat(terms: Iterable[tuple[float, Any]]) -> bool:
    """Whether all terms of a sum are energies that depend on their arguments alone (`PriorInfo.repeats`).

    Example:
        >>> class Low(Prior):
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> all_repeat([]), all_repeat([(1.0, Low())])
        (True, False)
    """
    return all(is_energy(prior) and info_of(prior).repeats for _, prior in terms)
