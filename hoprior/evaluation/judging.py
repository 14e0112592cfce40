"""Grasps of two makers before a judge: blinded pairs of pictures for a vision-language model.

Each pair is one object held by both, grasps of one rank, drawn alike and named by nothing but left and right. It is
shown twice, with sides changed, since models prefer sides: half a point for each time that a maker is chosen.
"""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy.stats import binomtest

from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import GraspSet
from hoprior.language.describe.chat import Chat, ask
from hoprior.language.schema import Json
from hoprior.rendering.rasterizer import BACKGROUND, look_along, render_scene
from hoprior.rendering.sheet import FAINT_INK, INK, font

VIEWS = (-50.0, 50.0)
"""Degrees about the vertical from where the hand is; the camera looks down at both."""
DOWN = 25.0
SIZE, MARGIN, HEADER = 320, 12, 36
SKIN, THING = (0.87, 0.68, 0.57), (0.62, 0.66, 0.72)
SIDES = ("left", "right")
ADVICE = "try another model, one that sees pictures"
SCHEMA: Json = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": list(SIDES)}},
    "required": ["better"],
    "additionalProperties": False,
}
QUESTION = (
    "Two computer-made hands hold the same {thing}, one at the left and one at the right, each seen from two sides. "
    "Which hand holds it more as a person would: naturally, firmly, without going into it and without hovering? Answer "
    'with JSON: {{"better": "left"}} or {{"better": "right"}}.'
)


class Pair(NamedTuple):
    """Grasp number `rank` of one object, by us and by another."""

    name: str
    rank: int
    ours: GraspSet
    other: GraspSet


class Judgement(NamedTuple):
    """What a judge found.

    Attributes:
        share: of the points that ours got; .5 is no preference.
        low, high: Wilson's 95 % interval of that share, each pair counting as one trial.
        pairs: how many.
        same: share of the pairs in which the judge chose the same maker from both sides; .5 is guessing.
        points: by pair, 1, .5 or 0.
    """

    share: float
    low: float
    high: float
    pairs: int
    same: float
    points: dict[str, float]

    def __str__(self) -> str:
        sure = f"95 % interval {self.low:.0%} to {self.high:.0%}"
        return f"in {self.share:.0%} of {self.pairs} pairs ({sure}); the same from both sides in {self.same:.0%}"


def pairs_of(ours: Sequence[GraspSet], others: Sequence[GraspSet]) -> list[Pair]:
    """Grasps of the same object and rank, as long as both have one.

    Raises:
        HopriorError: the two have no object in common.
    """
    theirs = {item.name: item for item in others}
    found = [
        Pair(item.name, rank, item, theirs[item.name])
        for item in ours
        if item.name in theirs
        for rank in range(min(len(item.verts), len(theirs[item.name].verts)))
    ]
    if not found:
        raise HopriorError(
            f"the grasps to be judged are of {_names(ours)}, those beside them of {_names(others)}: give grasps of the "
            "same objects (they are matched by the mesh files' names)"
        )
    return found


def _names(sets: Sequence[GraspSet]) -> str:
    return ", ".join(sorted({item.name for item in sets}))


def judge(chat: Chat, pairs: Sequence[Pair], progress: Callable[[str], None] = lambda name: None) -> Judgement:
    """Asks a model which of two grasps is better, for each pair from both sides.

    Raises:
        HopriorError: the model does not answer, or none of its answers is a side.
    """
    points, same = {}, []
    for pair in pairs:
        progress(pair.name)
        pictures = [_picture(item, pair.rank) for item in (pair.ours, pair.other)]
        question = QUESTION.format(thing=pair.name.replace("_", " "))
        at_left = ask(chat, question, _side, _beside(*pictures), SCHEMA, advice=ADVICE) == "left"
        at_right = ask(chat, question, _side, _beside(*pictures[::-1]), SCHEMA, advice=ADVICE) == "right"
        points[f"{pair.name}/{pair.rank}"] = (at_left + at_right) / 2
        same.append(at_left == at_right)
    total = sum(points.values())
    # Half points count to the nearer whole number, downwards: never in our favour.
    interval = binomtest(int(total), len(pairs)).proportion_ci(method="wilson")
    share = total / len(pairs)
    return Judgement(share, float(interval.low), float(interval.high), len(pairs), float(np.mean(same)), points)


def _side(answer: str) -> str:
    """The side in an answer: JSON, or nothing but the word."""
    text = answer.strip()
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])["better"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = text.strip(" .\"'").lower()
    if found not in SIDES:
        raise HopriorError('it is neither {"better": "left"} nor {"better": "right"}')
    return str(found)


def _picture(item: GraspSet, rank: int) -> Image.Image:
    """One grasp from two sides, chosen by where the hand is and by nothing else."""
    verts, thing = np.asarray(item.verts[rank], dtype=float), item.mesh
    points = np.concatenate([verts, np.asarray(thing.vertices, dtype=float)])
    x, y, _ = verts.mean(axis=0) - np.asarray(thing.vertices).mean(axis=0)
    meshes = [(verts, item.faces, SKIN), (thing.vertices, thing.faces, THING)]
    picture = Image.new("RGB", (2 * SIZE, SIZE))
    for k, turn in enumerate(VIEWS):
        camera = look_along(points, _towards(np.arctan2(y, x) + np.radians(turn)))
        picture.paste(Image.fromarray(render_scene(meshes, (SIZE, SIZE), camera=camera)), (k * SIZE, 0))
    return picture


def _towards(azimuth: float) -> Float[np.ndarray, " 3"]:
    """Looking in from an azimuth, and down."""
    level = np.cos(np.radians(DOWN))
    return np.array([-level * np.cos(azimuth), -level * np.sin(azimuth), -np.sin(np.radians(DOWN))])


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    size = (left.width + right.width + 3 * MARGIN, left.height + HEADER + MARGIN)
    sheet = Image.new("RGB", size, tuple(round(255 * c) for c in BACKGROUND))
    draw = ImageDraw.Draw(sheet)
    for at, side, picture in ((MARGIN, "left", left), (2 * MARGIN + left.width, "right", right)):
        sheet.paste(picture, (at, HEADER))
        draw.text((at + picture.width / 2, 8), side, INK, font(18), anchor="ma")
    draw.line([(sheet.width / 2, 0), (sheet.width / 2, sheet.height)], FAINT_INK, 2)
    return sheet
