"""What a prior is: two small protocols, a base class for configs and plug-ins, and weighted sums."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from hoprior.errors import HopriorError

State = TypeVar("State")
Cond_contra = TypeVar("Cond_contra", contravariant=True)
State_contra = TypeVar("State_contra", contravariant=True)


@runtime_checkable
class ScorePrior(Protocol[State_contra, Cond_contra]):
    """A denoiser of states: all that score distillation needs."""

    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]:
        """Of the noise schedule it was trained with."""
        ...

    def encode(self, state: State_contra, /) -> Float[Tensor, "b *shape"]:
        """The clean representation of b states, differentiable in them, through frozen weights."""
        ...

    def predict_noise(
        self, x_t: Float[Tensor, "b *shape"], t: Int[Tensor, " b"], cond: Cond_contra | None, /
    ) -> Float[Tensor, "b *shape"]:
        """The noise in `x_t`; `cond=None` is the null condition."""
        ...


@runtime_checkable
class GenerativePrior(ScorePrior[State, Cond_contra], Protocol[State, Cond_contra]):
    """A denoiser whose samples can be read as states."""

    def decode(self, x0: Float[Tensor, "b *shape"], /) -> State:
        """The states of b clean representations."""
        ...


@runtime_checkable
class EnergyPrior(Protocol[State_contra, Cond_contra]):
    """A prior that only judges: lower is more likely, differentiable in the state."""

    def energy(self, state: State_contra, cond: Cond_contra | None, /) -> Float[Tensor, " b"]:
        """The energy of each state; `cond=None` is the null condition."""
        ...


class Prior:
    """Base class of the priors that configs, `load_prior` and entry points name; Python callers need only a protocol.

    What else a prior may say of itself (`text_encoder_name`, `needs_text` ...) is optional for those.

    A subclass has either `energy` or `encode` and `predict_noise` (with `alphas_cumprod`), and says with
    `text_encoder_name` whose features it takes as `cond`, or None if it listens to no text.
    """

    text_encoder_name: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        denoises = hasattr(cls, "encode") and hasattr(cls, "predict_noise")
        if not denoises and not hasattr(cls, "energy"):
            raise TypeError(f"{cls.__qualname__} is no prior: it needs `energy`, or `encode` and `predict_noise`")


def text_encoder_of(prior: Any) -> str | None:
    """The text encoder whose features a prior takes as `cond`; None if it listens to no text, or does not say."""
    return getattr(prior, "text_encoder_name", None)


class WeightedPrior:
    """A weighted sum of priors of either kind, taken by `guidance_loss` and `score` wherever one prior is.

    All terms that listen to text must have the same encoder; the others get no condition. Weights multiply a term's
    guidance loss and its score alike.
    """

    def __init__(self, terms: Sequence[tuple[float, Any]]) -> None:
        if not terms:
            raise HopriorError("weighted sum of priors: no terms; give at least one (weight, prior)")
        names = {name for _, prior in terms if (name := text_encoder_of(prior)) is not None}
        if len(names) > 1:
            raise HopriorError(
                f"weighted sum of priors: their text encoders are {', '.join(sorted(names))};"
                " only priors of one encoder can share a condition"
            )
        self.terms = [(float(weight), prior) for weight, prior in terms]
        self.text_encoder_name = names.pop() if names else None

    def cond_for(self, prior: Any, cond: Any) -> Any:
        """The condition as this term takes it: none, if it listens to no text."""
        return None if text_encoder_of(prior) is None else cond

    def to(self, device: Any) -> "WeightedPrior":
        """Moves the terms that are modules; returns itself."""
        for _, prior in self.terms:
            if hasattr(prior, "to"):
                prior.to(device)
        return self


def weighted_sum(terms: Iterable[tuple[float, Any]]) -> WeightedPrior:
    """`weighted_sum([(1.0, a), (0.15, b)])`."""
    return WeightedPrior(list(terms))
