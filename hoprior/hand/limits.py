"""Safe ranges of the finger joints, in anatomical coordinates (twist, flexion, abduction), radians."""

from math import radians

Angles = tuple[tuple[float, float, float], ...]


def _joint(twist: int, flexion: int, abduction: int) -> tuple[float, float, float]:
    return (radians(twist), radians(flexion), radians(abduction))


# Degrees. Found on the open hand with winding numbers: a single joint at its limit does not push one part of the hand
# into another beyond the crease at that joint. Fingers stop where their flesh meets, neighbours where they touch; the
# thumb's CMC may oppose (abduction > 0) but not press into the palm (flexion). Positive abduction is towards the
# thumb's side of the hand.
_PIP = (_joint(-8, -8, -8), _joint(8, 99, 8))
_DIP = (_joint(-8, -8, -8), _joint(8, 55, 8))
_LOW_HIGH = (
    (_joint(-12, -20, -20), _joint(12, 74, 18)),  # index
    _PIP,
    _DIP,
    (_joint(-12, -20, -12), _joint(12, 74, 14)),  # middle
    _PIP,
    _DIP,
    (_joint(-12, -20, -20), _joint(12, 74, 14)),  # pinky
    _PIP,
    _DIP,
    (_joint(-12, -20, -14), _joint(12, 74, 12)),  # ring
    _PIP,
    _DIP,
    (_joint(-10, -30, -20), _joint(10, 15, 45)),  # thumb: CMC, MCP, IP
    (_joint(-8, -15, -10), _joint(8, 40, 10)),
    (_joint(-5, -15, -5), _joint(5, 55, 5)),
)

ANGLE_LOW: Angles = tuple(low for low, _ in _LOW_HIGH)
ANGLE_HIGH: Angles = tuple(high for _, high in _LOW_HIGH)
RELAXED: Angles = (_joint(0, 14, 0),) * 12 + (_joint(0, 6, 0),) * 3
"""A hand at rest, a little bent: the start of every optimisation over fingers."""
HOLDING: Angles = (_joint(0, -10, 0), _joint(0, 40, 0), _joint(0, 12, 0)) * 4 + (_joint(0, 6, 0),) * 3
"""A hand in the position of function, as it holds things: the middle joints bend most, and the last ones little, since
a pad that presses straightens them. These are angles from the flat model, whose fingers are bent a little already."""
