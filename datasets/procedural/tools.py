"""Families of tools: things that are held by a handle, and what they do lies at its head. The head is at +x."""

import numpy as np

from hoprior.datasets.procedural.design import Design, Family
from hoprior.datasets.procedural.devices import make_phone, make_remote
from hoprior.datasets.procedural.placements import (
    PINCH,
    POWER,
    THREE,
    Grip,
    Rng,
    Rule,
    across,
    cap,
    tripod,
    wrap,
)
from hoprior.datasets.procedural.shapes import (
    above,
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

HEAD = vec(1, 0, 0)
UP = vec(0, 0, 1)
LOOPS = Grip(fingers=(0.6, 1.0, 0.0, 0.6, 1.0), start=(0.6, 0.5), idle=(0.7, 0.8), oppose=0.5)
TRIGGER = Grip(palm=0.8, start=(0.5, 0.6), hold=0.8)


def grasp_handle(
    start: float, end: float, radius: float, verb: str, weight: float = 4, tilt: tuple[float, float] = (0.5, 0.2)
) -> Rule:
    """A fist round a handle along x from `start` to `end`, the thumb towards the head; the palm above or beside it."""
    low, high = start + 0.4 * (end - start), start + 0.75 * (end - start)
    return Rule(
        "handle", weight, wrap((low, 0, 0), (high, 0, 0), radius, towards=(0, 0, -1), spread=2.4, tilt=tilt, verb=verb)
    )


def make_hammer(rng: Rng) -> Design:
    """A hammer; its head strikes towards -z."""
    length, thick = rng.uniform(0.2, 0.32), rng.uniform(0.011, 0.016)
    face, reach = rng.uniform(0.011, 0.016), rng.uniform(0.035, 0.055)
    handle = tube([(0, 0, 0), (0.4 * length, 0, 0), (length, 0, 0)], [thick, 0.95 * thick, 0.7 * thick], flat=0.85)
    head = rod((length, 0, 0.01), (length, 0, -reach), face) + rod(
        (length, 0, 0), (length, 0, reach), face, 0.35 * face
    )
    rules = [grasp_handle(0.0, 0.6 * length, thick, "use", 6)]
    rules.append(Rule("head", 0.6, cap((length, 0, 0), HEAD, 0.015, verb="hold")))
    parts = (("head", beyond(length - 0.017)), ("handle", everywhere()))
    return Design(handle + head, tuple(rules), parts=parts)


def make_screwdriver(rng: Rng) -> Design:
    """A screwdriver."""
    grip_length, thick = rng.uniform(0.08, 0.11), rng.uniform(0.011, 0.016)
    shaft, blade = rng.uniform(0.06, 0.13), rng.uniform(0.0025, 0.004)
    handle = tube([(0, 0, 0), (0.6 * grip_length, 0, 0), (grip_length, 0, 0)], [thick, thick, 0.65 * thick])
    solid = handle + rod((grip_length - 0.01, 0, 0), (grip_length + shaft, 0, 0), blade)
    rules = [
        grasp_handle(-0.02, grip_length, thick, "use", 4, (0.55, 0.2)),
        Rule(
            "turn",
            3,
            cap((0.25 * grip_length, 0, 0), -HEAD, thick, tilt=0.5, grip=THREE, verb="screw"),
            part="handle",
        ),
    ]
    return Design(solid, tuple(rules), parts=(("shaft", beyond(grip_length)), ("handle", everywhere())))


def make_knife(rng: Rng) -> Design:
    """A kitchen knife, its edge towards -z."""
    grip_length, blade = rng.uniform(0.1, 0.125), rng.uniform(0.1, 0.2)
    height, thick = rng.uniform(0.022, 0.04), rng.uniform(0.009, 0.012)
    handle = tube([(0, 0, 0), (0.5 * grip_length, 0, 0.002), (grip_length, 0, 0)], thick, flat=0.75)
    outline = [(0.0, 0.0), (0.0, -height), (0.7 * blade, -0.8 * height), (blade, 0.0)]
    at = vec(grip_length - 0.012, 0, 0.4 * thick)
    steel, kept_off = (place(slab(outline, t), at, (0, -1, 0), (1, 0, 0)) for t in (0.002, 0.014))
    rule = grasp_handle(-0.01, grip_length, thick, "chop", 1, (0.55, 0.2))
    return Design(handle + steel, (rule,), handle + kept_off, (("blade", steel), ("handle", everywhere())), ("blade",))


def make_spoon(rng: Rng) -> Design:
    """A spoon or ladle, its bowl hollow upwards."""
    length, thick = rng.uniform(0.11, 0.2), rng.uniform(0.003, 0.006)
    bowl = rng.uniform(0.013, 0.026)
    handle = tube(
        [(0, 0, 0.004), (0.5 * length, 0, 0.01), (length, 0, 0)], [1.2 * thick, 0.9 * thick, 0.7 * thick], flat=1.0
    )
    egg = lathe([(0, -1), *[(np.cos(a), np.sin(a)) for a in np.linspace(-1.4, 1.4, 15)], (0, 1)])
    dish = egg.scale((1.45 * bowl, bowl, 0.6 * bowl)) - egg.scale(
        (1.45 * bowl - 0.002, bowl - 0.002, 0.6 * bowl - 0.002)
    ).translate((0, 0, 0.001))
    dish = dish.translate((length + 1.3 * bowl, 0, 0)) - box((1, 1, 1), (0, 0, 0.5005 + 0.001)).translate(
        (0.5 + length + 0.2 * bowl, 0, 0)
    )
    rules = [
        Rule(
            "pen",
            4,
            tripod((length, 0, 0), (0, 0, 0.004), grip_at=0.45 * length, verb="hold", radius=thick),
            part="handle",
        ),
        grasp_handle(0.0, 0.8 * length, thick, "use", 2, (0.6, 0.25)),
        Rule(
            "pinch",
            2,
            across(
                (0.3 * length, 0, thick + 0.008),
                (0, 0, -1),
                (0, 1, 0),
                2 * thick,
                grip=PINCH,
                gap=(0.065, 0.006),
                verb="lift",
            ),
            part="handle",
        ),
    ]
    parts = (("bowl", beyond(length)), ("handle", everywhere()))
    return Design(handle + dish, tuple(rules), parts=parts, free=("bowl",))


def make_spatula(rng: Rng) -> Design:
    """A spatula or turner."""
    length, thick = rng.uniform(0.16, 0.22), rng.uniform(0.006, 0.01)
    width, blade = rng.uniform(0.05, 0.08), rng.uniform(0.06, 0.1)
    handle = tube([(0, 0, 0), (0.6 * length, 0, 0), (length, 0, -0.01)], [thick, thick, 0.5 * thick], flat=1.1)
    flat = slab([(0, -0.3 * width), (blade, -width / 2), (blade, width / 2), (0, 0.3 * width)], 0.003)
    solid = handle + flat.rotate((0, 12, 0)).translate((length - 0.01, 0, -0.01))
    rule = grasp_handle(0.0, 0.7 * length, thick, "cook", 1, (0.55, 0.2))
    parts = (("blade", beyond(length - 0.008)), ("handle", everywhere()))
    return Design(solid, (rule,), parts=parts, free=("blade",))


def make_wrench(rng: Rng) -> Design:
    """An open-ended spanner, flat in z."""
    length, width, thick = rng.uniform(0.14, 0.24), rng.uniform(0.006, 0.01), rng.uniform(0.006, 0.01)
    jaw = rng.uniform(0.016, 0.024)
    bar = slab([(0, -width), (length, -width), (length, width), (0, width)], 0.8 * thick)
    solid = bar + slab(ellipse((length, 0), jaw, jaw), thick) + slab(ellipse((0, 0), 0.75 * jaw, 0.75 * jaw), thick)
    solid = (
        solid
        - box((1.6 * jaw, 0.9 * jaw, 0.1), (length + 0.9 * jaw, 0, 0))
        - rod((0, 0, -0.02), (0, 0, 0.02), 0.4 * jaw)
    )
    rules = [
        grasp_handle(0.0, 0.85 * length, width, "use", 4),
        Rule(
            "pinch",
            1,
            across(
                (0.5 * length, 0, thick / 2),
                (0, 0, -1),
                (0, 1, 0),
                2 * width,
                grip=THREE,
                gap=(0.06, 0.006),
                verb="lift",
            ),
            part="handle",
        ),
    ]
    parts = (("jaw", beyond(length - jaw)), ("ring", short_of(0.75 * jaw)), ("handle", everywhere()))
    return Design(solid, tuple(rules), parts=parts)


def make_scissors(rng: Rng) -> Design:
    """Scissors, flat in z; loops at -x, blades to +x."""
    blade, loop = rng.uniform(0.08, 0.11), rng.uniform(0.017, 0.022)
    thick, shank, splay = rng.uniform(0.006, 0.01), rng.uniform(0.045, 0.06), rng.uniform(0.3, 0.5)
    halves = []
    for side in (1, -1):
        angle = side * splay
        centre = -vec(shank * np.cos(angle), shank * np.sin(angle), 0) - vec(loop, 0, 0)
        ring = slab(ellipse((0, 0), 1.35 * loop, loop), thick, ellipse((0, 0), 1.35 * loop - 0.005, loop - 0.005))
        ring = place(ring, centre, UP, -centre)
        arm = tube([0.72 * centre, (0.0, 0, 0)], [0.005, 0.006], flat=1.0)
        tip = slab([(-0.01, -0.008), (blade, side * 0.004), (-0.01, 0.008)], 0.35 * thick)
        halves.append(ring + arm + tip.rotate((0, 0, -8 * side)))
    middle = vec(-shank * np.cos(splay) - loop, 0, 0)
    rules = [
        Rule(
            f"loops {side:+d}",
            3,
            across(
                middle - vec(0.025, 0, 0),
                (1, 0, 0),
                (0, side, 0),
                0.05,
                grip=LOOPS,
                gap=(0.07, 0.008),
                either=False,
                verb="use",
            ),
            part="handles",
        )
        for side in (1, -1)
    ]
    rules.append(
        Rule(
            "blades",
            1,
            wrap((0.75 * blade, 0, 0), (0.3 * blade, 0, 0), 0.008, grip=POWER, verb="pass", tilt=(0.5, 0.2)),
        )
    )
    rules.append(
        Rule(
            "lift",
            2,
            across(
                (-0.2 * shank, 0, thick / 2), (0, 0, -1), (0, 1, 0), 0.02, grip=THREE, gap=(0.062, 0.006), verb="lift"
            ),
        )
    )
    parts = (("blades", beyond(0.012)), ("handles", everywhere()))
    return Design(halves[0] + halves[1], tuple(rules), parts=parts, free=("blades",))


def make_pen(rng: Rng) -> Design:
    """A pen, pencil or marker, its tip at +x."""
    length, thick = rng.uniform(0.12, 0.16), rng.uniform(0.0038, 0.0095)
    solid = rod((0, 0, 0), (length - 0.015, 0, 0), thick) + rod(
        (length - 0.015, 0, 0), (length, 0, 0), thick, 0.3 * thick
    )
    tip, tail = vec(length, 0, 0), vec(0, 0, 0)
    rules = [
        Rule("write", 5, tripod(tip, tail, grip_at=0.035, radius=thick), part="barrel"),
        Rule(
            "lift",
            2,
            across(
                (0.5 * length, 0, thick), (0, 0, -1), (0, 1, 0), 2 * thick, grip=THREE, gap=(0.065, 0.006), verb="lift"
            ),
        ),
        Rule("fist", 2, wrap((0.35 * length, 0, 0), (0.65 * length, 0, 0), thick, tilt=(0.5, 0.2), flip=0.5)),
    ]
    return Design(solid, tuple(rules), parts=(("tip", beyond(length - 0.015)), ("barrel", everywhere())), free=("tip",))


def make_toothbrush(rng: Rng) -> Design:
    """A toothbrush, its bristles at +x towards +z."""
    length, thick = rng.uniform(0.15, 0.19), rng.uniform(0.0045, 0.0075)
    stick = tube(
        [(0, 0, 0), (0.5 * length, 0, 0), (0.75 * length, 0, 0.002), (length, 0, 0)],
        [thick, thick, 0.5 * thick, 0.6 * thick],
    )
    bristles = box((0.026, 0.009, 0.012), (length - 0.012, 0, 0.009))
    rules = [
        grasp_handle(0.0, 0.7 * length, thick, "brush", 4, (0.7, 0.25)),
        Rule(
            "pinch",
            1,
            across(
                (0.3 * length, 0, thick), (0, 0, -1), (0, 1, 0), 2 * thick, grip=THREE, gap=(0.062, 0.006), verb="lift"
            ),
            part="handle",
        ),
    ]
    parts = (("head", beyond(length - 0.026)), ("handle", everywhere()))
    return Design(stick + bristles, tuple(rules), parts=parts, free=("head",))


def make_brush(rng: Rng) -> Design:
    """A hair or scrubbing brush: a handle and a wide head."""
    length, thick = rng.uniform(0.1, 0.13), rng.uniform(0.009, 0.013)
    head, width = rng.uniform(0.07, 0.1), rng.uniform(0.045, 0.065)
    handle = tube([(0, 0, 0), (0.5 * length, 0, 0), (length + 0.01, 0, 0)], [thick, 1.1 * thick, 0.7 * thick], flat=0.8)
    pad = rounded_box((head, width, 0.018), 0.006, (length + head / 2, 0, 0))
    bristles = box((head * 0.8, width * 0.7, 0.02), (length + head / 2, 0, -0.015))
    rule = grasp_handle(-0.01, length, thick, "brush", 1, (0.5, 0.2))
    parts = (("bristles", bristles), ("head", beyond(length)), ("handle", everywhere()))
    return Design(handle + pad + bristles, (rule,), parts=parts, free=("bristles",))


def make_flashlight(rng: Rng) -> Design:
    """A torch, its lamp at +x."""
    length, thick = rng.uniform(0.12, 0.2), rng.uniform(0.012, 0.019)
    head = thick * rng.uniform(1.1, 1.6)
    profile = [(0, 0), (thick, 0), (thick, 0.72 * length), (head, 0.82 * length), (head, length), (0, length)]
    solid = place(lathe(profile), (0, 0, 0), HEAD)
    rules = [
        Rule("hold", 4, wrap((0.3 * length, 0, 0), (0.6 * length, 0, 0), thick, tilt=(0.4, 0.2), verb="hold")),
        Rule("on", 2, wrap((0.35 * length, 0, 0), (0.55 * length, 0, 0), thick, tilt=(0.4, 0.15), verb="on")),
        Rule("stab", 1, wrap((0.6 * length, 0, 0), (0.35 * length, 0, 0), thick, tilt=(0.2, 0.15), verb="hold")),
    ]
    return Design(solid, tuple(rules), parts=(("head", beyond(0.78 * length)), ("body", everywhere())), free=("head",))


def make_drill(rng: Rng) -> Design:
    """A cordless drill: a pistol grip (down, -z) under a body whose bit is at +x."""
    body, barrel = rng.uniform(0.022, 0.027), rng.uniform(0.13, 0.17)
    grip_length, thick = rng.uniform(0.1, 0.125), rng.uniform(0.016, 0.02)
    lean = rng.uniform(0.05, 0.3)
    top, down = vec(0, 0, -0.6 * body), vec(-np.sin(lean), 0, -np.cos(lean))
    low = top + grip_length * down
    solid = rod((-0.05, 0, 0), (barrel - 0.05, 0, 0), body) + rod(
        (barrel - 0.055, 0, 0), (barrel - 0.01, 0, 0), 0.7 * body, 0.4 * body
    )
    grip = tube([top, low], thick, flat=0.85)
    battery = rounded_box((0.085, 0.06, 0.04), 0.008, low + vec(0.012, 0, -0.012))
    solid = solid + grip + battery
    bar = wrap(
        top + 0.45 * grip_length * down,
        top + 0.3 * grip_length * down,
        thick,
        towards=(1, 0.25, 0),
        spread=0.35,
        tilt=(0.12, 0.08),
        grip=TRIGGER,
        verb="use",
    )
    rules = (Rule("grip", 5, bar), Rule("top", 1, cap((0.0, 0, 0), UP, body + 0.006, verb="lift"), part="body"))
    parts = (("chuck", beyond(barrel - 0.049)), ("battery", battery), ("body", above(-body)), ("grip", everywhere()))
    return Design(solid, rules, parts=parts, free=("chuck",))


def make_spray_bottle(rng: Rng) -> Design:
    """A spray bottle: a body, a neck that the hand goes round, and a head that sprays towards +x."""
    radius, height = rng.uniform(0.032, 0.042), rng.uniform(0.13, 0.17)
    neck, rise = rng.uniform(0.013, 0.017), rng.uniform(0.055, 0.07)
    body = lathe(
        [(0, 0), (radius, 0), (radius, 0.75 * height), (neck, height), (neck, height + rise), (0, height + rise)]
    )
    head = rounded_box((0.085, 0.026, 0.026), 0.006, (0.02, 0, height + rise))
    trigger = tube([(0.038, 0, height + rise - 0.012), (0.032, 0, height + rise - 0.045)], [0.004, 0.003])
    around_neck = wrap(
        (0, 0, height - 0.005),
        (0, 0, height + 0.02),
        neck + 0.004,
        towards=(1, 0.2, 0),
        spread=0.4,
        tilt=(0.1, 0.1),
        grip=TRIGGER,
        verb="use",
    )
    side = wrap((0, 0, 0.35 * height), (0, 0, 0.6 * height), radius, tilt=(0.15, 0.15), verb="hold")
    rules = (Rule("trigger", 3, around_neck, part="neck"), Rule("side", 3, side, part="body"))
    parts = (("trigger", trigger), ("head", head), ("neck", above(0.87 * height)), ("body", everywhere()))
    return Design(body + head + trigger, rules, parts=parts)


TOOLS = (
    Family("hammer", make_hammer, (0.19, 0.36), upright=False),
    Family("screwdriver", make_screwdriver, (0.13, 0.27), upright=False),
    Family("knife", make_knife, (0.18, 0.35), upright=False),
    Family("spoon", make_spoon, (0.12, 0.3)),
    Family("spatula", make_spatula, (0.2, 0.34)),
    Family("wrench", make_wrench, (0.14, 0.3)),
    Family("scissors", make_scissors, (0.14, 0.27)),
    Family("pen", make_pen, (0.11, 0.17), upright=False),
    Family("toothbrush", make_toothbrush, (0.14, 0.21)),
    Family("brush", make_brush, (0.16, 0.26)),
    Family("flashlight", make_flashlight, (0.11, 0.21), upright=False),
    Family("power drill", make_drill, (0.13, 0.26)),
    Family("spray bottle", make_spray_bottle, (0.18, 0.28)),
    Family("phone", make_phone, (0.12, 0.17)),
    Family("remote control", make_remote, (0.12, 0.21)),
)
