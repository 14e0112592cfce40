"""How each kind of grasp begins: the open hand, what is to touch, and what it fits.

Degrees of the open hand's joints, from an opened to a closed posture. Where between the two a hand starts follows from
the size of what it takes, so that nothing is inside it yet. What touches, and how the other fingers behave, is what
tells one kind from another (`hoprior/language/taxonomy.py`); the optimiser finds the rest.
"""

from dataclasses import dataclass
from math import radians

import torch
from jaxtyping import Float
from torch import Tensor

Finger = tuple[float, float, float]
Thumb = tuple[float, float, float, float]

INDEX, MIDDLE, PINKY, RING, THUMB = range(5)
"""Order of the joints' fingers, and of the zones of their pads in `closing.zones`."""
INDEX_RADIAL, MIDDLE_RADIAL, INDEX_ULNAR, PALM = 10, 11, 12, 13
"""Zones behind the pads and the inner sides of phalanges."""


@dataclass(frozen=True)
class Posture:
    """Flexion of the fingers (MCP, PIP, DIP) and the thumb (CMC flexion, CMC opposition, MCP, IP), degrees."""

    index: Finger
    middle: Finger
    ring: Finger
    pinky: Finger
    thumb: Thumb
    spread: float = 0.0

    def angles(self) -> Float[Tensor, "15 3"]:
        """Twist, flexion and abduction of the 15 joints, radians."""
        angles = torch.zeros(15, 3)
        for place, finger in enumerate((self.index, self.middle, self.pinky, self.ring)):
            angles[3 * place : 3 * place + 3, 1] = torch.tensor([radians(a) for a in finger])
        cmc, oppose, mcp, ip = (radians(a) for a in self.thumb)
        angles[12:, 1] = torch.tensor([cmc, mcp, ip])
        angles[12, 2] = oppose
        angles[(0, 6, 9), 2] = radians(self.spread) * torch.tensor([1.0, -1.0, -0.5])
        return angles


@dataclass(frozen=True)
class Template:
    """A kind of grasp as the optimiser needs it.

    kinds: the sites it fits (bar, ball, disk, slab, pen, flat, loops).
    span: how wide (m) the thing is that hand or fingers close on.
    opened, closed: the postures between which it starts.
    touch: weights of the pads of index, middle, pinky, ring and thumb; 0 stays off the object.
    inner, palm, sides: weights of the phalanges behind the pads, the palm, and the fingers' sides (`closing.Style`).
    keep: how stiffly the fingers keep their posture; those that do not touch keep it anyway.
    one, two: zones that oppose each other; hands are placed with the thing between them. Without, the site's own
        placement is taken (in the palm, or as a pen).
    into: the direction of the hand in which it reaches into the thing; along: in which bars lie (hand frame).
    tilt: how obliquely (radians) a bar crosses the palm.
    weight: how often it is tried, against others that fit a site.
    """

    number: int
    kinds: tuple[str, ...]
    span: tuple[float, float]
    opened: Posture
    closed: Posture
    touch: tuple[float, float, float, float, float]
    inner: float = 0.15
    palm: float = 0.0
    sides: tuple[float, float, float] = (0.0, 0.0, 0.0)
    keep: float = 0.0
    thumb_keep: float = 0.2
    hold: float = 0.5
    one: tuple[int, ...] = ()
    two: tuple[int, ...] = ()
    into: tuple[float, float, float] = (0.0, 0.0, 1.0)
    along: tuple[float, float, float] = (0.0, -1.0, 0.0)
    tilt: tuple[float, float] = (0.25, 0.12)
    weight: float = 1.0


def _all(finger: Finger, thumb: Thumb, spread: float = 0.0) -> Posture:
    return Posture(finger, finger, finger, finger, thumb, spread)


CURLED: Finger = (65.0, 75.0, 45.0)
BENT: Finger = (50.0, 55.0, 30.0)
ALL = (1.0, 1.0, 1.0, 1.0, 1.0)
THUMB_OVER = (1.0, 1.0, 1.0, 1.0, 0.5)
"""Round a thin bar the thumb may lie on the fingers instead."""
OPEN_HAND = _all((10, 20, 10), (-12, 30, 0, 5), 4)
FIST = _all((55, 65, 40), (0, 38, 25, 30))
ABDUCTED_OPEN: Thumb = (-12.0, 30.0, 0.0, 5.0)
ADDUCTED_OPEN: Thumb = (-18.0, 0.0, 0.0, 0.0)
FOUR = (INDEX, MIDDLE, RING, PINKY)


def _pinch(
    number: int, fingers: tuple[int, ...], span: tuple[float, float], kinds: tuple[str, ...], **more: object
) -> Template:
    """Pads of some fingers against the thumb's; the other fingers are bent away, or stretched beside small things."""
    touch = tuple(1.0 if f in (*fingers, THUMB) else 0.0 for f in range(5))

    def posture(bend: Finger, thumb: Thumb) -> Posture:
        index, middle, ring, pinky = (bend if f in fingers else CURLED for f in FOUR)
        return Posture(index, middle, ring, pinky, thumb)

    options: dict[str, object] = dict(
        opened=posture((32, 22, 10), (-10, 22, 0, 5)),
        closed=posture((60, 42, 22), (8, 26, 12, 20)),
        one=(THUMB,),
        two=fingers,
    )
    return Template(number, kinds, span, touch=touch, **(options | more))  # type: ignore[arg-type]


TEMPLATES: tuple[Template, ...] = (
    Template(1, ("bar",), (0.05, 0.1), OPEN_HAND, _all((40, 45, 25), (0, 40, 15, 20)), ALL, 1.0, 1.0),
    Template(2, ("bar",), (0.012, 0.03), _all((30, 35, 20), ABDUCTED_OPEN), FIST, THUMB_OVER, 1.0, 1.0),
    Template(3, ("bar",), (0.026, 0.054), _all((20, 30, 15), ABDUCTED_OPEN), FIST, ALL, 1.0, 1.0),
    Template(
        4,
        ("bar",),
        (0.014, 0.045),
        _all((30, 35, 20), ADDUCTED_OPEN),
        _all((55, 65, 40), (-5, 0, 5, 5)),
        ALL,
        1.0,
        1.0,
        thumb_keep=3.0,
        tilt=(0.65, 0.1),
    ),
    Template(
        5,
        ("bar",),
        (0.006, 0.02),
        _all((40, 45, 25), ADDUCTED_OPEN),
        _all((62, 80, 45), (-5, 0, 5, 5)),
        ALL,
        1.0,
        0.7,
        thumb_keep=3.0,
        tilt=(0.6, 0.1),
    ),
    Template(
        17,
        ("bar",),
        (0.008, 0.04),
        Posture((15, 10, 5), BENT, BENT, BENT, (-15, 8, 0, 5)),
        Posture((22, 15, 5), CURLED, CURLED, CURLED, (0, 8, 10, 10)),
        ALL,
        1.0,
        0.8,
        thumb_keep=2.0,
        tilt=(0.8, 0.08),
    ),
    Template(
        30,
        ("flat",),
        (0.0, 0.09),
        _all((15, 20, 10), ADDUCTED_OPEN),
        _all((40, 45, 25), (-5, 5, 5, 5)),
        ALL,
        0.8,
        1.0,
        thumb_keep=2.0,
        weight=3.0,
    ),
    Template(10, ("disk",), (0.05, 0.1), OPEN_HAND, _all((35, 40, 25), (0, 36, 10, 20), 6), ALL, 0.6, 0.8),
    Template(11, ("ball",), (0.04, 0.1), OPEN_HAND, _all((45, 50, 30), (0, 38, 15, 25), 6), ALL, 0.8, 1.0),
    _pinch(12, FOUR, (0.03, 0.09), ("disk",), inner=0.0),
    _pinch(13, FOUR, (0.03, 0.08), ("ball",), inner=0.0, weight=2.0),
    _pinch(26, (INDEX, MIDDLE, RING), (0.036, 0.085), ("ball",), inner=0.5, weight=2.0),
    _pinch(28, (INDEX, MIDDLE), (0.03, 0.07), ("ball",), inner=0.5, weight=4.0),
    _pinch(7, (INDEX, MIDDLE, RING), (0.006, 0.07), ("bar", "slab")),
    _pinch(14, (INDEX, MIDDLE), (0.006, 0.045), ("bar", "slab", "ball", "disk")),
    _pinch(27, (INDEX, MIDDLE, RING), (0.012, 0.05), ("ball", "disk")),
    _pinch(9, (INDEX,), (0.003, 0.035), ("bar", "slab", "ball", "disk")),
    _pinch(
        24,
        (INDEX,),
        (0.003, 0.02),
        ("bar", "slab", "ball"),
        opened=Posture((35, 40, 25), CURLED, CURLED, CURLED, (-10, 24, 5, 25)),
        closed=Posture((48, 66, 45), CURLED, CURLED, CURLED, (5, 28, 15, 45)),
        keep=0.15,
    ),
    _pinch(
        33,
        (INDEX,),
        (0.003, 0.04),
        ("bar", "slab", "ball", "disk"),
        opened=Posture((40, 10, 0), CURLED, CURLED, CURLED, (-15, 20, 0, -5)),
        closed=Posture((70, 22, 0), CURLED, CURLED, CURLED, (5, 24, 10, -10)),
        keep=0.3,
    ),
    _pinch(31, (INDEX,), (0.018, 0.055), ("bar", "disk"), inner=0.8, weight=1.5),
    _pinch(
        22,
        FOUR,
        (0.008, 0.085),
        ("slab",),
        opened=_all((45, 5, 0), (-20, 8, 0, 0)),
        closed=_all((72, 10, 3), (0, 8, 5, 5)),
        keep=0.5,
        thumb_keep=1.5,
    ),
    _pinch(
        18,
        FOUR,
        (0.003, 0.04),
        ("slab",),
        opened=_all((35, 8, 0), (-10, 25, 0, 0)),
        closed=_all((65, 15, 5), (5, 32, 10, 10)),
        inner=0.8,
        keep=0.3,
    ),
    Template(
        16,
        ("slab", "bar"),
        (0.0015, 0.016),
        Posture((40, 55, 30), BENT, CURLED, CURLED, (-20, -8, 0, 5)),
        Posture((45, 60, 30), BENT, CURLED, CURLED, (5, -2, 15, 25)),
        (0.0, 0.0, 0.0, 0.0, 1.0),
        0.0,
        sides=(1.0, 0.0, 0.0),
        keep=0.5,
        thumb_keep=0.5,
        one=(THUMB,),
        two=(INDEX_RADIAL,),
        into=(1.0, 0.0, 0.0),
        along=(0.8, 0.0, 0.6),
    ),
    Template(
        29,
        ("bar",),
        (0.005, 0.02),
        Posture((35, 45, 25), BENT, BENT, BENT, (-20, -5, 0, 5)),
        Posture((40, 50, 25), CURLED, CURLED, CURLED, (5, 0, 10, 15)),
        (0.0, 0.3, 0.3, 0.3, 1.0),
        0.1,
        sides=(1.0, 0.0, 0.0),
        thumb_keep=0.5,
        one=(THUMB,),
        two=(INDEX_RADIAL,),
        into=(0.0, 0.3, -1.0),
        along=(1.0, 0.0, -0.2),
    ),
    Template(
        20,
        ("pen",),
        (0.006, 0.022),
        Posture((43, 34, 15), (48, 40, 20), CURLED, CURLED, (-5, 24, 0, 5)),
        Posture((50, 45, 20), (55, 50, 25), CURLED, CURLED, (5, 26, 10, 20)),
        (1.0, 0.0, 0.0, 0.0, 1.0),
        0.0,
        sides=(0.0, 1.0, 0.0),
        one=(THUMB,),
        two=(INDEX, MIDDLE_RADIAL),
        weight=4.0,
    ),
    Template(
        25,
        ("bar", "pen"),
        (0.005, 0.022),
        Posture((35, 40, 20), (50, 55, 30), CURLED, CURLED, (-18, 4, 0, 5)),
        Posture((45, 50, 25), (55, 60, 30), CURLED, CURLED, (3, 6, 10, 20)),
        (1.0, 0.0, 0.0, 0.0, 1.0),
        0.0,
        sides=(0.0, 1.0, 0.0),
        thumb_keep=1.5,
        one=(THUMB,),
        two=(MIDDLE_RADIAL,),
        along=(0.5, 0.1, 0.86),
    ),
    Template(
        23,
        ("bar", "pen"),
        (0.005, 0.016),
        Posture((15, 20, 10), (15, 20, 10), (30, 35, 20), (35, 40, 20), (-10, 10, 0, 5), 14),
        Posture((15, 20, 10), (15, 20, 10), (30, 35, 20), (35, 40, 20), (-10, 10, 0, 5), 0),
        (0.0, 0.0, 0.0, 0.0, 0.0),
        0.0,
        sides=(0.0, 1.0, 1.0),
        keep=1.0,
        one=(INDEX_ULNAR,),
        two=(MIDDLE_RADIAL,),
        along=(0.0, 0.0, 1.0),
    ),
    Template(
        19,
        ("loops",),
        (0.0, 0.2),
        _all((30, 30, 15), (-5, 28, 0, 5)),
        _all((45, 40, 20), (5, 30, 10, 15)),
        (0.6, 1.0, 0.0, 0.6, 1.0),
        0.3,
        weight=4.0,
    ),
)
BY_TYPE: dict[int, Template] = {template.number: template for template in TEMPLATES}
