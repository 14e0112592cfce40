"""What each draw of a hand is told: the sentence that came with it, one of the grasps that it leaves open, or nothing.

Where a sentence names no kind of grasp, a prior that `ReadsBetweenWords` deals the kinds that it may mean out among the
draws, so that their mean is over all of them; a sentence of which it understands nothing counts as none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.hand import HandModel
from hoprior.language.wordings import as_sentence, grasp_in
from hoprior.priors.protocols import DenoisesHandPoses, NamesNullCondition, ReadsBetweenWords, text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.refine.observations import HandViews
from hoprior.tasks.refine.sampling import RefineConfig


class Told(NamedTuple):
    """Conditions of b hands' draws, NaN or the null condition for hands of which nothing is said; None where nothing
    is said of any. `notes` has a sentence for each hand whose text was of no use, else nothing."""

    cond: Float[Tensor, "b s tokens dim"] | None
    notes: tuple[str, ...]


def told(
    prior: DenoisesHandPoses,
    hand: HandModel,
    views: HandViews,
    texts: Sequence[str | None],
    config: RefineConfig,
    device: torch.device,
) -> Told:
    """What each draw of each hand is told.

    Args:
        prior: what draws.
        hand: the right hand's model.
        views: the hands; what is seen of each says which of the grasps that its text leaves open it may be.
        texts: as people say it, one for each hand: a sentence, a noun, a file name; None or empty says nothing.
        config: says how many draws there are; a single one cannot be of all kinds, and is told the sentence alone.
        device: where the prior is.
    """
    draws = config.samples if config.mode == "denoise" else 1
    sentences = [as_sentence(text) if text and text.strip() else "" for text in texts]
    heard = [index for index, sentence in enumerate(sentences) if sentence]
    notes = [_useless(text) if text and text.strip() and not sentences[i] else "" for i, text in enumerate(texts)]
    if not heard or text_encoder_of(prior) is None:
        return Told(None, tuple(notes))
    features = encode_texts(prior, [sentences[index] for index in heard], device=device)
    assert features is not None, "there are texts, and the prior listens to them"
    if isinstance(prior, ReadsBetweenWords):
        vain = prior.says_nothing(features).tolist()
        for index, useless in zip(heard, vain, strict=True):
            notes[index] = _useless(texts[index]) if useless else ""
        kept = torch.tensor([not useless for useless in vain], dtype=torch.bool, device=features.device)
        heard, features = [index for index, useless in zip(heard, vain, strict=True) if not useless], features[kept]
        if not heard:
            return Told(None, tuple(notes))
        # Evenly over what a sentence may mean: fewer draws than a random deal takes to show all of it.
        places = ((torch.arange(draws) + 0.5) / draws).to(features).expand(len(heard), draws)
        joints = hand.joints_only(views.pose.hand_pose[heard])
        each = prior.drawn_conditions(features, places, joints, ~views.occluded[heard])
        # A sentence that names its grasp leaves nothing open, nor can a single draw be of all that it may mean.
        as_said = torch.tensor([draws == 1 or grasp_in(sentences[index]) > 0 for index in heard], device=each.device)
        each = torch.where(as_said[:, None, None, None], features[:, None].expand_as(each), each)
    else:
        each = features[:, None].expand(-1, draws, -1, -1)
    cond = features.new_full((len(texts), *each.shape[1:]), torch.nan)
    if isinstance(prior, NamesNullCondition):
        cond = prior.null_text.detach().to(features).expand_as(cond).clone()
    cond[heard] = each
    return Told(cond, tuple(notes))


def _useless(text: str | None) -> str:
    shown = " ".join((text or "").split())
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"the text “{shown}” says nothing of a grasp that the prior understands, and was left out"
