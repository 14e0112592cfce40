"""The two steps to an affordance description (Suzuki et al., Sec. 2.1): elements out of a photo, a sentence of them."""

from collections.abc import Collection
from dataclasses import dataclass

from hoprior.errors import HopriorError
from hoprior.language import template
from hoprior.language.describe.chat import AnswerCache, Chat, ask
from hoprior.language.describe.crop import View
from hoprior.language.schema import QUESTIONS, UNKNOWN, Affordance, json_schema, read_answer
from hoprior.language.taxonomy import TAXONOMY, grasp_type

MAX_SENTENCE_WORDS = 60
"""Of step 2's answer; MiniLM and CLIP hear little more."""
NO_LABELS = Affordance()


@dataclass(frozen=True)
class Description:
    """What step 2 ends with: `text` is what priors are told."""

    text: str
    affordance: Affordance


@dataclass(frozen=True)
class Describer:
    """Both steps over models of the caller's choice.

    Attributes:
        vision: answers step 1 from a photo; None leaves the elements to the labels.
        language: writes step 2's sentence; None takes the template.
        each: ask step 1 for one element at a time, as the paper does, instead of for all at once: slower, and a model
            is not led by its own first words.
        cache: where answers are kept.

    Example:
        >>> Describer()(labels=Affordance("mug", interaction="drinking from", grasp=3)).text
        'A right hand drinking from a mug, with a medium wrap grasp.'
    """

    vision: Chat | None = None
    language: Chat | None = None
    each: bool = False
    cache: AnswerCache | None = None

    def __call__(self, view: View | None = None, labels: Affordance = NO_LABELS) -> Description:
        """The description of a hand with its object.

        Args:
            view: the photo, for step 1; without one, the labels are all there is.
            labels: elements that are known. They stand above what a model says, and it is not asked for them: models
                classify grasps badly, so a known grasp is worth giving.

        Raises:
            HopriorError: nothing is known and no model can be asked, or a model does not answer or not usably.
        """
        affordance = labels
        if view is not None and self.vision is not None and labels.unknown():
            affordance = self.extract(view, labels.unknown()).overridden_by(labels)
        if not affordance.known():
            raise HopriorError(
                "nothing to describe: give a label (--category, --grasp, ...), or --image with --endpoint or"
                " --local-vision to ask a model"
            )
        return Description(self.summarize(affordance), affordance)

    def extract(self, view: View, names: Collection[str] = tuple(QUESTIONS)) -> Affordance:
        """Step 1: the named elements, as a vision-language model sees them.

        Raises:
            HopriorError: as `ask`.
        """
        assert self.vision is not None, "step 1 needs a model that sees"
        found = Affordance()
        for group in [[name] for name in names] if self.each else [list(names)]:
            found = found.overridden_by(
                ask(
                    self.vision,
                    extract_prompt(view, group),
                    lambda text, group=group: read_answer(text, group),  # type: ignore[misc]
                    view.image,
                    json_schema(group),
                    self.cache,
                )
            )
        return found

    def summarize(self, affordance: Affordance) -> str:
        """Step 2: one sentence of the known elements, by the language model or the template.

        Raises:
            HopriorError: as `ask`.
        """
        if self.language is None:
            return template.describe(affordance)
        prompt = summary_prompt(affordance)
        return ask(self.language, prompt, lambda text: read_sentence(text, affordance), cache=self.cache)


def extract_prompt(view: View, names: Collection[str]) -> str:
    """Step 1's question."""
    where = "".join(
        f" The {what} is in the box from ({box[0]:.0f}, {box[1]:.0f}) to ({box[2]:.0f}, {box[3]:.0f})."
        for what, box in (("hand", view.hand), ("object", view.object))
        if box is not None
    )
    pixels = f" (coordinates in pixels, in an image of {view.image.width} x {view.image.height})" if where else ""
    asked = "\n".join(f'- "{name}": {QUESTIONS[name]}' for name in names)
    if "object_size" in names:
        asked += "\nThe size is small, medium or large."
    if "grasp" in names:
        asked += f"\nThe grasp is one of: {', '.join(kind.name for kind in TAXONOMY)}."
    return (
        f"The photo shows a hand with an object.{where}{pixels} Look at this hand and this object only, and say:\n"
        f"{asked}\n"
        f"Answer with one JSON object with these keys and texts as values, nothing else. Where the photo does not show"
        f' it, the value is "{UNKNOWN}".'
    )


def summary_prompt(affordance: Affordance) -> str:
    """Step 2's question."""
    known = affordance.known()
    if affordance.grasp:
        known["grasp"] = affordance.grasp_name
        about = grasp_type(affordance.grasp)
        known["about the grasp"] = f"{about.type}, {about.opposition} opposition, thumb {about.thumb}"
    listed = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in known.items())
    keep = f" Name the grasp with exactly these words: {affordance.grasp_name}." if affordance.grasp else ""
    return (
        f"This is known of a hand and an object:\n{listed}\n"
        "Write one sentence in English that says all of it and nothing else, so that a reader can picture how the hand"
        f' holds the object. Begin with "A right hand".{keep} Answer with the sentence alone.'
    )


def read_sentence(text: str, affordance: Affordance) -> str:
    """The sentence in an answer of step 2.

    Raises:
        HopriorError: it is empty or too long, or leaves out the grasp.

    Example:
        >>> read_sentence('"A right hand with a medium wrap grasp on a mug."', Affordance("mug", grasp=3))
        'A right hand with a medium wrap grasp on a mug.'
    """
    sentence = " ".join(text.split()).strip("\"'“” ")
    words = len(sentence.split())
    if not sentence:
        raise HopriorError("the answer is empty")
    if words > MAX_SENTENCE_WORDS:
        raise HopriorError(f"the answer has {words} words: one sentence has at most {MAX_SENTENCE_WORDS}")
    if affordance.grasp and affordance.grasp_name not in sentence.lower():
        raise HopriorError(f"the sentence does not name the grasp, {affordance.grasp_name}")
    return sentence
