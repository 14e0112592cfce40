"""What is known of a grasp in words."""

from dataclasses import asdict, dataclass

from hoprior.common.reading import expect


@dataclass(frozen=True)
class GraspLabel:
    """What kind of grasp it is, as far as known.

    `taxonomy` is its number in the GRASP taxonomy (Feix et al. 2016), 0 where unknown; `part` the part of the object
    that the hand holds; `intention` what for ("use", "hand over", "move", "hold").
    """

    taxonomy: int = 0
    part: str = ""
    intention: str = ""


def label_from(content: object) -> GraspLabel:
    """The label whose entries a file has.

    Raises:
        TypeError: they are others.

    Example:
        >>> label_from({"part": "handle"})
        GraspLabel(taxonomy=0, part='handle', intention='')
    """
    whole = {**asdict(NO_LABEL), **content} if isinstance(content, dict) else content
    expect(whole, {"taxonomy": int, "part": str, "intention": str})
    return GraspLabel(**whole)  # type: ignore[arg-type]


NO_LABEL = GraspLabel()
"""Of a grasp of which nothing is known."""
