"""Which of the ways in which files list a hand's joints a file is written in: told by what fits a hand and its pixels.

Estimators mirror left hands, or have mirrored them back; programs for graphics have y up; some files do not say which
hand it is. A hand model of the right side misses true joints by a few millimetres, its mirror image by more than 8; and
joints in other axes are not seen at their pixels. So the reading that is expected is kept where it fits, else the one
that does, with a note; joints that contradict what is said of them are refused.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.camera import project, translation_from_pixels
from hoprior.geometry.units import length_text
from hoprior.hand import fit_joints, load_hand, reorder_joints
from hoprior.hand.base import Side
from hoprior.hand.joint_order import JOINT_ORDERS
from hoprior.metrics.joint_faults import average_bones, order_fault, unit_fault
from hoprior.vision.estimates.estimate import ANGLE_PRIOR, BETAS_PRIOR, MIN_JOINTS

FITS = 0.0065
"""Metres that joints may miss the hand that is fitted to them by, on average, without a look at other readings. Joints
of true hands miss it by 1 to 6 mm, of whatever hand model they are; of the wrong side, by 8 at least."""
BETTER = 0.75
"""Another reading counts if its misses are this share of the expected one's, or less."""
POOR = 0.015
"""Metres of misses above which a note says so."""
AGREE = 0.1
"""Misses in the picture, in shares of the hand's longer side there, up to which joints are where their pixels are."""
ORDERS = ("mano", "openpose", "interhand")
"""Orders that joints may be listed in."""
IN_FRONT = 0.05
"""Depth (m) from which joints are taken to be in the camera's frame rather than relative to the wrist."""


class Axes(NamedTuple):
    """Signs of x, y and z that bring a file's axes to the camera's (x right, y down, z away), and what they are."""

    signs: tuple[float, float, float]
    called: str

    @property
    def mirrors(self) -> bool:
        """Whether a right hand becomes a left one."""
        return self.signs[0] * self.signs[1] * self.signs[2] < 0


CAMERA = Axes((1.0, 1.0, 1.0), "the camera's (x right, y down, z away from it)")
OPENGL = Axes((1.0, -1.0, -1.0), "OpenGL's (y up, z towards the viewer)")
Y_UP = Axes((1.0, -1.0, 1.0), "left-handed ones (y up, z away, as Unity's)")
Z_NEAR = Axes((1.0, 1.0, -1.0), "left-handed ones (y down, z towards the viewer)")
MIRRORED = Axes((-1.0, 1.0, 1.0), "those of a mirrored crop")


class Option(NamedTuple):
    """One way to read the joints."""

    axes: Axes
    side: Side


@dataclass(frozen=True)
class Reading:
    """A hand's joints in the axes of its camera.

    Attributes:
        joints: metres; before the camera if `placed`, else relative to some point.
        axes: that the file's joints were in.
        notes: what was not as expected.
    """

    joints: Float[Tensor, "21 3"]
    side: Side
    placed: bool
    axes: Axes
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class Listed:
    """A hand's joints as a file has them.

    Attributes:
        joints: in hoprior's order, metres.
        known: which of them count; finite.
        side: that the file or the user says, None if nobody does.
        K: the camera's intrinsics.
        pixels: where they are seen, or None.
        cam_t: what an estimator adds to bring them before the camera, or None.
        mirrored_back: whether the file is one of an estimator that mirrors left hands back itself.
        order: in which the file lists the joints, as far as is said.
        misfits: of either side's hand, as far as anybody asked.
    """

    joints: Float[Tensor, "21 3"]
    known: Bool[Tensor, "21"]
    side: Side | None
    K: Float[Tensor, "3 3"]
    pixels: Float[Tensor, "21 2"] | None = None
    cam_t: Float[Tensor, "3"] | None = None
    mirrored_back: bool = False
    order: str = "openpose"
    misfits: dict[Side, float] = field(default_factory=dict, init=False)

    def options(self) -> list[Option]:
        """The ways in which such files are written, the expected one first."""
        if self.cam_t is not None:
            if self.side == "left":
                # HaMeR sees a left hand in a mirrored crop; some programs around it have turned its joints back.
                ways = [CAMERA, MIRRORED] if self.mirrored_back else [MIRRORED, CAMERA]
                return [Option(way, "left") for way in ways]
            return [Option(CAMERA, "right")] if self.side else [Option(CAMERA, "right"), Option(CAMERA, "left")]
        if self.side is None:
            return [Option(way, side) for way in (CAMERA, OPENGL) for side in ("right", "left")]  # type: ignore[arg-type]
        # Without pixels, joints of a left hand may be a right one's in left-handed axes: nothing tells.
        ways = [CAMERA, OPENGL] if self.pixels is None else [CAMERA, OPENGL, Y_UP, Z_NEAR]
        return [Option(way, self.side) for way in ways]

    def placed(self, axes: Axes) -> Float[Tensor, "21 3"]:
        """The joints in the camera's axes, and before it if the file says where they are."""
        turned = self.joints * self.joints.new_tensor(axes.signs)
        return turned if self.cam_t is None else turned + self.cam_t

    def misfit(self, option: Option) -> float:
        """Metres by which the nearest hand of a side misses the joints, on average."""
        # How a hand lies makes no difference to what fits it, and a left hand is a right one's mirror image.
        side = other_side(option.side) if option.axes.mirrors else option.side
        if side not in self.misfits:
            fit = fit_joints(
                load_hand("open", side),
                self.joints[None],
                self.known.float(),
                fit_betas=True,
                angle_prior=ANGLE_PRIOR,
                betas_prior=BETAS_PRIOR,
            )
            self.misfits[side] = float(fit.error)
        return self.misfits[side]

    def seen(self, axes: Axes) -> float:
        """How far from their pixels the joints are seen, as a share of the hand's longer side, wherever they are moved
        to; without pixels, whether they are before the camera (0) or not (infinity)."""
        joints = self.placed(axes)
        depth = joints[self.known][:, 2]
        if self.pixels is None:
            return 0.0 if bool((depth > IN_FRONT).all()) else torch.inf
        if bool((depth < -IN_FRONT).all()):
            return torch.inf
        moved = translation_from_pixels(joints[None], self.pixels[None], self.K[None], self.known[None].float())
        return self.miss(joints + moved)

    def miss(self, joints: Float[Tensor, "21 3"]) -> float:
        """How far from their pixels joints before the camera are seen, as a share of the hand's longer side."""
        if self.pixels is None or bool((joints[self.known][:, 2] <= 0).any()):
            return torch.inf
        there, here = self.pixels[self.known], project(joints[None], self.K[None])[0, self.known]
        side = float((there.amax(dim=0) - there.amin(dim=0)).max())
        return float((here - there).norm(dim=-1).mean()) / max(side, 1.0)


def other_side(side: Side) -> Side:
    """Example:
    >>> other_side("right")
    'left'
    """
    return "left" if side == "right" else "right"


def check_numbers(listed: Float[Tensor, "21 3"], order: str, known: Bool[Tensor, "21"]) -> tuple[str, ...]:
    """Whether 21 points, as a file lists them, can be a hand's joints in metres and in this order; what to note.

    Raises:
        HopriorError: they cannot; the sentence says which unit or order explains them.
    """
    if int(known.sum()) < MIN_JOINTS:
        return ()
    joints = torch.where(known[:, None], listed, torch.nan)[None]
    bones = average_bones(load_hand("open", "right"))
    _, suspect = order_fault(joints, bones, order)
    if suspect.startswith("joint order"):
        raise HopriorError(f'{suspect}: give "order"')
    _, suspect = unit_fault(reorder_joints(joints, order), bones)
    if suspect.startswith("unit"):
        raise HopriorError(f"{suspect}: give metres")
    return (suspect,) if suspect else ()


def read_listed(listed: Listed) -> Reading:
    """The joints of a file in the axes of its camera, and the side of the hand.

    Raises:
        HopriorError: they are the other hand's, or a hand's in another order.
    """
    options = listed.options()
    chosen = expected = options[0]
    if listed.misfit(expected) > FITS or listed.seen(expected.axes) > AGREE:
        agreeing = [one for one in options if listed.seen(one.axes) <= AGREE] or options
        chosen = agreeing[0]
        for one in agreeing[1:]:
            if listed.misfit(one) <= BETTER * listed.misfit(chosen):
                chosen = one
    _refuse_other_order(listed, chosen)
    _refuse_other_side(listed, chosen)
    joints = listed.placed(chosen.axes)
    placed = bool((joints[listed.known][:, 2] > IN_FRONT).all())
    notes = [*_notes(listed, expected, chosen)]
    if placed and listed.pixels is not None and listed.miss(joints) > AGREE >= listed.seen(chosen.axes):
        placed = False
        notes.append("the joints are not where their pixels are: moved there")
    return Reading(joints, chosen.side, placed, chosen.axes, tuple(notes))


def _refuse_other_order(listed: Listed, chosen: Option) -> None:
    """Joints that fit a hand only if they are taken to be listed as others list them."""
    own = listed.misfit(chosen)
    if own <= FITS:
        return
    as_listed = reorder_joints(listed.joints, "mano", listed.order)
    known = reorder_joints(listed.known[:, None], "mano", listed.order)
    for name in (one for one in ORDERS if JOINT_ORDERS[one] != JOINT_ORDERS[listed.order]):
        again = Listed(reorder_joints(as_listed, name), reorder_joints(known, name)[:, 0], listed.side, listed.K)
        best = min(again.misfit(Option(CAMERA, side)) for side in (chosen.side, other_side(chosen.side)))
        if best <= min(FITS, BETTER * own):
            raise HopriorError(
                f"joint order: the joints are listed as {name} do, not as {listed.order} does (a hand misses them by"
                f' {length_text(own, 2)}, else by {length_text(best, 2)}): give "order"'
            )


def _refuse_other_side(listed: Listed, chosen: Option) -> None:
    """A hand that somebody said the side of, and that is the other one."""
    own = listed.misfit(chosen)
    if listed.side is None or own <= FITS:
        return
    other = other_side(chosen.side)
    better = listed.misfit(Option(chosen.axes, other))
    if better > BETTER * own:
        return
    misses = f"they miss a {chosen.side} hand by {length_text(own, 2)}, a {other} one by {length_text(better, 2)}"
    raise HopriorError(
        f"side: the joints are a {other} hand's, though they are called a {chosen.side} one's ({misses}): correct the"
        " side, or the axes if they are left-handed ones, as Unity's"
    )


def _notes(listed: Listed, expected: Option, chosen: Option) -> list[str]:
    notes = []
    own = listed.misfit(chosen)
    if chosen.axes != expected.axes:
        notes.append(
            {
                CAMERA: "this left hand's joints have been mirrored back in the file: taken as they are",
                MIRRORED: "this left hand's joints are those of its mirrored crop: mirrored back",
            }.get(chosen.axes, f"the joints are in {chosen.axes.called} axes: turned into {CAMERA.called}")
        )
    if own > FITS and listed.side is None:
        other = listed.misfit(Option(chosen.axes, other_side(chosen.side)))
        if other * BETTER < own:
            notes.append(
                f'whether it is a right or a left hand cannot be told: taken as a {chosen.side} one: give "side"'
            )
    if chosen.side != expected.side:
        notes.append(f'no side is given: taken as a {chosen.side} hand, which the joints fit: give "side" if it is not')
    if own > POOR:
        notes.append(
            f"the joints lie {length_text(own, 2)} from the nearest {chosen.side} hand's, on average: are they a "
            "hand's, and in the order that is said?"
        )
    return notes
