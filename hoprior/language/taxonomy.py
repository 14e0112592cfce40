"""The kinds of grasp: 28 of the 33 of the GRASP taxonomy, as one table.

Feix, Romero, Schmiedmayer, Dollar, Kragic: "The GRASP Taxonomy of Human Grasp Types", IEEE Transactions on
Human-Machine Systems 46(1), 2016; the 28 are those that HOGraspNet labels, under Feix's numbers.

*Opposition*: the palm against the fingers, the thumb's pad against their pads, or the thumb's pad against a finger's
side (Iberall 1987). *Fingers* are virtual finger two: those that act as one against the palm or thumb, 2 the index to 5
the little finger. The thumb is *abducted* where it stands opposite the fingers, *adducted* where it lies beside them.
"""

from dataclasses import dataclass
from typing import Literal

from hoprior.errors import HopriorError


@dataclass(frozen=True)
class GraspType:
    """A row of the taxonomy."""

    number: int
    name: str
    type: Literal["power", "intermediate", "precision"]
    opposition: Literal["palm", "pad", "side"]
    thumb: Literal["abducted", "adducted"]
    fingers: str


TAXONOMY: tuple[GraspType, ...] = (
    GraspType(1, "large diameter", "power", "palm", "abducted", "2-5"),
    GraspType(2, "small diameter", "power", "palm", "abducted", "2-5"),
    GraspType(3, "medium wrap", "power", "palm", "abducted", "2-5"),
    GraspType(4, "adducted thumb", "power", "palm", "adducted", "2-5"),
    GraspType(5, "light tool", "power", "palm", "adducted", "2-5"),
    GraspType(7, "prismatic 3 finger", "precision", "pad", "abducted", "2-4"),
    GraspType(9, "palmar pinch", "precision", "pad", "abducted", "2"),
    GraspType(10, "power disk", "power", "palm", "abducted", "2-5"),
    GraspType(11, "power sphere", "power", "palm", "abducted", "2-5"),
    GraspType(12, "precision disk", "precision", "pad", "abducted", "2-5"),
    GraspType(13, "precision sphere", "precision", "pad", "abducted", "2-5"),
    GraspType(14, "tripod", "precision", "pad", "abducted", "2-3"),
    GraspType(16, "lateral", "intermediate", "side", "adducted", "2"),
    GraspType(17, "index finger extension", "power", "palm", "adducted", "3-5"),
    GraspType(18, "extension type", "power", "pad", "abducted", "2-5"),
    GraspType(19, "distal type", "power", "pad", "abducted", "2-5"),
    GraspType(20, "writing tripod", "precision", "side", "abducted", "3"),
    GraspType(22, "parallel extension", "precision", "pad", "adducted", "2-5"),
    GraspType(23, "adduction grip", "intermediate", "side", "abducted", "2"),
    GraspType(24, "tip pinch", "precision", "pad", "abducted", "2"),
    GraspType(25, "lateral tripod", "intermediate", "side", "adducted", "3"),
    GraspType(26, "sphere 4 finger", "power", "pad", "abducted", "2-4"),
    GraspType(27, "quadpod", "precision", "pad", "abducted", "2-4"),
    GraspType(28, "sphere 3 finger", "power", "pad", "abducted", "2-3"),
    GraspType(29, "stick", "intermediate", "side", "adducted", "2"),
    GraspType(30, "palmar", "power", "palm", "adducted", "2-5"),
    GraspType(31, "ring", "power", "pad", "abducted", "2"),
    GraspType(33, "inferior pincer", "precision", "pad", "abducted", "2"),
)
BY_NUMBER: dict[int, GraspType] = {kind.number: kind for kind in TAXONOMY}


def grasp_type(number: int) -> GraspType:
    """The row of a number.

    Raises:
        HopriorError: the table has no such row.

    Example:
        >>> grasp_type(3).name, grasp_type(3).type
        ('medium wrap', 'power')
    """
    if number not in BY_NUMBER:
        known = ", ".join(str(kind.number) for kind in TAXONOMY)
        raise HopriorError(f"no grasp of taxonomy number {number}: there are {known}")
    return BY_NUMBER[number]


def grasp_named(name: str) -> GraspType:
    """The row of a name, in any case; with or without the word "grasp".

    Raises:
        HopriorError: the table has no such row.

    Example:
        >>> grasp_named("Medium Wrap grasp").number
        3
    """
    wanted = " ".join(name.lower().replace("-", " ").split()).removesuffix(" grasp")
    for kind in TAXONOMY:
        if kind.name == wanted:
            return kind
    known = ", ".join(kind.name for kind in TAXONOMY)
    raise HopriorError(f"no grasp is called '{name}': there are {known}")
