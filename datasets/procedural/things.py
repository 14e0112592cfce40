"""Families of things without a handle: boxes, books, bricks, balls, fruit, blocks."""

from collections.abc import Sequence

import numpy as np

from hoprior.datasets.procedural.design import Design, Family
from hoprior.datasets.procedural.placements import (
    PADS,
    POWER,
    THREE,
    Draw,
    Grip,
    Placement,
    Rng,
    Rule,
    Slab,
    Varied,
    across,
    cap,
    wrap,
)
from hoprior.datasets.procedural.shapes import (
    above,
    ball,
    below,
    beyond,
    box,
    ellipse,
    everywhere,
    lathe,
    place,
    rod,
    rounded_box,
    short_of,
    slab,
    tube,
    vec,
)

UP = vec(0, 0, 1)
SPAN = 0.088
"""What fingers and thumb can take between them (m)."""
MOUSE = Grip(palm=0.6, start=(0.25, 0.3), oppose=0.3)


def across_box(size: Sequence[float], width_axis: int, approach_axis: int, sign: float, verb: str) -> Draw:
    """Across a box's `width_axis`, the palm at its face `sign * approach_axis`, anywhere along the third axis."""
    half = np.asarray(size) / 2
    third = 3 - width_axis - approach_axis
    # Fingertips reach to the middle of a thin thing and further along the sides of a deep one.
    gap = float(np.clip(0.08 - half[approach_axis], 0.042, 0.066))

    def pick(rng: Rng) -> Slab:
        face = np.zeros(3)
        face[approach_axis] = sign * half[approach_axis]
        face[third] = rng.uniform(-1, 1) * max(0.0, half[third] - 0.035) * 0.7
        inward = np.zeros(3)
        inward[approach_axis] = -sign
        grip = PADS if half[third] > 0.025 or rng.random() < 0.4 else THREE
        return across(face, inward, np.eye(3)[width_axis], size[width_axis], gap=(gap, 0.006), grip=grip, verb=verb)

    return Varied(pick)


def box_rules(size: Sequence[float], verbs: tuple[str, str] = ("lift", "hold")) -> list[Rule]:
    """Every way to take a box: from above and from the sides, across what a hand can span, narrow more often."""
    rules = []
    for width in range(3):
        if size[width] > SPAN:
            continue
        easy = 1.5 - size[width] / SPAN
        for approach in {0, 1, 2} - {width}:
            for sign in (1.0,) if approach == 2 else (1.0, -1.0):
                weight = easy * (3.0 if approach == 2 else 1.0) * (0.4 if width == 2 else 1.0)
                name = f"{'xyz'[width]} from {'+' if sign > 0 else '-'}{'xyz'[approach]}"
                verb = verbs[0] if approach == 2 else verbs[1]
                rules.append(Rule(name, weight, across_box(size, width, approach, sign, verb)))
    return rules


def make_box(rng: Rng) -> Design:
    """A packet that stands: cereal, crackers, tea."""
    size = (rng.uniform(0.06, 0.16), rng.uniform(0.035, 0.075), rng.uniform(0.12, 0.22))
    return Design(box(size), tuple(box_rules(size)), parts=(("lid", above(0.4 * size[2])), ("body", everywhere())))


def make_small_box(rng: Rng) -> Design:
    """A small packet: sugar, pudding, pills."""
    size = np.sort(rng.uniform((0.025, 0.05, 0.07), (0.05, 0.085, 0.11)))[[1, 0, 2]]
    if rng.random() < 0.5:
        size = size[[2, 0, 1]]
    return Design(box(size), tuple(box_rules(tuple(size))))


def make_book(rng: Rng) -> Design:
    """A book, lying or standing."""
    size = (rng.uniform(0.11, 0.17), rng.uniform(0.01, 0.04), rng.uniform(0.16, 0.23))
    parts = (("spine", short_of(-0.5 * size[0] + 0.015)), ("cover", everywhere()))
    return Design(box(size), tuple(box_rules(size, ("lift", "see"))), parts=parts)


def make_brick(rng: Rng) -> Design:
    """A brick or a sponge."""
    size = (rng.uniform(0.07, 0.2), rng.uniform(0.045, 0.085), rng.uniform(0.035, 0.065))
    return Design(rounded_box(size, 0.003), tuple(box_rules(size)))


def make_block(rng: Rng) -> Design:
    """A bar of wood, square in section."""
    side, length = rng.uniform(0.03, 0.08), rng.uniform(0.12, 0.22)
    size = (length, side, side * rng.uniform(0.85, 1.0))
    rules = box_rules(size)
    if side < 0.06:
        bar = wrap((-0.25 * length, 0, 0), (0.25 * length, 0, 0), 0.5 * side, tilt=(0.2, 0.15), flip=0.5)
        rules.append(Rule("wrap", 3, bar))
    return Design(box(size), tuple(rules))


def make_cube(rng: Rng) -> Design:
    """A cube."""
    size = (rng.uniform(0.025, 0.085),) * 3
    return Design(rounded_box(size, 0.002), tuple(box_rules(size)))


def make_ball(rng: Rng) -> Design:
    """A ball."""
    radius = rng.uniform(0.02, 0.05)
    rules = (
        Rule("top", 2, cap((0, 0, 0), UP, radius, tilt=0.5, verb="lift")),
        Rule("side", 2, cap((0, 0, 0), (0.7, 0.0, 0.7), radius, tilt=1.0, verb="inspect", depth=0.01)),
    )
    return Design(ball((0, 0, 0), radius, 48), rules)


def make_cylinder(rng: Rng) -> Design:
    """A plain cylinder."""
    radius, height = rng.uniform(0.015, 0.042), rng.uniform(0.03, 0.16)
    rules = [
        Rule("top", 2, cap((0, 0, height / 2 - 0.012), UP, radius, verb="lift", disk=True)),
        Rule("side", 3, wrap((0, 0, -0.15 * height), (0, 0, 0.2 * height), radius, tilt=(0.15, 0.15), verb="inspect")),
    ]
    return Design(rod((0, 0, -height / 2), (0, 0, height / 2), radius), tuple(rules))


def make_banana(rng: Rng) -> Design:
    """A banana, lying on its side; its stalk at +x."""
    bend, arc, thick = rng.uniform(0.08, 0.12), rng.uniform(1.3, 1.8), rng.uniform(0.015, 0.02)
    angles = np.linspace(-arc / 2, arc / 2, 9)
    points = [vec(bend * np.sin(a), bend * (1 - np.cos(a)), 0) for a in angles]
    radii = [thick * (0.4 + 0.6 * np.cos(1.25 * a / (arc / 2)) ** 0.6) for a in angles]
    stalk = points[-1] + 0.02 * (points[-1] - points[-2]) / np.linalg.norm(points[-1] - points[-2])
    solid = tube([*points, stalk], [*radii, 0.005])
    along = wrap(points[3], points[5], thick, tilt=(0.25, 0.15), flip=0.5, verb="hold")
    top = across((0, 0.004, thick), -UP, (0, 1, 0), 2 * thick, gap=(0.055, 0.006), verb="lift")
    peel = wrap(points[2], points[4], thick, tilt=(0.25, 0.15), verb="peel")
    parts = (("stalk", beyond(points[-1][0] - 0.004)), ("body", everywhere()))
    return Design(solid, (Rule("wrap", 4, along), Rule("top", 3, top), Rule("peel", 2, peel)), parts=parts)


def fruit(rng: Rng, low: float, high: float, stretch: tuple[float, float], dent: float, pear: float = 0.0) -> Design:
    """A round fruit on its base: stretched upwards, with a dent at the stalk, narrower above by `pear`."""
    radius, tall = rng.uniform(low, high), rng.uniform(*stretch)
    outline = []
    for a in np.linspace(-np.pi / 2, np.pi / 2, 25)[1:-1]:
        waist = 1.0 - pear * max(0.0, np.sin(a)) ** 1.2
        dip = 1.0 - dent * np.exp(-(((np.pi / 2 - abs(a)) / 0.35) ** 2))
        outline.append((radius * np.cos(a) * waist, radius * tall * np.sin(a) * dip))
    low_z, high_z = outline[0][1], outline[-1][1]
    rules = (
        Rule("top", 3, cap((0, 0, 0), UP, radius, tilt=0.4, verb="lift")),
        Rule(
            "side", 3, wrap((0, 0, -0.15 * radius), (0, 0, 0.1 * radius), radius * 0.95, tilt=(0.3, 0.2), verb="hold")
        ),
    )
    return Design(lathe([(0, low_z), *outline, (0, high_z)]), rules)


def make_apple(rng: Rng) -> Design:
    """An apple."""
    return fruit(rng, 0.032, 0.043, (0.85, 1.0), 0.18)


def make_pear(rng: Rng) -> Design:
    """A pear."""
    return fruit(rng, 0.03, 0.038, (1.2, 1.5), 0.05, pear=0.5)


def make_orange(rng: Rng) -> Design:
    """An orange, peach or lime."""
    return fruit(rng, 0.026, 0.042, (0.9, 1.02), 0.04)


def make_lemon(rng: Rng) -> Design:
    """A lemon, standing."""
    return fruit(rng, 0.024, 0.03, (1.25, 1.45), -0.06)


def make_light_bulb(rng: Rng) -> Design:
    """A light bulb, its thread downwards."""
    radius, neck = rng.uniform(0.026, 0.034), 0.0135
    length = rng.uniform(0.04, 0.05)
    outline = [(0.6 * neck, 0.0), (neck, 0.004), (neck, 0.027), (1.15 * neck, 0.03)]
    outline += [(radius * np.cos(a), 0.03 + length + radius * np.sin(a)) for a in np.linspace(-0.8, 1.5, 14)]
    rules = (
        Rule("bulb", 4, cap((0, 0, 0.03 + length), UP, radius, verb="screw")),
        Rule("side", 1, wrap((0, 0, 0.05), (0, 0, 0.07), radius, tilt=(0.2, 0.15))),
    )
    parts = (("thread", below(0.03)), ("bulb", everywhere()))
    return Design(lathe([(0, 0), *outline, (0, outline[-1][1])]), rules, parts=parts, free=("thread",))


def make_mouse(rng: Rng) -> Design:
    """A computer mouse, its buttons towards +x."""
    length, width, height = rng.uniform(0.1, 0.12), rng.uniform(0.056, 0.066), rng.uniform(0.034, 0.042)
    dome = ball((0, 0, 0), 1.0, 40).scale((length / 2, width / 2, height))
    solid = dome - box((1, 1, 1), (0, 0, -0.5))

    def over(rng: Rng) -> Placement:
        return Placement(
            point=vec(-0.1 * length, 0, height),
            point_hand=vec(0.085, -0.002, 0.022),
            primary=-UP,
            primary_hand=vec(0.25, 0, 1),
            secondary=vec(1, rng.normal(0, 0.15), 0),
            secondary_hand=vec(1, 0, 0),
            grip=MOUSE,
            verb="use",
        )

    lift = across((0, 0, height), -UP, (0, 1, 0), width, gap=(0.055, 0.006), verb="lift")
    parts = (("buttons", beyond(0.15 * length) ^ above(0.4 * height)), ("body", everywhere()))
    return Design(solid, (Rule("use", 4, over), Rule("lift", 2, lift)), parts=parts)


def make_ring(rng: Rng) -> Design:
    """A torus, lying."""
    thick = rng.uniform(0.006, 0.018)
    radius = rng.uniform(max(0.02, 2.2 * thick), 0.055)
    solid = lathe(
        [(radius + thick * np.cos(a), thick * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 24, endpoint=False)]
    )

    def side(rng: Rng) -> Slab:
        angle = rng.uniform(0, 2 * np.pi)
        out = vec(np.cos(angle), np.sin(angle), 0)
        inward = -out - UP * rng.uniform(0, 1.0)
        face = out * (radius + 0.7 * thick) + UP * 0.7 * thick
        return across(face, inward, UP if rng.random() < 0.6 else out, 2 * thick, grip=THREE, gap=(0.058, 0.006))

    rules = [Rule("side", 3, Varied(side))]
    if radius + thick < 0.05:
        rules.append(Rule("top", 2, cap((0, 0, 0), UP, radius + thick, verb="lift")))
    return Design(solid, tuple(rules))


def make_clamp(rng: Rng) -> Design:
    """A spring clamp: two handles that the hand presses together; jaws at +x."""
    length, splay, thick = rng.uniform(0.07, 0.09), rng.uniform(0.28, 0.42), rng.uniform(0.006, 0.009)
    arms = []
    for side in (1, -1):
        out = vec(-np.cos(splay), side * np.sin(splay), 0)
        jaw = vec(0.05, side * 0.004, 0)
        arms.append(
            tube([vec(0, side * 0.008, 0) + length * out, (0, side * 0.008, 0), jaw], [thick, thick, 0.7 * thick])
        )
    solid = arms[0] + arms[1] + rod((0, 0, -0.011), (0, 0, 0.011), 0.012)
    span = 2 * (length * 0.6 * np.sin(splay) + 0.008 + thick)
    middle = vec(-0.6 * length, 0, 0)
    rules = [
        Rule("press", 4, across(middle + vec(0, 0, thick), -UP, (0, 1, 0), span, gap=(0.058, 0.006), verb="use")),
        Rule(
            "squeeze",
            3,
            across(middle - vec(0.4 * length, 0, 0), (1, 0, 0), (0, 1, 0), span, gap=(0.045, 0.008), verb="squeeze"),
        ),
    ]
    return Design(solid, tuple(rules), parts=(("jaws", beyond(0.013)), ("handles", everywhere())), free=("jaws",))


def make_stapler(rng: Rng) -> Design:
    """A stapler, its mouth at +x."""
    length, width = rng.uniform(0.11, 0.15), rng.uniform(0.028, 0.036)
    low, high, gape = 0.012, rng.uniform(0.02, 0.026), rng.uniform(0.03, 0.12)
    base = rounded_box((length, width, low), 0.003, (length / 2, 0, low / 2))
    lid = rounded_box((length, width, high), 0.004, (length / 2, 0, high / 2)).rotate((0, -np.degrees(gape), 0))
    solid = base + lid.translate((0, 0, low - 0.001)) + rod((0.008, -width / 2, low), (0.008, width / 2, low), 0.009)
    top = low + high
    rules = [
        Rule(
            "use",
            4,
            wrap(
                (0.35 * length, 0, 0.6 * top),
                (0.6 * length, 0, 0.6 * top),
                0.55 * top,
                towards=(0, 0, -1),
                spread=0.9,
                tilt=(0.35, 0.15),
                flip=0.4,
                verb="staple",
            ),
        ),
        Rule("lift", 3, across((0.45 * length, 0, top), -UP, (0, 1, 0), width, gap=(0.052, 0.006), verb="lift")),
    ]
    return Design(solid, tuple(rules), parts=(("base", below(low)), ("arm", everywhere())))


def make_camera(rng: Rng) -> Design:
    """A small camera, its lens towards +y."""
    size = (rng.uniform(0.1, 0.13), rng.uniform(0.03, 0.045), rng.uniform(0.06, 0.075))
    lens = rng.uniform(0.018, 0.026)
    barrel = rod((-0.01, 0, 0), (-0.01, size[1] / 2 + 0.03, 0), lens)
    solid = rounded_box(size, 0.006) + barrel
    end = size[0] / 2
    # The right end lies in the hand that presses the shutter: fingers in front, thumb behind, palm at the side.
    use = across((end, 0, 0), (-1, 0, 0), (0, 1, 0), size[1], gap=(0.035, 0.006), either=False, verb="use")
    other = across((-end, 0, 0), (1, 0, 0), (0, 1, 0), size[1], gap=(0.04, 0.006), verb="pass")
    top = across((0.02, 0, size[2] / 2), -UP, (0, 1, 0), size[1], gap=(0.05, 0.006), verb="lift")
    rules = (Rule("use", 3, use), Rule("other end", 1, other), Rule("top", 1.5, top))
    return Design(solid, rules, parts=(("lens", barrel), ("body", everywhere())), free=("lens",))


def make_eraser(rng: Rng) -> Design:
    """A coin-sized to matchbox-sized flat thing: an eraser, a key fob, a domino."""
    size = (rng.uniform(0.03, 0.06), rng.uniform(0.018, 0.03), rng.uniform(0.008, 0.015))
    return Design(rounded_box(size, 0.002), tuple(box_rules(size)))


def make_cross_handle(rng: Rng) -> Design:
    """A dumbbell."""
    bar, grip_length = rng.uniform(0.011, 0.016), rng.uniform(0.1, 0.13)
    plate, thick = rng.uniform(0.03, 0.045), rng.uniform(0.025, 0.04)
    ends = [rod((s * grip_length / 2, 0, 0), (s * (grip_length / 2 + thick), 0, 0), plate) for s in (1, -1)]
    solid = rod((-grip_length / 2 - 0.005, 0, 0), (grip_length / 2 + 0.005, 0, 0), bar) + ends[0] + ends[1]
    rule = wrap((-0.006, 0, 0), (0.006, 0, 0), bar, tilt=(0.1, 0.08), flip=0.5, verb="lift")
    half = (grip_length + 0.001) / 2
    parts = (("bar", beyond(-half) ^ short_of(half)), ("weights", everywhere()))
    return Design(solid, (Rule("bar", 1, rule),), parts=parts)


def make_headphone_arc(rng: Rng) -> Design:
    """A bag or basket handle: an arch between two feet."""
    span, rise, thick = rng.uniform(0.11, 0.15), rng.uniform(0.06, 0.09), rng.uniform(0.006, 0.01)
    arch = [vec(span / 2 * np.cos(a), 0, rise * np.sin(a)) for a in np.linspace(0, np.pi, 13)]
    body = rounded_box((span + 0.03, rng.uniform(0.06, 0.1), 0.05), 0.006, (0, 0, -0.02))
    rule = wrap(
        (-0.01, 0, rise),
        (0.01, 0, rise),
        thick,
        towards=(0, 0, -1),
        spread=0.4,
        tilt=(0.05, 0.08),
        flip=0.5,
        verb="lift",
    )
    handle = tube(arch, thick)
    return Design(body + handle, (Rule("handle", 1, rule),), parts=(("body", body), ("handle", handle)))


def make_star_knob(rng: Rng) -> Design:
    """A door knob or tap: a round head on a base plate."""
    radius, stem = rng.uniform(0.02, 0.032), rng.uniform(0.035, 0.05)
    solid = (
        rod((0, 0, 0), (0, 0, stem), 0.45 * radius)
        + ball((0, 0, stem + 0.6 * radius), radius)
        + place(slab(ellipse((0, 0), 0.035, 0.035), 0.006), (0, 0, 0), UP)
    )
    parts = (("plate", below(0.0035)), ("stem", below(stem - 0.4 * radius)), ("knob", everywhere()))
    return Design(solid, (Rule("knob", 1, cap((0, 0, stem + 0.6 * radius), UP, radius, verb="open")),), parts=parts)


THINGS = (
    Family("box", make_box, (0.11, 0.23)),
    Family("small box", make_small_box, (0.06, 0.12)),
    Family("book", make_book, (0.15, 0.24)),
    Family("brick", make_brick, (0.06, 0.21)),
    Family("wooden block", make_block, (0.11, 0.23)),
    Family("cube", make_cube, (0.02, 0.09)),
    Family("ball", make_ball, (0.035, 0.11)),
    Family("cylinder", make_cylinder, (0.03, 0.17)),
    Family("banana", make_banana, (0.09, 0.25)),
    Family("apple", make_apple, (0.05, 0.09)),
    Family("pear", make_pear, (0.055, 0.12)),
    Family("orange", make_orange, (0.04, 0.09)),
    Family("lemon", make_lemon, (0.045, 0.1)),
    Family("light bulb", make_light_bulb, (0.08, 0.13)),
    Family("computer mouse", make_mouse, (0.09, 0.13)),
    Family("ring", make_ring, (0.04, 0.15)),
    Family("clamp", make_clamp, (0.1, 0.16)),
    Family("stapler", make_stapler, (0.1, 0.16)),
    Family("camera", make_camera, (0.09, 0.14)),
    Family("eraser", make_eraser, (0.025, 0.07)),
    Family("dumbbell", make_cross_handle, (0.14, 0.22)),
    Family("basket", make_headphone_arc, (0.12, 0.2)),
    Family("door knob", make_star_knob, (0.06, 0.13)),
)
__all__ = ["POWER", "THINGS"]
