"""What each draw of a refinement is told (tasks/refine/words.py), by the prior that ships."""

import pytest
import torch
from hand_estimates import estimate

from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.registry import load_prior
from hoprior.tasks.refine.sampling import RefineConfig
from hoprior.tasks.refine.task import refine, views_of
from hoprior.tasks.refine.words import Told, told

FINGERS = tuple(name for name in JOINT_NAMES if name != "wrist")
CPU = torch.device("cpu")
CONFIG = RefineConfig(steps=10, samples=4)


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    found = load_prior("pose")
    assert isinstance(found, PosePrior)
    return found


def said(prior: PosePrior, *texts: str | None, config: RefineConfig = CONFIG) -> Told:
    hand = load_hand()
    views = views_of([estimate(hidden=FINGERS, seed=k) for k in range(len(texts))], hand)
    return told(prior, hand, views, texts, config, CPU)


@pytest.mark.parametrize(
    "useless",
    [
        "the river flooded the valley",
        "IMG_0042.jpg",
        "a hand holding an object",
        "右手拿着锤子",
        "Eine Hand benutzt einen Hammer",
        "exchange rates moved little this week",
    ],
)
def test_what_says_nothing_of_a_grasp_counts_as_no_text_and_is_named(prior: PosePrior, useless: str) -> None:
    found = said(prior, useless, None, "a right hand using a hammer")
    assert found.cond is not None and torch.equal(found.cond[0], found.cond[1])
    assert torch.equal(found.cond[0], prior.null_text.expand_as(found.cond[0]))
    assert useless in found.notes[0] and found.notes[1:] == ("", "")
    assert said(prior, useless).cond is None


@pytest.mark.parametrize(
    "text", ["a right hand using a laptop", "holding a hammer", "claw_hammer.obj", "somebody sipping from a tea cup"]
)
def test_words_that_name_no_kind_are_told_as_several_and_say_no_less(prior: PosePrior, text: str) -> None:
    found = said(prior, text)
    assert found.cond is not None and found.notes == ("",)
    assert len(torch.unique(found.cond[0, :, 0], dim=0)) > 1
    assert torch.equal(said(prior, text).cond, found.cond)  # type: ignore[arg-type]


def test_a_named_kind_and_a_single_draw_are_told_as_they_are(prior: PosePrior) -> None:
    named = said(prior, "A right hand holding a mug, with a medium wrap grasp.").cond
    assert named is not None and (named == named[:, :1]).all()
    for one in (RefineConfig(samples=1), RefineConfig(mode="sds")):
        single = said(prior, "a right hand holding a mug", config=one).cond
        assert single is not None and single.shape[1] == 1


def test_hands_told_nothing_usable_are_those_told_nothing_with_a_note() -> None:
    hidden = estimate(hidden=FINGERS)
    vain = refine(hidden, "the river flooded the valley", config=CONFIG)[0]
    none = refine(hidden, config=CONFIG)[0]
    assert (vain.hand_pose == none.hand_pose).all()
    assert any("river" in note for note in vain.notes) and not none.notes
