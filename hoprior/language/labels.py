"""What is known of a grasp in words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GraspLabel:
    """What kind of grasp it is, as far as known.

    `taxonomy` is its number in the GRASP taxonomy (Feix et al. 2016), 0 where unknown; `part` the part of the object
    that the hand holds; `intention` what for ("use", "hand over", "move", "hold").
    """

    taxonomy: int = 0
    part: str = ""
    intention: str = ""


NO_LABEL = GraspLabel()
"""Of a grasp of which nothing is known."""
