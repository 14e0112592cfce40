"""From a kind of grasp and a place on an object to a hand that is about to close there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.procedural.closing import Style, zones
from hoprior.datasets.procedural.placements import (
    PADS,
    Bar,
    Flat,
    Pen,
    Placement,
    Rng,
    Round,
    Site,
    Slab,
    around,
)
from hoprior.datasets.procedural.shapes import unit, vec
from hoprior.datasets.synthetic.templates import Template
from hoprior.hand import HandModel

CLEARANCE = 0.007
"""What an open hand leaves (m) between itself and the thing."""
PRESS = 0.0015
"""How deep (m) contact is sought: flesh that gives way is what holds a thing by friction."""
STEPS = 17
LOOPS_WEIGHT = 0.6
"""Of the index finger in the grips of rules that put fingers through loops (`tools.LOOPS`)."""


@dataclass(frozen=True)
class Seat:
    """Where a template's fingers meet: the middle between the opposing zones and the direction from one to the other.

    `gaps[i]`, `middles[i]` and `axes[i]` are those of the posture `i / (len - 1)` of the way from opened to closed.
    """

    angles: Float[Tensor, "k 15 3"]
    gaps: npt.NDArray[np.float64]
    middles: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    def fitting(self, span: float) -> int:
        """The most closed posture that still leaves room for something `span` wide; the opened one if none does."""
        wide = np.flatnonzero(self.gaps >= span + CLEARANCE)
        return int(wide[-1]) if len(wide) else 0


class Seats:
    """The seats of templates on one hand."""

    def __init__(self, hand: HandModel) -> None:
        groups, palm = zones(hand)
        self.hand, self.zones = hand, [*groups, palm]
        self._seats: dict[int, Seat] = {}

    def __call__(self, template: Template) -> Seat:
        """The seat of a template; of one without opposing zones only the postures mean anything."""
        if template.number not in self._seats:
            shares = torch.linspace(0, 1, STEPS)[:, None, None]
            opened, closed = template.opened.angles(), template.closed.angles()
            angles = opened + shares * (closed - opened)
            verts = self.hand(self.hand.angles_to_pose(angles)).verts
            one, two = (
                torch.stack([verts[:, self.zones[z]].mean(1) for z in ids or (0,)]).mean(0)
                for ids in (template.one, template.two)
            )
            across = (two - one).double().numpy()
            gaps = np.linalg.norm(across, axis=1)
            middles = ((one + two) / 2).double().numpy()
            self._seats[template.number] = Seat(angles, gaps, middles, across / np.maximum(gaps, 1e-9)[:, None])
        return self._seats[template.number]


def kind_of(site: Site) -> str:
    """What a site is to a template: bar, ball, disk, slab, pen, flat or loops."""
    if isinstance(site, Round):
        return "disk" if site.disk else "ball"
    if isinstance(site, Slab):
        return "loops" if site.grip.fingers[0] == LOOPS_WEIGHT else "slab"
    return {Bar: "bar", Pen: "pen", Flat: "flat"}[type(site)]


def span_of(site: Site) -> float:
    """How wide (m) the thing is that a hand closes on."""
    if isinstance(site, Slab):
        return site.size
    return 0.0 if isinstance(site, Flat) else 2 * site.radius


def fits(template: Template, site: Site) -> bool:
    """Whether a kind of grasp makes sense at a site."""
    low, high = template.span
    return kind_of(site) in template.kinds and bool(low <= span_of(site) <= high)


def place(
    template: Template, seat: Seat, site: Site, rng: Rng
) -> tuple[npt.NDArray[np.float64], Float[Tensor, "15 3"]]:
    """A hand at a site, about to close: T_object_hand (4, 4) and joint angles."""
    if not template.one or (isinstance(site, Pen) and template.kinds[0] == "pen"):
        step = seat.fitting(span_of(site)) if template.one else _by_width(template, site)
        placement = _own_placement(template, site, rng)
    else:
        step = seat.fitting(span_of(site))
        placement = _opposed(template, seat, step, site, rng)
    return _scattered(placement, rng), seat.angles[step]


def _by_width(template: Template, site: Site) -> int:
    """How far closed a hand starts that holds a thing in the palm: the less the wider it is."""
    low, high = template.span
    share = (high - span_of(site)) / max(high - low, 1e-6)
    return round(0.6 * float(np.clip(share, 0, 1)) * (STEPS - 1))


def _own_placement(template: Template, site: Site, rng: Rng) -> Placement:
    if isinstance(site, Bar):
        return replace(site, tilt=template.tilt)(rng)
    placement = site(rng)
    if isinstance(site, Round):
        height = 0.03 if site.disk else 0.0195 + site.radius
        return replace(placement, point_hand=vec(0.094, -0.004, height))
    return placement


def _opposed(template: Template, seat: Seat, step: int, site: Site, rng: Rng) -> Placement:
    """The placement that has the thing between the template's opposing zones."""
    middle, axis = seat.middles[step], seat.axes[step]
    into = np.asarray(template.into)
    if isinstance(site, Slab):
        sign = rng.choice([-1.0, 1.0]) if site.either else 1.0
        inward = unit(site.inward)
        point = site.face + inward * rng.uniform(0.004, 0.016)
        leaning = unit(inward + np.tan(rng.normal(0, 0.3)) * np.cross(inward, unit(site.width)))
        primary, primary_hand, secondary, secondary_hand = sign * site.width, axis, leaning, into
    elif isinstance(site, Round):
        tipped = unit(site.up + np.tan(abs(rng.normal(0, site.tilt))) * around(site.up, rng))
        point = site.centre
        primary, primary_hand, secondary, secondary_hand = -tipped, into, around(tipped, rng), axis
    else:
        point, head, towards, spread = _bar(site, rng)
        along = np.asarray(template.along)
        along = along - axis * (along @ axis)
        primary, primary_hand = head, along
        secondary, secondary_hand = around(head, rng, towards, spread), into
    return Placement(point, middle, unit(primary), unit(primary_hand), secondary, secondary_hand, PADS)


def _bar(site: Site, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
    """A point on the axis of a bar or pen, the direction of its head, and where palms look at it."""
    if isinstance(site, Pen):
        down = unit(site.tip - site.tail)
        return site.tip - down * (site.grip_at + rng.uniform(0, 0.03)), down, None, np.pi
    assert isinstance(site, Bar)
    head = unit(site.end - site.start)
    if rng.random() < site.flip:
        head = -head
    return site.start + rng.uniform(-0.3, 1.3) * (site.end - site.start), head, site.towards, site.spread


def _scattered(placement: Placement, rng: Rng) -> npt.NDArray[np.float64]:
    """The placement's pose, turned by a few degrees about the point that is held, and moved by a few millimetres."""
    T = placement.T_object_hand()
    turn = rng.normal(0, 0.08, 3)
    angle = float(np.linalg.norm(turn))
    k = turn / max(angle, 1e-9)
    K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    R = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K
    T[:3, :3] = R @ T[:3, :3]
    T[:3, 3] = R @ (T[:3, 3] - placement.point) + placement.point + rng.normal(0, 0.002, 3)
    return T


def style_of(templates: Sequence[Template], start: Float[Tensor, "b 15 3"], press: float = PRESS) -> Style:
    """What the closing optimiser is to do with hands of these templates, started at `start`."""
    touch = torch.tensor([t.touch for t in templates])
    keep = torch.tensor([[t.keep] * 5 for t in templates])
    return Style(
        fingers=touch,
        inner=touch * torch.tensor([[t.inner] for t in templates]),
        palm=torch.tensor([t.palm for t in templates]),
        sides=torch.tensor([t.sides for t in templates]),
        hold=torch.tensor([t.hold for t in templates]),
        keep=torch.maximum(keep, 1 - touch),
        thumb_keep=torch.tensor([t.thumb_keep for t in templates]),
        target=start.clone(),
        press=press,
    )
