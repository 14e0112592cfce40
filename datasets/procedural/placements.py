"""Where people put their hand on a thing: rules that turn a part of an object into a pose of the palm.

The hand frame has +x from the wrist to the fingers, +z out of the palm, and the thumb at -y. Each rule pins one point
of the object to one point near the palm, and two of its directions to two of the hand's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hoprior.common.arrays import ArrayLike
from hoprior.datasets.procedural.shapes import Vector, unit, vec

Rng = np.random.Generator


@dataclass(frozen=True)
class Grip:
    """How the fingers close once the palm is placed.

    `fingers`: how much index, middle, pinky, ring and thumb (the order of the joints) seek contact, 0 to 1; those
    at 0 curl by `idle` (MCP, PIP, radians) and only keep out of the object. `palm`: how much the palm and the inner
    phalanges seek contact. `start`: MCP and PIP flexion at the start. `oppose`: abduction of the thumb's CMC at the
    start. `hold`: how stiffly the placement is kept (1: within about 8 mm and 6 degrees).
    """

    fingers: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    palm: float = 0.0
    start: tuple[float, float] = (0.35, 0.35)
    idle: tuple[float, float] = (0.7, 0.9)
    oppose: float = 0.5
    hold: float = 1.0


POWER = Grip(palm=1.0, start=(0.35, 0.4), hold=0.6)
PADS = Grip(start=(0.5, 0.25), oppose=0.6)
THREE = Grip(fingers=(1.0, 1.0, 0.0, 0.4, 1.0), start=(0.6, 0.4), idle=(0.6, 0.7), oppose=0.6)
PINCH = Grip(fingers=(1.0, 0.6, 0.0, 0.0, 1.0), start=(0.7, 0.5), idle=(0.6, 0.8), oppose=0.6)
WRITE = Grip(fingers=(1.0, 1.0, 0.0, 0.0, 1.0), start=(0.75, 0.6), idle=(0.8, 0.9), oppose=0.5)
POINT = Grip(fingers=(1.0, 1.0, 1.0, 1.0, 1.0), palm=0.5, start=(0.5, 0.5), hold=0.8)


@dataclass(frozen=True)
class Placement:
    """A palm's pose at an object: three correspondences between the object's frame and the hand's (m)."""

    point: Vector
    point_hand: Vector
    primary: Vector
    primary_hand: Vector
    secondary: Vector
    secondary_hand: Vector
    grip: Grip
    verb: str = "hold"

    def T_object_hand(self) -> npt.NDArray[np.float64]:
        """The pose (4, 4): exact in the point and the primary direction, as near as may be in the secondary."""
        rotation = _frame(self.primary, self.secondary) @ _frame(self.primary_hand, self.secondary_hand).T
        T = np.eye(4)
        T[:3, :3] = rotation
        T[:3, 3] = self.point - rotation @ self.point_hand
        return T


def _frame(first: Vector, second: Vector) -> npt.NDArray[np.float64]:
    x = unit(first)
    y = unit(second - x * (x @ second))
    return np.column_stack([x, y, np.cross(x, y)])


Draw = Callable[[Rng], Placement]


@dataclass(frozen=True)
class Rule:
    """One way to take hold of an object: how often people do, and a placement drawn from it.

    `inside`: fingers may reach into the object's hollow. `part`: the part of the object that it takes hold of; the one
    of its own name without, or any where there is none of that name.
    """

    name: str
    weight: float
    draw: Draw
    inside: bool = False
    part: str = ""


def around(axis: ArrayLike, rng: Rng, towards: ArrayLike | None = None, spread: float = np.pi) -> Vector:
    """A direction square to `axis`: any, or within `spread` radians of `towards`."""
    z = unit(axis)
    hint = np.asarray(towards, dtype=float) if towards is not None else np.eye(3)[int(np.argmin(np.abs(z)))]
    x = unit(hint - z * (hint @ z))
    angle = rng.uniform(-spread, spread) if towards is None else np.clip(rng.normal(0, spread / 2), -spread, spread)
    return np.cos(angle) * x + np.sin(angle) * np.cross(z, x)


@dataclass(frozen=True)
class Bar:
    """A hand round a bar from `start` to `end`, the thumb's side towards `end` (or, at rate `flip`, towards `start`).

    `towards` is the direction in which the palm looks at the bar, within `spread` radians. `tilt` is the mean and
    deviation of how obliquely (radians) the bar crosses the palm. Thin bars lie in the fingers' bend, thick ones
    further out. `depth` moves the bar towards the fingertips.
    """

    start: Vector
    end: Vector
    radius: float
    towards: Vector | None = None
    spread: float = np.pi
    tilt: tuple[float, float] = (0.3, 0.15)
    grip: Grip = POWER
    verb: str = "hold"
    flip: float = 0.0
    depth: float = 0.0

    def __call__(self, rng: Rng) -> Placement:
        head = unit(self.end - self.start)
        if rng.random() < self.flip:
            head = -head
        along = self.start + rng.uniform(0, 1) * (self.end - self.start)
        angle = float(np.clip(rng.normal(*self.tilt), -0.2, 0.85))
        return Placement(
            point=along,
            point_hand=vec(0.093 + self.depth + 0.25 * max(self.radius - 0.02, 0.0), -0.006, 0.021 + self.radius),
            primary=head,
            primary_hand=vec(np.sin(angle), -np.cos(angle), 0.0),
            secondary=around(head, rng, self.towards, self.spread),
            secondary_hand=vec(0, 0, 1),
            grip=self.grip,
            verb=self.verb,
        )


@dataclass(frozen=True)
class Round:
    """A hand over a round thing (a ball, a lid, a rim) of `radius` about `centre`, coming from `up`, any way round.

    Small things sit at the fingertips, large ones nearer to the palm. `disk` says that it is the flat end of something
    and not a ball.
    """

    centre: Vector
    up: Vector
    radius: float
    tilt: float = 0.25
    grip: Grip = PADS
    verb: str = "hold"
    depth: float = 0.0
    disk: bool = False

    def __call__(self, rng: Rng) -> Placement:
        axis = unit(self.up)
        tipped = unit(axis + np.tan(abs(rng.normal(0, self.tilt))) * around(axis, rng))
        reach = np.interp(self.radius, [0.01, 0.02, 0.035, 0.05, 0.075], [0.075, 0.07, 0.068, 0.075, 0.095])
        forward = np.interp(self.radius, [0.01, 0.02, 0.04, 0.07], [0.118, 0.115, 0.108, 0.105])
        return Placement(
            point=self.centre,
            point_hand=vec(forward, -0.012, reach - self.depth),
            primary=-tipped,
            primary_hand=vec(0, 0, 1),
            secondary=around(tipped, rng),
            secondary_hand=vec(1, 0, 0),
            grip=self.grip,
            verb=self.verb,
        )


@dataclass(frozen=True)
class Slab:
    """Fingers on one side and the thumb on the other of something `size` wide along the direction `width`.

    `face` is the point of the surface that the palm looks at, `inward` the direction from there into the object.
    The palm stays `gap` (mean, deviation) away from it. With `either`, the thumb may be on both sides.
    """

    face: Vector
    inward: Vector
    width: Vector
    size: float
    grip: Grip = PADS
    verb: str = "hold"
    gap: tuple[float, float] = (0.045, 0.008)
    either: bool = True
    lean: float = 0.15

    def __call__(self, rng: Rng) -> Placement:
        axis, into = unit(self.width), unit(self.inward)
        sign = rng.choice([-1.0, 1.0]) if self.either else 1.0
        angle = rng.normal(0.3, self.lean)
        reach = np.interp(self.size, [0.0, 0.03, 0.06, 0.09], [0.098, 0.104, 0.11, 0.115])
        into = unit(into + np.tan(rng.normal(0, self.lean)) * np.cross(into, axis))
        return Placement(
            point=self.face,
            point_hand=vec(reach, -0.018, max(0.02, rng.normal(*self.gap))),
            primary=sign * axis,
            primary_hand=vec(np.cos(angle), np.sin(angle), -0.15),
            secondary=into,
            secondary_hand=vec(0, 0, 1),
            grip=self.grip,
            verb=self.verb,
        )


@dataclass(frozen=True)
class Pen:
    """A pen held for writing: thumb, index and middle finger `grip_at` from its tip, its shaft on the hand's web.

    `radius` is the shaft's.
    """

    tip: Vector
    tail: Vector
    grip_at: float = 0.03
    verb: str = "write"
    radius: float = 0.005

    def __call__(self, rng: Rng) -> Placement:
        down = unit(self.tip - self.tail)
        return Placement(
            point=self.tip - down * max(0.012, rng.normal(self.grip_at, 0.006)),
            point_hand=vec(0.112, -0.046, 0.071),
            primary=down,
            primary_hand=unit([0.5, 0.1, 0.86]),
            secondary=around(down, rng),
            secondary_hand=vec(0, 1, 0),
            grip=WRITE,
            verb=self.verb,
        )


@dataclass(frozen=True)
class Flat:
    """A flat thing lying in the hand: its `back` on the fingers and palm, its `top` past the index finger."""

    back: Vector
    outward: Vector
    top: Vector
    verb: str = "hold"
    grip: Grip = POWER

    def __call__(self, rng: Rng) -> Placement:
        angle = rng.normal(0.6, 0.2)
        return Placement(
            point=self.back,
            point_hand=vec(0.098, -0.008, 0.022),
            primary=unit(self.outward),
            primary_hand=unit([-0.1, -0.1, 1.0]),
            secondary=unit(self.top),
            secondary_hand=vec(np.sin(angle), -np.cos(angle), 0.0),
            grip=self.grip,
            verb=self.verb,
        )


Site = Bar | Round | Slab | Pen | Flat
"""What a hand takes hold of, as geometry: from it follow placements of any grip that fits."""


@dataclass(frozen=True)
class Varied:
    """A site that is itself drawn, such as any place along a rim."""

    pick: Callable[[Rng], Site]

    def __call__(self, rng: Rng) -> Placement:
        return self.pick(rng)(rng)


def wrap(start: ArrayLike, end: ArrayLike, radius: float, **options: Any) -> Bar:
    """A `Bar`; `options` are its other fields.

    Example:
        >>> placement = wrap([0.0, 0.0, 0.0], [0.0, 0.0, 0.12], radius=0.015)(np.random.default_rng(0))
        >>> placement.T_object_hand().shape, placement.verb
        ((4, 4), 'hold')
    """
    return Bar(_array(start), _array(end), radius, **_arrays(options))


def cap(centre: ArrayLike, up: ArrayLike, radius: float, **options: Any) -> Round:
    """A `Round`; `options` are its other fields."""
    return Round(_array(centre), _array(up), radius, **options)


def across(face: ArrayLike, inward: ArrayLike, width: ArrayLike, size: float, **options: Any) -> Slab:
    """A `Slab`; `options` are its other fields."""
    return Slab(_array(face), _array(inward), _array(width), size, **options)


def tripod(tip: ArrayLike, tail: ArrayLike, **options: Any) -> Pen:
    """A `Pen`; `options` are its other fields."""
    return Pen(_array(tip), _array(tail), **options)


def flat_in_palm(back: ArrayLike, outward: ArrayLike, top: ArrayLike, **options: Any) -> Flat:
    """A `Flat`; `options` are its other fields."""
    return Flat(_array(back), _array(outward), _array(top), **options)


def _array(value: ArrayLike) -> Vector:
    return np.asarray(value, dtype=float)


def _arrays(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _array(value) if name == "towards" and value is not None else value for name, value in options.items()
    }


def draw_placements(rules: Sequence[Rule], num: int, rng: Rng) -> list[tuple[Rule, Placement]]:
    """`num` placements, rules in proportion to their weights (every rule at least once where `num` allows).

    Example:
        >>> bar, top = wrap([0.0, 0.0, 0.0], [0.0, 0.0, 0.1], 0.02), cap([0.0, 0.0, 0.1], [0.0, 0.0, 1.0], 0.02)
        >>> rules = [Rule("round", 3.0, bar), Rule("top", 1.0, top)]
        >>> sorted({rule.name for rule, _ in draw_placements(rules, 8, np.random.default_rng(0))})
        ['round', 'top']
    """
    weights = np.array([rule.weight for rule in rules])
    counts = np.floor(num * weights / weights.sum()).astype(int)
    for extra in range(num - counts.sum()):
        counts[extra % len(counts)] += 1
    return [(rule, rule.draw(rng)) for rule, count in zip(rules, counts, strict=True) for _ in range(count)]
