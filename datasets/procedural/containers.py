"""Families of vessels: mugs, cups, glasses, bowls, plates, bottles, cans, jars, pitchers, pans."""

import numpy as np

from hoprior.datasets.procedural.design import Design, Family
from hoprior.datasets.procedural.placements import (
    PADS,
    THREE,
    Draw,
    Grip,
    Rng,
    Rule,
    Slab,
    Varied,
    across,
    cap,
    wrap,
)
from hoprior.datasets.procedural.shapes import (
    Vector,
    above,
    below,
    everywhere,
    lathe,
    place,
    rod,
    tube,
    vec,
    vessel,
)

UP = vec(0, 0, 1)
RIM = 0.006
"""How far (m) a vessel's rim reaches down."""
HANDLE = Grip(fingers=(1.0, 1.0, 0.6, 1.0, 1.0), palm=0.3, start=(0.55, 0.7), hold=0.8)


def handle_loop(wall_low: float, wall_high: float, low: float, high: float, out: float) -> list[Vector]:
    """Points of a C-shaped handle in the xz plane, on a wall at x = `wall_low` (at `low`) to `wall_high` (at `high`).

    A superellipse: a loop with a straight back, that fingers fit into.
    """
    points = []
    for a in np.linspace(-np.pi / 2, np.pi / 2, 9):
        rise = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** 0.8 / 2 + 0.5
        wall = wall_low + rise * (wall_high - wall_low)
        points.append(vec(wall - 0.003 + np.abs(np.cos(a)) ** 0.6 * out, 0, low + rise * (high - low)))
    return points


def rim(radius: float, top: float, wall: float, verb: str = "lift", lean: tuple[float, float] = (0.1, 0.8)) -> Draw:
    """Taking a vessel by its rim from above: the thumb inside, the fingers outside, anywhere round it."""

    def pick(rng: Rng) -> Slab:
        angle = rng.uniform(0, 2 * np.pi)
        out = vec(np.cos(angle), np.sin(angle), 0)
        down = -UP - out * rng.uniform(*lean)
        return across(
            radius * out + vec(0, 0, top), down, out, wall, grip=THREE, verb=verb, gap=(0.052, 0.006), either=False
        )

    return Varied(pick)


def handle_rule(x: float, low: float, high: float, thick: float, weight: float, verb: str) -> Rule:
    """A fist through a vertical handle whose back is at `x`; the palm is outside."""
    height = high - low
    bar = wrap(
        (x, 0, low + 0.35 * height),
        (x, 0, low + 0.65 * height),
        thick,
        towards=(-1, 0.3, 0),
        spread=0.7,
        tilt=(0.1, 0.1),
        grip=HANDLE,
        verb=verb,
    )
    return Rule("handle", weight, bar)


def make_mug(rng: Rng) -> Design:
    """A mug, its handle at +x."""
    radius, height = rng.uniform(0.036, 0.048), rng.uniform(0.08, 0.11)
    thick, out = rng.uniform(0.0045, 0.007), rng.uniform(0.03, 0.042)
    low, high = height * rng.uniform(0.1, 0.2), height * rng.uniform(0.82, 0.93)
    base = radius * rng.uniform(0.88, 1.02)
    outline = [(base, 0.0), (radius, height)]
    inner = min(base, radius)
    handle = tube(handle_loop(inner, inner, low, high, out), thick)
    handle = handle - rod((0, 0, 0.004), (0, 0, height), inner - 0.002)
    rules = [
        handle_rule(inner + out - thick, low, high, thick, 4, "drink"),
        Rule("body", 4, wrap((0, 0, 0.35 * height), (0, 0, 0.65 * height), radius, towards=(1, 0, 0), spread=1.9)),
        Rule("top", 1, cap((0, 0, height), UP, radius, verb="lift", disk=True)),
        Rule("rim", 0.6, rim(radius, height, 0.004), inside=True),
    ]
    filled = lathe([(0.0, 0.0), *outline, (0.0, height)])
    solid = vessel(outline, rng.uniform(0.003, 0.0045), 0.006) + handle
    parts = (("handle", handle), ("rim", above(height - RIM)), ("body", everywhere()))
    return Design(solid, tuple(rules), filled + handle, parts, free=("rim",))


def make_cup(rng: Rng) -> Design:
    """A cup or tumbler without a handle, straight or wider at the top."""
    radius, height = rng.uniform(0.03, 0.045), rng.uniform(0.07, 0.14)
    outline = [(radius * rng.uniform(0.65, 1.0), 0.0), (radius, height)]
    rules = [
        Rule("body", 6, wrap((0, 0, 0.4 * height), (0, 0, 0.75 * height), radius * 0.93, verb="drink")),
        Rule("top", 1.5, cap((0, 0, height), UP, radius, verb="lift", disk=True)),
        Rule("rim", 0.6, rim(radius, height, 0.004), inside=True),
    ]
    parts = (("rim", above(height - RIM)), ("body", everywhere()))
    filled = lathe([(0.0, 0.0), *outline, (0.0, height)])
    return Design(vessel(outline, 0.003, 0.005), tuple(rules), filled, parts, free=("rim",))


def make_wine_glass(rng: Rng) -> Design:
    """A bowl on a stem on a foot."""
    radius, stem = rng.uniform(0.03, 0.042), rng.uniform(0.06, 0.09)
    height, foot = stem + rng.uniform(0.07, 0.1), rng.uniform(0.028, 0.036)
    thick = rng.uniform(0.0035, 0.0055)
    belly = [(thick, stem), (0.7 * radius, stem + 0.012), (radius, stem + 0.035), (0.85 * radius, height)]
    base = lathe([(0, 0), (foot, 0), (foot, 0.003), (thick, 0.01), (thick, stem + 0.004), (0, stem + 0.004)])
    filled = base + lathe([(0.0, stem), *belly, (0.0, height)])
    rules = [
        Rule("bowl", 4, wrap((0, 0, stem + 0.015), (0, 0, stem + 0.045), radius, tilt=(0.3, 0.15), verb="drink")),
        Rule(
            "stem",
            4,
            wrap(
                (0, 0, 0.45 * stem), (0, 0, 0.9 * stem), thick, tilt=(0.3, 0.2), grip=THREE, verb="drink", depth=0.025
            ),
        ),
        Rule("top", 0.5, cap((0, 0, height), UP, radius, verb="lift", disk=True)),
    ]
    parts = (("rim", above(height - RIM)), ("foot", below(0.009)), ("stem", below(stem)), ("bowl", everywhere()))
    return Design(base + vessel(belly, 0.0025, stem + 0.006), tuple(rules), filled, parts, free=("rim",))


def make_bowl(rng: Rng) -> Design:
    """A round bowl."""
    radius, height = rng.uniform(0.055, 0.085), rng.uniform(0.045, 0.075)
    base = radius * rng.uniform(0.4, 0.6)
    outline = [(base, 0.0)]
    outline += [(base + (radius - base) * np.sin(a), height * (1 - np.cos(a))) for a in np.linspace(0.3, np.pi / 2, 6)]
    rules = [
        Rule("rim", 6, rim(radius, height, 0.004, lean=(0.3, 1.6)), inside=True),
        Rule("under", 1, cap((0, 0, 0), -UP, radius * 0.75, verb="hold")),
        Rule("top", 0.5, cap((0, 0, height), UP, radius, verb="lift", disk=True))
        if radius < 0.062
        else Rule("side", 0.5, rim(radius, height, 0.004, "hold", (1.2, 2.5)), inside=True),
    ]
    parts = (("rim", above(height - 0.03)), ("body", everywhere()))
    filled = lathe([(0.0, 0.0), *outline, (0.0, height)])
    return Design(vessel(outline, 0.004, 0.006), tuple(rules), filled, parts)


def make_plate(rng: Rng) -> Design:
    """A plate."""
    radius, height = rng.uniform(0.08, 0.13), rng.uniform(0.014, 0.022)
    foot = radius * 0.62
    solid = lathe([(0, 0), (foot, 0), (radius, height - 0.003), (radius, height), (foot, 0.006), (0, 0.006)])

    def edge(rng: Rng) -> Slab:
        angle = rng.uniform(0, 2 * np.pi)
        out = vec(np.cos(angle), np.sin(angle), 0)
        return across(
            radius * out + vec(0, 0, height - 0.002), -out, -UP, 0.005, gap=(0.045, 0.008), either=False, verb="hold"
        )

    parts = (("middle", rod((0, 0, -0.1), (0, 0, 0.1), 0.4 * radius)), ("rim", everywhere()))
    return Design(solid, (Rule("edge", 1, Varied(edge), part="rim"),), parts=parts, free=("middle",))


def make_bottle(rng: Rng) -> Design:
    """A round bottle with a screw cap."""
    radius, height = rng.uniform(0.026, 0.042), rng.uniform(0.15, 0.25)
    neck, lid = rng.uniform(0.011, 0.015), rng.uniform(0.013, 0.018)
    shoulder = height * rng.uniform(0.6, 0.75)
    outline = [(radius, 0.0), (radius, shoulder), (radius * 0.85, shoulder + 0.25 * (height - shoulder))]
    outline += [(neck, shoulder + 0.65 * (height - shoulder)), (neck, height - 0.018)]
    outline += [(lid, height - 0.018), (lid, height)]
    rules = [
        Rule("side", 5, wrap((0, 0, 0.4 * shoulder), (0, 0, 0.9 * shoulder), radius, tilt=(0.15, 0.15), verb="drink")),
        Rule("cap", 1, cap((0, 0, height - 0.006), UP, lid, grip=THREE, verb="open", disk=True)),
        Rule("neck", 1, cap((0, 0, height - 0.03), UP, lid + 0.008, verb="lift", disk=True)),
    ]
    parts = (("cap", above(height - 0.018)), ("neck", above(shoulder)), ("body", everywhere()))
    return Design(lathe([(0, 0), *outline, (0, height)]), tuple(rules), parts=parts)


def make_squeeze_bottle(rng: Rng) -> Design:
    """A flat bottle, as of sauce, shampoo or detergent."""
    width, flat, height = rng.uniform(0.03, 0.046), rng.uniform(0.5, 0.75), rng.uniform(0.14, 0.24)
    shoulder, neck = height * rng.uniform(0.65, 0.8), rng.uniform(0.011, 0.015)
    body = lathe([(0, 0), (width, 0), (width, shoulder), (neck, 0.93 * height), (0, 0.93 * height)])
    spout = lathe([(0, 0.9 * height), (neck, 0.9 * height), (0.7 * neck, height), (0, height)])
    solid = body.scale((1.0, flat, 1.0)) + spout
    rules = [
        Rule(
            f"side {sign:+d}",
            2,
            wrap(
                (0, 0, 0.35 * height), (0, 0, 0.65 * height), width * 0.9, towards=(sign, 0, 0), spread=0.7, verb=verb
            ),
        )
        for sign, verb in ((1, "squeeze"), (-1, "pour"))
    ]
    rules += [
        Rule(
            f"front {sign:+d}",
            1,
            wrap((0, 0, 0.35 * height), (0, 0, 0.65 * height), width * flat, towards=(0, sign, 0), spread=0.5),
        )
        for sign in (1, -1)
    ]
    rules.append(Rule("top", 1, cap((0, 0, 0.95 * height), UP, neck, verb="lift", disk=True), part="spout"))
    return Design(solid, tuple(rules), parts=(("spout", above(0.9 * height)), ("body", everywhere())))


def make_can(rng: Rng) -> Design:
    """A can of drink or soup."""
    radius, height = rng.uniform(0.026, 0.043), rng.uniform(0.09, 0.15)
    solid = lathe(
        [(0, 0), (0.9 * radius, 0), (radius, 0.006), (radius, height - 0.006), (0.9 * radius, height), (0, height)]
    )
    rules = [
        Rule("side", 5, wrap((0, 0, 0.35 * height), (0, 0, 0.7 * height), radius, tilt=(0.15, 0.15), verb="drink")),
        Rule("top", 2, cap((0, 0, height - 0.01), UP, radius, verb="lift", disk=True)),
    ]
    return Design(solid, tuple(rules), parts=(("top", above(height - 0.03)), ("body", everywhere())))


def make_tin(rng: Rng) -> Design:
    """A low tin, as of fish."""
    radius, height = rng.uniform(0.032, 0.048), rng.uniform(0.025, 0.05)
    solid = lathe([(0, 0), (radius, 0), (radius, height), (0, height)])
    rules = [
        Rule("top", 4, cap((0, 0, height / 2), UP, radius, verb="lift", disk=True)),
        Rule("side", 2, wrap((0, 0, 0.4 * height), (0, 0, 0.6 * height), radius, tilt=(0.15, 0.15))),
    ]
    return Design(solid, tuple(rules), parts=(("lid", above(height - 0.002)), ("body", everywhere())))


def make_jar(rng: Rng) -> Design:
    """A jar with a lid."""
    radius, height = rng.uniform(0.03, 0.045), rng.uniform(0.08, 0.14)
    lid, brim = radius * rng.uniform(0.8, 0.95), height - 0.018
    outline = [(radius, 0.0), (radius, brim - 0.01), (0.85 * lid, brim), (lid, brim), (lid, height)]
    rules = [
        Rule("side", 4, wrap((0, 0, 0.35 * height), (0, 0, 0.65 * height), radius, tilt=(0.15, 0.15), verb="hold")),
        Rule("lid", 3, cap((0, 0, height - 0.009), UP, lid, verb="open", disk=True)),
    ]
    parts = (("lid", above(brim)), ("body", everywhere()))
    return Design(lathe([(0, 0), *outline, (0, height)]), tuple(rules), parts=parts)


def make_pitcher(rng: Rng) -> Design:
    """A pitcher with a big handle at +x and a spout at -x."""
    radius, height = rng.uniform(0.05, 0.065), rng.uniform(0.16, 0.24)
    base, thick, out = radius * rng.uniform(0.85, 1.05), rng.uniform(0.007, 0.01), rng.uniform(0.045, 0.055)
    low, high = height * rng.uniform(0.2, 0.35), height * rng.uniform(0.85, 0.93)
    outline = [(base, 0.0), (radius, height)]
    inner = min(base, radius)
    handle = tube(handle_loop(inner, inner, low, high, out), thick)
    handle = handle - rod((0, 0, 0.004), (0, 0, height), inner - 0.003)
    spout = tube([(-radius + 0.015, 0, height - 0.03), (-radius - 0.012, 0, height - 0.006)], [0.016, 0.006])
    filled = lathe([(0.0, 0.0), *outline, (0.0, height)]) + handle + spout
    hollow = rod((0, 0, 0.007), (0, 0, height + 0.02), base - 0.005, radius - 0.004)
    rules = [
        handle_rule(inner + out - 0.7 * thick, low, high, thick, 8, "pour"),
        Rule("rim", 1, rim(radius, height, 0.005), inside=True),
    ]
    parts = (("handle", handle), ("spout", spout), ("rim", above(height - 0.02)), ("body", everywhere()))
    return Design(filled - hollow, tuple(rules), filled, parts, free=("rim", "spout"))


def make_pan(rng: Rng) -> Design:
    """A frying pan; the handle points to +x."""
    radius, height = rng.uniform(0.08, 0.12), rng.uniform(0.03, 0.055)
    length, thick, rise = rng.uniform(0.13, 0.18), rng.uniform(0.008, 0.011), rng.uniform(0.0, 0.03)
    start, end = vec(radius - 0.006, 0, height - thick), vec(radius + length, 0, height - thick + rise)
    handle = tube([start, start + 0.35 * (end - start), end], [0.6 * thick, thick, thick])
    outline = [(0.82 * radius, 0.0), (radius, height)]
    filled = lathe([(0.0, 0.0), *outline, (0.0, height)])
    handle = handle - rod((0, 0, 0.003), (0, 0, height + 0.05), 0.8 * radius, radius - 0.002)
    rules = [
        Rule(
            "handle",
            1,
            wrap(
                start + 0.75 * (end - start),
                start + 0.45 * (end - start),
                thick,
                towards=(0, 0, 1),
                spread=2.2,
                tilt=(0.45, 0.2),
                verb="cook",
            ),
        ),
    ]
    parts = (("handle", handle), ("body", everywhere()))
    return Design(vessel(outline, 0.004, 0.005) + handle, tuple(rules), filled + handle, parts, free=("body",))


def make_teapot(rng: Rng) -> Design:
    """A round pot with a handle at +x, a spout at -x and a lid with a knob."""
    radius, squash = rng.uniform(0.05, 0.062), rng.uniform(0.75, 0.95)
    outline = [(radius * np.cos(a), squash * radius * (np.sin(a) + 1)) for a in np.linspace(-1.1, 1.3, 12)]
    height = outline[-1][1]
    body = lathe([(0.0, outline[0][1]), *outline, (0.0, height)])
    thick, out = rng.uniform(0.005, 0.008), rng.uniform(0.04, 0.05)
    low, high = 0.3 * height, 0.85 * height
    handle = tube(handle_loop(0.9 * radius, 0.8 * radius, low, high, out), thick)
    spout = tube([(-0.85 * radius, 0, 0.35 * height), (-radius - 0.04, 0, 0.95 * height)], [0.014, 0.007])
    knob = tube([(0, 0, height - 0.002), (0, 0, height + 0.014)], [0.006, 0.009])
    rules = [
        handle_rule(0.88 * radius + out - thick, low, high, thick, 5, "pour"),
        Rule("lid", 1, cap((0, 0, height + 0.012), UP, 0.009, grip=THREE, verb="open", disk=True)),
    ]
    parts = (("handle", handle), ("spout", spout), ("lid", knob), ("body", everywhere()))
    return Design(body + handle + spout + knob, tuple(rules), parts=parts, free=("spout",))


def make_bucket_lid(rng: Rng) -> Design:
    """A round lid with a knob, as of a pot."""
    radius = rng.uniform(0.06, 0.1)
    knob, rise = rng.uniform(0.011, 0.017), rng.uniform(0.03, 0.045)
    disc = lathe([(0, 0), (radius, 0), (radius, 0.005), (0.3 * radius, 0.016), (0, 0.016)])
    stem = lathe(
        [(0, 0.01), (0.5 * knob, 0.01), (0.5 * knob, rise - 0.01), (knob, rise - 0.008), (knob, rise), (0, rise)]
    )
    rules = [Rule("knob", 1, cap((0, 0, rise - 0.006), UP, knob, grip=THREE, verb="lift", disk=True))]
    parts = (("knob", above(0.0165)), ("disc", everywhere()))
    return Design(place(disc + stem, (0, 0, 0), UP), tuple(rules), parts=parts)


CONTAINERS = (
    Family("mug", make_mug, (0.08, 0.15)),
    Family("cup", make_cup, (0.06, 0.15)),
    Family("wine glass", make_wine_glass, (0.12, 0.2)),
    Family("bowl", make_bowl, (0.1, 0.18)),
    Family("plate", make_plate, (0.15, 0.27)),
    Family("bottle", make_bottle, (0.14, 0.26)),
    Family("squeeze bottle", make_squeeze_bottle, (0.13, 0.25)),
    Family("can", make_can, (0.08, 0.16)),
    Family("tin", make_tin, (0.06, 0.1)),
    Family("jar", make_jar, (0.07, 0.15)),
    Family("pitcher", make_pitcher, (0.15, 0.26)),
    Family("frying pan", make_pan, (0.28, 0.45)),
    Family("teapot", make_teapot, (0.14, 0.26)),
    Family("pot lid", make_bucket_lid, (0.11, 0.21)),
)
__all__ = ["CONTAINERS", "PADS"]
