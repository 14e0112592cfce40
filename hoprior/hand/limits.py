"""Safe ranges of the finger joints, in anatomical coordinates (twist, flexion, abduction), radians."""

from math import radians

Angles = tuple[tuple[float, float, float], ...]


def _joint(twist: float, flexion: float, abduction: float) -> tuple[float, float, float]:
    return (radians(twist), radians(flexion), radians(abduction))


# Degrees. The open hand's flexion stops where the flesh of its fingers starts to cut into itself.
_FINGER_LOW = (_joint(-12, -20, -18), _joint(-8, -8, -8), _joint(-8, -8, -8))
_FINGER_HIGH = (_joint(12, 74, 18), _joint(8, 99, 8), _joint(8, 55, 8))
_THUMB_LOW = (_joint(-20, -20, -20), _joint(-10, -15, -12), _joint(-8, -15, -8))
_THUMB_HIGH = (_joint(20, 30, 20), _joint(10, 50, 12), _joint(8, 70, 8))
_FINGER_RELAXED = (_joint(0, 14, 0),) * 3
_THUMB_RELAXED = (_joint(0, 6, 0),) * 3

ANGLE_LOW: Angles = _FINGER_LOW * 4 + _THUMB_LOW
ANGLE_HIGH: Angles = _FINGER_HIGH * 4 + _THUMB_HIGH
RELAXED: Angles = _FINGER_RELAXED * 4 + _THUMB_RELAXED
"""A hand at rest, a little bent: the start of every optimisation over fingers."""
