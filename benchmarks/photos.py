"""Hands found in photos against annotated ones: the figures on photos of docs/refine.md.

usage: python benchmarks/photos.py FOLDER [--boxes] [--pictures SHEET.png] [--only WORD]

FOLDER holds photos and, where there is one, truth.json: {"truth": {"photo.jpg": [{"side", "uv": 21 x 2 pixels in
OpenPose's order, "seen": 21}, ...]}}. Photos without annotation are judged by boxes drawn by eye
(photos_by_eye.json beside this file), and told apart in the table; in photos of neither kind there is no hand.
A find is a hand's if it is nearest to it, by less than half of the hand's longer side (mean over annotated joints),
and not twice as large or half as small; or, by eye, if the boxes share .3 of their union. All else, second finds of
one hand included, is false.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hoprior.vision.images import Photo, picture_endings, read_photo
from hoprior.vision.landmarker import FoundHand, hand_landmarker
from hoprior.vision.sightings import overlap

BY_EYE = Path(__file__).with_name("photos_by_eye.json")
NEAR = 0.5
"""Of the annotated hand's longer side."""
SIZE = 2.0
"""Times that a find may be larger or smaller: fragments are no hands."""
SHARED = 0.3
"""Of the union of two boxes."""
FINGERS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20))
COLOURS = {"right": (0, 230, 0), "left": (0, 200, 255)}
HEIGHT, WIDTH = 420, 1700
"""Of a photo and of the sheet of `--pictures`, pixels."""


@dataclass(frozen=True, eq=False)
class TrueHand:
    """A hand that is there, by annotated joints (`points`, NaN where there are none) or by a box."""

    low: np.ndarray
    high: np.ndarray
    side: str | None
    points: np.ndarray | None = None

    def distance(self, hand: FoundHand) -> float:
        """Of a find, in units of `NEAR` and `SHARED`: 1 and more is another thing."""
        if self.points is not None:
            of_same = np.ptp(hand.points[np.isfinite(self.points[:, 0])], axis=0).max() / (self.high - self.low).max()
            return self.error(hand) / NEAR if 1 / SIZE < of_same < SIZE else float("inf")
        return (1 - overlap(hand.box, (self.low, self.high), of_union=True)) / (1 - SHARED)

    def error(self, hand: FoundHand) -> float:
        """Mean distance of the joints, in shares of the hand's longer side."""
        assert self.points is not None, "by eye there are no joints"
        return float(np.nanmean(np.linalg.norm(hand.points - self.points, axis=1)) / (self.high - self.low).max())


@dataclass
class Tally:
    """What became of the hands of a source."""

    photos: int = 0
    true: int = 0
    found: int = 0
    false: int = 0
    sides: list[bool] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Takes another tally in."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, name: str) -> str:
        """One line of the table."""
        error = f"{100 * np.mean(self.errors):.1f}" if self.errors else "-"
        sides = f"{sum(self.sides)}/{len(self.sides)}"
        return (
            f"{name:28s} {self.photos:6d} {self.true:5d} {self.found:6d} {self.true - self.found:7d} {self.false:6d}"
            f" {sides:>6s} {error:>9s} {np.mean(self.seconds):9.2f} {max(self.seconds):5.2f}"
        )


HEADER = (
    f"{'source':28s} {'photos':>6s} {'hands':>5s} {'found':>6s} {'missed':>7s} {'false':>6s} {'side':>6s}"
    f" {'2D err %':>9s} {'s a photo':>9s} {'most':>5s}"
)


def truths(folder: Path) -> dict[str, list[TrueHand]]:
    """The hands of each photo of a folder, by its name; photos of which nothing is known are left out."""
    known: dict[str, list[TrueHand]] = {}
    by_eye = json.loads(BY_EYE.read_text())
    for name, boxes in by_eye.items():
        if isinstance(boxes, list):
            known[name] = [TrueHand(np.array(b["box"][:2]), np.array(b["box"][2:]), b["side"]) for b in boxes]
    if (folder / "truth.json").is_file():
        for name, hands in json.loads((folder / "truth.json").read_text())["truth"].items():
            if hands:
                known[name] = [_annotated(hand) for hand in hands]
    return known


def _annotated(hand: dict[str, object]) -> TrueHand:
    points = np.array(hand["uv"], dtype=float)
    if hand.get("seen") is not None:
        points[~np.array(hand["seen"], dtype=bool)] = np.nan
    side = hand.get("side")
    return TrueHand(np.nanmin(points, axis=0), np.nanmax(points, axis=0), side and str(side), points)


def matched(hands: Sequence[TrueHand], finds: Sequence[FoundHand]) -> dict[int, int]:
    """The find of each hand that has one: nearest pairs first."""
    pairs = sorted((h.distance(f), i, k) for i, h in enumerate(hands) for k, f in enumerate(finds))
    of: dict[int, int] = {}
    for distance, i, k in pairs:
        if distance < 1 and i not in of and k not in of.values():
            of[i] = k
    return of


def judged(photo: Photo, hands: Sequence[TrueHand], boxes: bool) -> tuple[Tally, list[FoundHand], dict[int, int]]:
    """Finds of a photo, or in the boxes of its hands, and what they are worth."""
    began = time.perf_counter()
    if boxes:
        looked = (hand_landmarker().find_in(photo, (*map(float, hand.low), *map(float, hand.high))) for hand in hands)
        finds = [find for find in looked if find is not None]
    else:
        finds = hand_landmarker().find(photo)
    seconds = time.perf_counter() - began
    of = matched(hands, finds)
    tally = Tally(1, len(hands), len(of), len(finds) - len(of), seconds=[seconds])
    for i, k in of.items():
        if hands[i].side:
            tally.sides.append(finds[k].side == hands[i].side)
        if hands[i].points is not None:
            tally.errors.append(hands[i].error(finds[k]))
    return tally, finds, of


def picture(photo: Photo, hands: Sequence[TrueHand], finds: Sequence[FoundHand], of: dict[int, int]) -> Image.Image:
    """A photo with its hands (yellow) and finds (green: right, blue: left; false ones red)."""
    scale = HEIGHT / photo.size[1]
    image = Image.fromarray(photo.pixels).resize((max(1, round(scale * photo.size[0])), HEIGHT))
    draw = ImageDraw.Draw(image)
    for hand in hands:
        draw.rectangle([*(scale * hand.low), *(scale * hand.high)], outline=(255, 230, 0))
    for k, find in enumerate(finds):
        points = scale * find.points
        colour = COLOURS[find.side] if k in of.values() else (255, 0, 0)
        for finger in FINGERS:
            draw.line([tuple(points[j]) for j in finger], fill=colour, width=2)
        draw.text(
            (points[:, 0].min(), max(points[:, 1].min() - 12, 0)), f"{find.side[0]} {find.presence:.2f}", fill=colour
        )
    return image


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one height, row by row."""
    places, x, y = [], 0, 0
    for one in pictures:
        if x and x + one.width > WIDTH:
            x, y = 0, y + HEIGHT + 4
        places.append((x, y))
        x += one.width + 4
    whole = Image.new(
        "RGB", (max(x + p.width for (x, _), p in zip(places, pictures, strict=True)), y + HEIGHT), "white"
    )
    for place, one in zip(places, pictures, strict=True):
        whole.paste(one, place)
    return whole


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--boxes", action="store_true", help="show the landmarker where the hands are")
    parser.add_argument("--pictures", type=Path, help="a sheet of all photos and finds")
    parser.add_argument("--only", default="", help="photos with this in their names")
    options = parser.parse_args()
    known = truths(options.folder)
    sources: dict[str, Tally] = {}
    pictures = []
    hand_landmarker()
    for file in sorted(options.folder.iterdir()):
        if file.suffix.lower() not in picture_endings() or options.only not in file.name:
            continue
        photo, hands = read_photo(file), known.get(file.name, [])
        tally, finds, of = judged(photo, hands, options.boxes)
        how = "" if any(hand.points is not None for hand in hands) else " (by eye)"
        sources.setdefault(file.name.split("_")[0] + how if hands else "no hand", Tally()).add(tally)
        print(f"{file.name:40s} {tally.found} of {tally.true} found, {tally.false} false")
        if options.pictures:
            pictures.append(picture(photo, hands, finds, of))
    print("\n" + HEADER)
    whole = Tally()
    for name, tally in sorted(sources.items()):
        print(tally.row(name))
        whole.add(tally)
    print(whole.row("all"))
    print(f"false hands in 20 photos: {20 * whole.false / whole.photos:.1f}")
    if options.pictures:
        sheet(pictures).save(options.pictures)


if __name__ == "__main__":
    main()
