"""The socket, on one page: the two kinds of prior, what else a prior may be able to do, and what it says of itself.

A prior is any object that satisfies one of the two kinds; no base class is needed. Each capability is a protocol of its
own, which tasks ask for with `isinstance`; no task asks for a class or a name. docs/extending.md shows one of each.

| protocol | methods | who asks |
|---|---|---|
| `ScorePrior` (kind) | `alphas_cumprod`, `encode`, `predict_noise` | score distillation, Eq. 3: all tasks |
| `EnergyPrior` (kind) | `energy` | guidance and ranking: all tasks |
| `GenerativePrior` | + `decode` | whoever samples |
| `GuidedDenoiser` | + `predict_noise_guided` | score distillation: both conditions in one forward |
| `ScoresPlacements` | `placement_energy` | grasp: thousands of placements, before fingers are known |
| `HasQuickLook` | `quick_look` | grasp: sees all placements, and guides; the prior itself judges those that are left |
| `ProposesPlacements` | `propose_placements` | grasp |
| `ProposesJoints` | `propose_joints` | grasp |
| `HoldsPosture` | `posture_energy` | grasp: fingers that are kept while contact closes the hand |
| `LooksAtObject` | `at_object` | grasp: an object is looked at once, not at every step |
| `FindsParts` | `bones_at` | grasp: hands keep off the part that a sentence speaks of, such as a blade |
| `ShowsParts` | `likelihood_at` | grasp: the part that is told to be left free, or to be held |
| `CompletesShape` | `complete` | reconstruct: what no mask shows |
| `SamplesInteractions` | `sample_interactions` | generate |
| `SamplesHands` | `sample_hands_at` | generate: several hands for each object, of which one is kept |
| `SamplesObjects` | `sample_objects` | generate: objects alone |
| `CompletesObjects` | `complete_objects` | generate: objects of which a part is given |
| `SamplesHandPoses` | `sample_hand_poses` | generate |
| `NamesNullCondition` | `null_text` | refine: hands of which something is said beside others |
| `ReadsBetweenWords` | `drawn_conditions`, `says_nothing` | refine: texts without a kind of grasp |
| `DenoisesHandPoses` | `GenerativePrior` of poses + `pose_shape` | refine: poses under observations; generate; grasp |
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.geometry.state import Articulated, HandObjectState
from hoprior.priors.draw_protocols import (
    CompletesObjects as CompletesObjects,
)
from hoprior.priors.draw_protocols import (
    Generator as Generator,
)
from hoprior.priors.draw_protocols import (
    SamplesHandPoses as SamplesHandPoses,
)
from hoprior.priors.draw_protocols import (
    SamplesHands as SamplesHands,
)
from hoprior.priors.draw_protocols import (
    SamplesInteractions as SamplesInteractions,
)
from hoprior.priors.draw_protocols import (
    SamplesObjects as SamplesObjects,
)
from hoprior.priors.records import ObjectView

State = TypeVar("State")
Cond_contra = TypeVar("Cond_contra", contravariant=True)
State_contra = TypeVar("State_contra", contravariant=True)
StatePart = Literal["sdf", "T_object_hand", "joints_hand", "hand_pose", "rest"]
"""Fields of `HandObjectState`."""
INTERACTION: frozenset[StatePart] = frozenset({"sdf", "T_object_hand", "joints_hand"})
"""What a prior of hands at objects reads, unless it says otherwise."""


@dataclass(frozen=True)
class PriorInfo:
    """What a prior says of itself, as its attribute `info`; a prior without one has these defaults.

    Whose text features it takes as `cond` is an attribute of its own, `text_encoder_name` (None: it listens to no
    text), since that is chosen with the weights.

    Attributes:
        reads: the parts of a `HandObjectState` that it looks at. Tasks fill `hand_pose` only for priors that read it.
        requires_text: without a sentence there is nothing to ask it; tasks leave it out where nothing is said.
        min_score_std: standard deviation of its scores over a batch (nats, or a denoiser's error) below which it has
            no opinion: smaller differences are not blown up to a preference.
        noise_range: fractions of T, low to high, at which a denoiser judges well; None leaves it to the task.
        guidance_scale: of classifier-free guidance at which its draws are best; None leaves it to the task.
        licence: of its weights, as an SPDX name or a short sentence.
        things: that it has learnt, by name, so that people hear of it when they ask for others; empty where it does
            not say.
        repeats: whether an energy depends on its arguments alone, and not on numbers of Python's, on draws, or on what
            it was asked before. Then several threads ask it at once, and a GPU that was told it once repeats it by
            itself (`torch.cuda.CUDAGraph`); one that waits for the GPU is noticed, and asked as if it had not said so.
        fingertips_only: whether of the joints that it proposes only the fingertips are as people have them, as where it
            learnt from hands that were brought to another skeleton by these, or were made by rule. Then only these are
            followed, and fingers bend as those of hands that hold something.

    Example:
        >>> PriorInfo(reads=frozenset({"hand_pose"}), licence="CC0-1.0").requires_text
        False
    """

    reads: frozenset[StatePart] = INTERACTION
    requires_text: bool = False
    min_score_std: float = 1e-9
    noise_range: tuple[float, float] | None = None
    guidance_scale: float | None = None
    licence: str = "not stated"
    things: frozenset[str] = frozenset()
    repeats: bool = False
    fingertips_only: bool = False


# The two kinds.


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
class EnergyPrior(Protocol[State_contra, Cond_contra]):
    """A prior that only judges: lower is more likely, differentiable in the state."""

    def energy(self, state: State_contra, cond: Cond_contra | None, /) -> Float[Tensor, " b"]:
        """The energy of each state; `cond=None` is the null condition."""
        ...


# What a denoiser may be able to do beside.


@runtime_checkable
class GenerativePrior(ScorePrior[State, Cond_contra], Protocol[State, Cond_contra]):
    """A denoiser whose samples can be read as states."""

    def decode(self, x0: Float[Tensor, "b *shape"], /) -> State:
        """The states of b clean representations."""
        ...


@runtime_checkable
class GuidedDenoiser(Protocol[Cond_contra]):
    """A denoiser that does classifier-free guidance its own way, as one batch of 2b say."""

    def predict_noise_guided(
        self, x_t: Float[Tensor, "b *shape"], t: Int[Tensor, " b"], cond: Cond_contra, guidance_scale: float, /
    ) -> Float[Tensor, "b *shape"]:
        """`null + guidance_scale * (noise - null)`."""
        ...


@runtime_checkable
class NamesNullCondition(Protocol):
    """Has a condition that says as little as `cond=None`, so that rows with and without text go in one forward."""

    @property
    def null_text(self) -> Float[Tensor, "1 dim"]:
        """One token that stands for no text."""
        ...


@runtime_checkable
class DenoisesHandPoses(Protocol[Cond_contra]):
    """A denoiser of how hands are bent, of which some joints can be held while others are drawn.

    `encode` takes anything with a `hand_pose` (b, 15, 3), axis-angle from the flat right hand, radians; `decode` gives
    a `HandPose`. Row j of x is rotation j, so that what is seen of a hand can be kept row by row.
    """

    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]:
        """Shares of the signal's variance that are left at each noise level, from nearly 1 down to nearly 0."""
        ...

    @property
    def pose_shape(self) -> tuple[int, int]:
        """(15, d): of x without the batch."""
        ...

    def encode(self, state: Articulated, /) -> Float[Tensor, "b 15 d"]:
        """Hands as the denoiser represents them; differentiable."""
        ...

    def decode(self, x0: Float[Tensor, "b 15 d"], /) -> Articulated:
        """Hands of what was denoised."""
        ...

    def predict_noise(
        self, x_t: Float[Tensor, "b 15 d"], t: Int[Tensor, " b"], cond: Cond_contra | None, /
    ) -> Float[Tensor, "b 15 d"]:
        """The noise in x at noise levels t, with a text's features or none."""
        ...


# What any prior may be able to do beside.


@runtime_checkable
class ScoresPlacements(Protocol[Cond_contra]):
    """Judges where a hand is before anyone knows how it is bent."""

    def placement_energy(
        self, state: HandObjectState, cond: Cond_contra | None = None, /
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
        """The least energy of each placement over the fingers, and the joints (hand frame, m) that have it."""
        ...


@runtime_checkable
class HasQuickLook(Protocol):
    """Has a cheaper prior beside itself that answers nearly alike, so that thousands of placements can be looked at."""

    def quick_look(self) -> Any:
        """That prior, of the same abilities; the prior itself where there is none. Scores are on the same scale."""
        ...


@runtime_checkable
class ProposesPlacements(Protocol[Cond_contra]):
    """Knows where at an object to put a hand."""

    def propose_placements(
        self,
        surface: Float[Tensor, "n 3"],
        normals: Float[Tensor, "n 3"],
        cond: Cond_contra | None,
        generator: torch.Generator,
        /,
    ) -> Float[Tensor, "k 4 4"] | None:
        """At most n `T_object_hand` for points of an object's surface (m) with outward unit normals, and one sentence.

        None where it has nothing to propose for what is said.
        """
        ...


@runtime_checkable
class ProposesJoints(Protocol[Cond_contra]):
    """Knows how people bend their fingers where a hand is placed."""

    def propose_joints(
        self, state: HandObjectState, cond: Cond_contra | None = None, generator: torch.Generator | None = None, /
    ) -> Float[Tensor, "b 21 3"]:
        """Joints in the hand frame (m) for each placement; `state.joints_hand` are those proposed so far."""
        ...


@runtime_checkable
class HoldsPosture(Protocol[Cond_contra]):
    """Keeps fingers as they were told to be while contact closes the hand, which alone closes all fingers alike."""

    def posture_energy(self, state: HandObjectState, cond: Cond_contra | None, /) -> Float[Tensor, " b"]:
        """Lower is more like what was told; differentiable in `joints_hand` or `hand_pose`."""
        ...


@runtime_checkable
class LooksAtObject(Protocol):
    """Looks at an object once and for all, where its judging would look at every step."""

    def at_object(self, sdf: Any, /) -> Any:
        """A prior of the same abilities, for states at this one object (`HandObjectState.sdf`)."""
        ...


@runtime_checkable
class FindsParts(Protocol[Cond_contra]):
    """Knows where on an object the part is that a sentence speaks of, such as "by its blade"."""

    def bones_at(self, state: HandObjectState, cond: Cond_contra, /) -> Float[Tensor, " b"]:
        """How many of each hand's bones are at that part, softly; differentiable in the hands."""
        ...


@runtime_checkable
class ShowsParts(Protocol[Cond_contra]):
    """Has looked at an object (`LooksAtObject`) and says where on it the part is of which a sentence speaks."""

    def likelihood_at(self, points: Float[Tensor, "n 3"], cond: Cond_contra, /) -> Float[Tensor, " n"]:
        """How likely the sentence (a batch of one) is of a hand at points of the surface (object's frame, m)."""
        ...


@runtime_checkable
class ReadsBetweenWords(Protocol[Cond_contra]):
    """Knows what a sentence leaves open, as how a hammer is grasped, so that draws can be told each a part of it."""

    def says_nothing(self, cond: Cond_contra, /) -> Bool[Tensor, " b"]:
        """Which of b sentences say nothing that it could use."""
        ...

    def drawn_conditions(
        self,
        cond: Cond_contra,
        places: Float[Tensor, "b s"],
        joints_hand: Float[Tensor, "b 21 3"] | None = None,
        visible: Bool[Tensor, "b 21"] | None = None,
        /,
    ) -> Float[Tensor, "b s tokens dim"]:
        """Conditions for s draws of each sentence.

        Args:
            cond: the sentences.
            places: from 0 to 1, where in all that a sentence may mean.
            joints_hand: the hand frame's joints (m) of an estimate: sentences mean what fits these.
            visible: which of them are seen.
        """
        ...


@runtime_checkable
class ShapeCompletion(Protocol):
    """What an object is taken for. Priors may return more."""

    @property
    def mouth(self) -> Float[Tensor, "b 3"]:
        """Out of a vessel's opening, object's frame; as long as it is sure that there is one, 0 to 1."""
        ...


@runtime_checkable
class CompletesShape(Protocol[Cond_contra]):
    """Knows of an object what its outside does not show."""

    def complete(self, sdf: Any, cond: Cond_contra | None, view: ObjectView, mirrored: bool, /) -> ShapeCompletion:
        """What an object whose outside is known (a `SdfGrid`, m) is taken for under each of b sentences.

        With `mirrored` there may be several answers to each sentence, of the object seen in mirrors.
        """
        ...


AnyPrior: TypeAlias = (
    ScorePrior[Any, Any]
    | EnergyPrior[Any, Any]
    | SamplesInteractions[Any]
    | SamplesObjects[Any]
    | SamplesHandPoses[Any]
    | CompletesShape[Any]
)
"""A prior of either kind, or one that only draws or completes."""


# What a prior says of itself.


def info_of(prior: Any) -> PriorInfo:
    """What a prior says of itself, or the defaults of one that says nothing.

    Example:
        >>> class Lowest:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> info_of(Lowest()).requires_text
        False
    """
    info = getattr(prior, "info", None)
    return info if isinstance(info, PriorInfo) else PriorInfo()


def text_encoder_of(prior: Any) -> str | None:
    """The text encoder whose features a prior takes as `cond`; None if it listens to no text, or does not say.

    Example:
        >>> class Low:
        ...     text_encoder_name = "minilm"
        >>> text_encoder_of(Low())
        'minilm'
    """
    return getattr(prior, "text_encoder_name", None)


def is_prior(thing: Any) -> bool:
    """Whether a thing is of one of the two kinds, or can at least draw or complete.

    Example:
        >>> is_prior("grid")
        False
    """
    return isinstance(
        thing, (ScorePrior, EnergyPrior, SamplesInteractions, SamplesObjects, SamplesHandPoses, CompletesShape)
    )
