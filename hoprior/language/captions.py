"""What people may say of a grasp whose label is known: the part that is held, the kind of grasp, what it is for.

Each saying leaves most of it out, as people do. A prior of words learns from many that every one of them counts.
"""

from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence_for, with_article
from hoprior.language.taxonomy import grasp_type

DOING = {"use": "using", "hand over": "handing over", "move": "moving", "hold": "holding"}
"""How a label's intention is told."""
OF_PART = (
    "a hand holding {thing} by the {part}",
    "a hand holding {thing} by its {part}",
    "a hand holding the {part} of {thing}",
    "a hand gripping {thing} at the {part}",
    "a hand holding an object by the {part}",
)
OF_KIND = (
    "a hand holding {thing} with {kind}",
    "{kind} of {thing}",
    "a hand holding an object with {kind}",
)
OF_ALL = (
    "a hand {doing} {thing} by the {part}",
    "A right hand {doing} {thing} by the {part}, with {kind}.",
)
SAYINGS = 1 + len(OF_PART) + 2 + len(OF_KIND) + 1 + len(OF_ALL) + 1
"""How many there are of each grasp."""


def sayings(category: str, label: GraspLabel, sentence: str) -> tuple[str, ...]:
    """`SAYINGS` sentences that fit a grasp; `sentence` stands for those whose words nobody knows.

    The short ones are as `sentence_for` turns what is typed: "by the handle", "the handle", "a tripod grasp".

    Args:
        category: what the object is, "mug".
        label: of the grasp.
        sentence: what the dataset says of it.

    Example:
        >>> sayings("mug", GraspLabel(part="handle", intention="use"), "a hand drinking from a mug")[1:3]
        ('a hand holding a mug by its handle', 'a hand holding the handle of a mug')
    """
    thing = with_article(category)
    part, doing = label.part, DOING.get(label.intention, "")
    kind = with_article(f"{grasp_type(label.taxonomy).name} grasp") if label.taxonomy else ""
    of_part = [*OF_PART, sentence_for("by the {part}"), sentence_for("the {part}")] if part else []
    of_kind = [*OF_KIND, sentence_for("{kind}")] if kind else []
    of_purpose = ["a hand {doing} {thing}"] if doing else []
    of_all = list(OF_ALL) if part and kind and doing else []
    said = [
        text.format(thing=thing, part=part, kind=kind, doing=doing)
        for text in (*of_part, *of_kind, *of_purpose, *of_all)
    ]
    return (*said, *[sentence] * (SAYINGS - len(said)))
