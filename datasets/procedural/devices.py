"""Things with buttons that are held in the hand: phones and remote controls."""

from hoprior.datasets.procedural.design import Design
from hoprior.datasets.procedural.placements import (
    THREE,
    Rng,
    Rule,
    across,
    flat_in_palm,
)
from hoprior.datasets.procedural.shapes import (
    above,
    everywhere,
    rounded_box,
)


def make_phone(rng: Rng) -> Design:
    """A phone: its screen towards +z, its top towards +x."""
    length, width, thick = rng.uniform(0.13, 0.165), rng.uniform(0.062, 0.078), rng.uniform(0.008, 0.011)
    solid = rounded_box((length, width, thick), 0.0035)
    rules = [
        Rule("in hand", 5, flat_in_palm((-0.05 * length, 0, -thick / 2), (0, 0, 1), (1, 0, 0), verb="use")),
        Rule(
            "edges",
            2,
            across((-0.1 * length, 0, thick / 2), (0, 0, -1), (0, 1, 0), width, gap=(0.068, 0.006), verb="lift"),
        ),
        Rule(
            "end",
            1,
            across((-length / 2, 0, 0), (1, 0, 0), (0, 0, 1), thick, gap=(0.045, 0.008), grip=THREE, verb="pass"),
        ),
    ]
    return Design(solid, tuple(rules), parts=(("screen", above(0.4 * thick)), ("body", everywhere())))


def make_remote(rng: Rng) -> Design:
    """A remote control: its buttons towards +z, pointing to +x."""
    length, width, thick = rng.uniform(0.13, 0.2), rng.uniform(0.038, 0.052), rng.uniform(0.014, 0.022)
    solid = rounded_box((length, width, thick), 0.005)
    rules = [
        Rule("in hand", 4, flat_in_palm((-0.1 * length, 0, -thick / 2), (0, 0, 1), (1, 0, 0), verb="use")),
        Rule("edges", 2, across((0, 0, thick / 2), (0, 0, -1), (0, 1, 0), width, gap=(0.062, 0.006), verb="lift")),
    ]
    return Design(solid, tuple(rules), parts=(("buttons", above(0.4 * thick)), ("body", everywhere())))
