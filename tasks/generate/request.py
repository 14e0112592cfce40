"""What both ways of drawing are asked for: settings, priors, the hand, the sentence."""

import logging
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.errors import ArgumentError, HopriorError
from hoprior.hand import HandModel
from hoprior.hand.shape import HandShape
from hoprior.language.learnt_things import held_plainly, note_on_things
from hoprior.language.phrases import sentence_for
from hoprior.priors.protocols import AnyPrior, SamplesInteractions, SamplesObjects, info_of, text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.priors.usable import draws_poses, tasks_for
from hoprior.tasks.generate.plausibility import Plausible
from hoprior.tasks.shared import (
    NamedPrior,
    Priors,
    check_num,
    check_side,
    check_told,
    load_priors,
    priors_as_config,
    renamed,
    right_hand,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerateConfig:
    """How draws are made and judged.

    Attributes:
        guidance_scale: of classifier-free guidance, 1 is none; None is what the prior says
            (`PriorInfo.guidance_scale`), else 3 for hands with objects and 1 for hands alone.
        steps: of the sampler; must divide a diffusion prior's number of timesteps.
        batch_size: most draws at a time.
        draws_each: how many draws a sample may cost, on the average, before the rest is given up.
        finish: whether hand and object are brought together by contact before they are judged.
        hands: drawn for each object, the best of which is kept, by a prior that can draw hands for an object.
        judge: name or file of a prior that knows how people hold things, without words: it chooses among the hands at
            an object, beside their faults. None leaves it to these.
        show_rejected: whether draws that are thrown away are shown, with the reason (samples_rejected.png).
        plausible: limits beyond which a draw is thrown away.
    """

    guidance_scale: float | None = None
    steps: int = 50
    batch_size: int = 16
    draws_each: int = 8
    finish: bool = True
    hands: int = 8
    judge: str | None = "contrastive"
    show_rejected: bool = False
    plausible: Plausible = field(default_factory=Plausible)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "draws_each", "hands"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"config.{name}", getattr(self, name), "is too few: use at least 1")


@dataclass(frozen=True)
class Request:
    """One call of `generate` or `generate_poses`, its arguments checked and its priors loaded."""

    text: str
    sentence: str
    num: int
    asked_priors: Priors
    priors: list[NamedPrior]
    right: HandModel
    side: str
    seed: int
    device: torch.device
    config: GenerateConfig
    began: float

    @classmethod
    def of(
        cls,
        text: str,
        num: int,
        priors: Priors,
        hand: str | HandModel,
        side: str,
        seed: int,
        device: str,
        config: GenerateConfig,
        shape: HandShape | None = None,
    ) -> "Request":
        """Checks and loads.

        Raises:
            HopriorError: an argument cannot be used; the sentence says why.
        """
        check_told(text, seed)
        if not text.strip():
            raise ArgumentError("text", text, 'is empty: say what the hand does or holds, "a hammer"')
        check_num(num)
        check_side(side)
        began, where = time.perf_counter(), torch_device(device)
        right = right_hand(hand, side, shape)
        loaded = load_priors(priors, "generate", where, judges_too=True)
        return cls(text, sentence_for(text), num, priors, loaded, right, side, seed, where, config, began)

    def drawing(self, ability: type | tuple[type, ...]) -> tuple[NamedPrior, list[NamedPrior]]:
        """The one prior that draws, which has an ability (a protocol of `hoprior.priors`), and the others.

        Raises:
            HopriorError: none of the priors has it, or more than one.
        """
        able = [one for one in self.priors if isinstance(one.prior, ability)]
        if not able and not self.priors:
            raise ArgumentError("priors", self.asked_priors, "draw nothing: give one that does, as grid or pose do")
        if not able:
            first = self.priors[0]
            raise HopriorError(f"prior '{first.name}' is a {type(first.prior).__name__}, which {_instead(first.prior)}")
        if len(able) > 1:
            names = " and ".join(f"'{one.name}'" for one in able)
            raise HopriorError(f"priors {names} can both draw: give one that draws, and others that judge")
        return able[0], [one for one in self.priors if one is not able[0]]

    def warn_of_things(self, prior: AnyPrior, instead: bool = False) -> None:
        """Says in the log where a text is about things that a prior has not learnt, or about several.

        `instead`: whether what is most like such a thing is drawn in its place (`object_condition`).
        """
        learnt = info_of(prior).things
        note = note_on_things(self.text, learnt, instead) if learnt else None
        if note is not None:
            logger.warning("text '%s': %s", self.text, note)

    def condition(self, prior: AnyPrior) -> Float[Tensor, "1 tokens dim"] | None:
        """The sentence as a prior hears it; None if it listens to no text."""
        if text_encoder_of(prior) is None:
            return None
        return encode_texts(prior, [self.sentence], device=self.device)

    def object_condition(self, prior: AnyPrior) -> Float[Tensor, "1 tokens dim"] | None:
        """See `object_condition`."""
        return object_condition(prior, self.text, self.device)

    def guidance_scale(self, prior: AnyPrior, usual: float) -> float:
        """What is asked for, else what the prior says, else what is usual."""
        if self.config.guidance_scale is not None:
            return self.config.guidance_scale
        said = info_of(prior).guidance_scale
        return usual if said is None else said

    def as_config(self) -> dict[str, Any]:
        """What results keep of it."""
        return {
            "task": "generate",
            "text": self.text,
            "num": self.num,
            "priors": priors_as_config(self.asked_priors),
            "seed": self.seed,
            "hand": self.right.name,
            "hand_origin": self.right.origin(self.side),
            "side": self.side,
            "betas": [round(x, 6) for x in self.right.betas.tolist()],
            "device": str(self.device),
            "config": asdict(self.config),
        }


def object_condition(prior: AnyPrior, text: str, device: torch.device) -> Float[Tensor, "1 tokens dim"] | None:
    """What a prior hears of a text's object alone, or of what is most like it that it has learnt; None where that is
    the sentence, or nothing is known of the object.

    Uses are told of the few things that people were recorded with, and draws of a use are of these few.
    """
    said = held_plainly(text, info_of(prior).things)
    if said is None or said == sentence_for(text) or text_encoder_of(prior) is None:
        return None
    return encode_texts(prior, [said], device=device)


def _instead(prior: Any) -> str:
    """What a prior that cannot do what is asked for does."""
    if draws_poses(prior):
        return "draws hands alone: use generate_poses"
    if isinstance(prior, SamplesInteractions):
        return "draws hands with objects: use generate"
    if isinstance(prior, SamplesObjects):
        return "draws objects alone: use generate_objects"
    serves = " and ".join(tasks_for(prior))
    return f"judges but cannot be sampled: choose one that draws, as grid or pose do; this one serves {serves}"


def with_former_names(
    priors: Priors,
    config: GenerateConfig,
    prior: str | AnyPrior | None,
    guidance: float | None,
    steps: int | None,
) -> tuple[Priors, GenerateConfig]:
    """Priors and settings, as far as they were given by the names that they had before."""
    if prior is not None:
        renamed("prior", "priors")
        priors = ((1.0, prior),)
    if guidance is not None:
        renamed("guidance", "config.guidance_scale")
        config = replace(config, guidance_scale=guidance)
    if steps is not None:
        renamed("steps", "config.steps")
        config = replace(config, steps=steps)
    return priors, config
