"""How far hands of photos are from their annotation before and after refinement: figures of docs/refine.md.

usage: python benchmarks/photo_refine.py photos FOLDER
       python benchmarks/photo_refine.py covered FOLDER --objects DIR [--num 200] [--seed 0] [--known]

FOLDER holds photos and `truth.json`: under "truth", for each photo its hands, each with `uv` (21 x 2 pixels in OpenPose
order) and `seen` (21; joints that are not annotated are at 0, 0). `photos` refines them as `hoprior run refine` does.
`covered` makes a larger test with real errors: over fingers of the hands of these photos it pastes objects (meshes of
DIR, turned at random, coloured with a piece of another photo or one colour, soft at their edges), the landmarker looks
again where the hand was, and everything is compared with the annotation, or without one with the landmarks of the
photo without the object; with `--known` refinement is told where the object is. Errors are in % of the longer side of
the hand's box; means over joints, and 95 % intervals of their changes over the photos' hands.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy.ndimage import binary_erosion

from hoprior.errors import HopriorError
from hoprior.geometry.camera import project
from hoprior.geometry.mesh import load_mesh
from hoprior.hand import reorder_joints
from hoprior.rendering.rasterizer import render_scene
from hoprior.results.refinements import RefinedHand
from hoprior.tasks.refine import RefineConfig, refine
from hoprior.vision.estimates import HandEstimate
from hoprior.vision.estimates.photos import find_hands, seen_in_photo
from hoprior.vision.images import Photo, read_photo
from hoprior.vision.landmarker import hand_landmarker
from hoprior.vision.sightings import FoundHand

SAME_HAND = 0.5
"""Mean distance of landmarks from an annotation, in longer sides of its box, up to which they are of one hand."""
SMALLEST = 60.0
"""Longer side, pixels, of a hand that objects are pasted over."""
SURE = 0.9
"""Presence of such a hand."""
COVER = (0.3, 0.8)
"""Longer side of what is pasted, in longer sides of the hand's box."""
HIDDEN = (2, 14)
"""How many joints it hides."""
MOST_TRIES = 40
FINGER_JOINTS = (2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 16, 17, 18, 19, 20)
MAGENTA = (1.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A hand of a photo, and where its joints truly are: pixels, NaN where nobody knows; hoprior's order.

    `covered` are the joints behind something that was pasted, `mask` where that is.
    """

    photo: Photo
    found: FoundHand
    name: str
    truth: Float[np.ndarray, "21 2"]
    seen: Bool[np.ndarray, " 21"] | None = None
    covered: Bool[np.ndarray, " 21"] | None = None
    mask: Bool[np.ndarray, "h w"] | None = None

    @property
    def side(self) -> float:
        """The longer side of the true hand's box, pixels."""
        return float((np.nanmax(self.truth, axis=0) - np.nanmin(self.truth, axis=0)).max())


def ours(points: np.ndarray, order: str) -> np.ndarray:
    """Joints in hoprior's order."""
    return reorder_joints(torch.from_numpy(np.asarray(points, dtype=float)), order).numpy()


def annotated(folder: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """The annotated hands of each photo: where their joints are, and which are seen."""
    content = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["truth"]
    hands = {}
    for name, listed in content.items():
        hands[name] = []
        for hand in listed:
            seen = np.asarray(hand["seen"], dtype=bool)
            uv = np.asarray(hand["uv"], dtype=float)
            uv[~seen & (uv == 0).all(axis=1)] = np.nan
            hands[name].append((ours(uv, "openpose"), ours(seen[:, None], "openpose")[:, 0] > 0))
    return hands


def cases_of(folder: Path, only_annotated: bool) -> list[Case]:
    """The found hands of the photos of a folder, with their annotation where they have one."""
    cases = []
    for name, hands in annotated(folder).items():
        if only_annotated and not hands:
            continue
        photo = read_photo(folder / name)
        try:
            found = list(find_hands(photo))
        except HopriorError as error:
            print(error)
            continue
        taken = set()
        for uv, seen in hands:
            side = float(np.nanmax(np.ptp(uv[~np.isnan(uv[:, 0])], axis=0)))
            misses = [np.nanmean(np.linalg.norm(ours(one.points, "mediapipe") - uv, axis=1)) / side for one in found]
            best = int(np.argmin(misses))
            if misses[best] < SAME_HAND and best not in taken:
                taken.add(best)
                cases.append(Case(photo, found[best], f"{name}_{best}", uv, seen))
            else:
                print(f"{name}: an annotated hand is not found")
        if not only_annotated:
            rest = [(k, one) for k, one in enumerate(found) if k not in taken and not hands]
            cases += [Case(photo, one, f"{name}_{k}", ours(one.points, "mediapipe")) for k, one in rest]
    return cases


def covered_cases(whole: Sequence[Case], objects: Sequence[Path], num: int, seed: int) -> list[Case]:
    """Hands with something pasted over some of their fingers."""
    rng = np.random.default_rng(seed)
    usable = [one for one in whole if one.side >= SMALLEST and one.found.presence >= SURE]
    meshes = [load_mesh(path).solid for path in objects]
    made: list[Case] = []
    while len(made) < num:
        one = usable[len(made) % len(usable)]
        other = usable[rng.integers(len(usable))].photo.pixels
        for _ in range(MOST_TRIES):
            mesh = meshes[rng.integers(len(meshes))]
            colour, alpha = pasted(mesh, other, int(one.side * rng.uniform(*COVER)), rng)
            middle = one.truth[rng.choice(FINGER_JOINTS)] + rng.normal(0, 0.08 * one.side, 2)
            case = _pasted_over(one, colour, alpha, middle, f"{one.name}_{len(made)}")
            if case is not None:
                made.append(case)
                break
        else:
            usable.remove(one)
    return made


def _pasted_over(one: Case, colour: np.ndarray, alpha: np.ndarray, middle: np.ndarray, name: str) -> Case | None:
    if not np.isfinite(middle).all():
        return None
    height, width = one.photo.pixels.shape[:2]
    left, top = (middle - [alpha.shape[1] / 2, alpha.shape[0] / 2]).round().astype(int)
    rows, columns = slice(max(top, 0), min(top + alpha.shape[0], height)), slice(max(left, 0), left + alpha.shape[1])
    share = np.zeros((height, width, 1), dtype=np.float32)
    inside = alpha[rows.start - top : rows.stop - top, columns.start - left :][:, : max(width - columns.start, 0)]
    if not inside.size:
        return None
    columns = slice(columns.start, columns.start + inside.shape[1])
    share[rows, columns, 0] = inside
    over = np.zeros((height, width, 3), dtype=np.float32)
    over[rows, columns] = colour[rows.start - top :, columns.start - left :][: inside.shape[0], : inside.shape[1]]
    pixels = (one.photo.pixels * (1 - share) + over * share).round().astype(np.uint8)
    mask = share[..., 0] > 0.5
    x, y = np.nan_to_num(one.truth, nan=-1).round().astype(int).T
    in_photo = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    covered = in_photo & mask[y.clip(0, height - 1), x.clip(0, width - 1)]
    if not HIDDEN[0] <= covered.sum() <= HIDDEN[1]:
        return None
    photo = Photo(pixels, one.photo.focal, one.photo.path)
    found = hand_landmarker().follow(photo, one.found)
    return None if found is None else Case(photo, found, name, one.truth, one.seen, covered, mask)


def pasted(
    mesh: object, other: UInt8[np.ndarray, "h w 3"], side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a mesh and how opaque it is: half of them in one colour, half with a piece of a photo on them."""
    view, up = rng.normal(size=3), rng.normal(size=3)
    colour = rng.uniform(0.1, 0.9, 3)
    parts = [(mesh.vertices, mesh.faces, colour)]  # type: ignore[attr-defined]
    look = {"size": (2 * side, 2 * side), "view_direction": view, "up": up, "supersample": 1}
    shaded = render_scene(parts, background=MAGENTA, **look).astype(np.float32)
    whole = np.abs(shaded - 255 * np.array(MAGENTA)).max(axis=2) > 8
    # Pixels at the edge have some of the background's colour.
    alpha = binary_erosion(whole, iterations=2).astype(np.float32)
    if rng.uniform() < 0.5:
        share = rng.uniform(0.2, 0.6)
        size = max(int(min(other.shape[:2]) * share), 8)
        y, x = (rng.integers(0, n - size + 1) for n in other.shape[:2])
        texture = np.asarray(Image.fromarray(other[y : y + size, x : x + size]).resize((2 * side, 2 * side)))
        light = shaded.mean(axis=2, keepdims=True) / max(shaded[alpha > 0].mean(), 1.0)
        shaded = np.clip(texture * light, 0, 255)
    if not alpha.any():
        return shaded, alpha
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    shaded, alpha = shaded[box], alpha[box]
    factor = side / max(alpha.shape)
    size = max(int(alpha.shape[1] * factor), 4), max(int(alpha.shape[0] * factor), 4)
    small = Image.fromarray(shaded.astype(np.uint8)).resize(size)
    soft = Image.fromarray((255 * alpha).astype(np.uint8)).resize(size).filter(ImageFilter.GaussianBlur(0.7))
    return np.asarray(small, dtype=np.float32), np.asarray(soft, dtype=np.float32) / 255


def projected(hand: RefinedHand, joints: np.ndarray) -> np.ndarray:
    """Pixels of a hand's joints."""
    return project(torch.from_numpy(joints)[None].float(), torch.from_numpy(hand.K)[None].float())[0].numpy()


def measured(
    cases: Sequence[Case], config: RefineConfig, known: bool
) -> tuple[dict[str, np.ndarray], list[RefinedHand], float]:
    """For each stage the errors of all joints of all cases, %; and the refined hands, and seconds for all."""
    began = time.perf_counter()
    estimates: list[HandEstimate] = [
        seen_in_photo(one.photo, one.found, one.name, objects=one.mask if known else None) for one in cases
    ]
    hands = list(refine(estimates, config=config))
    seconds = time.perf_counter() - began
    stages = {
        "landmarker": [ours(one.found.points, "mediapipe") for one in cases],
        "keypoints": [hand.keypoints for hand in hands],
        "first fit": [projected(hand, hand.first_joints) for hand in hands],
        "refined": [projected(hand, hand.joints) for hand in hands],
    }
    errors = {
        name: np.stack([100 * np.linalg.norm(p - c.truth, axis=1) / c.side for p, c in zip(points, cases, strict=True)])
        for name, points in stages.items()
    }
    return errors, hands, seconds


def interval(first: np.ndarray, error: np.ndarray, counted: np.ndarray, hands: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the change of a mean error, %, by drawing the photos' hands anew (bootstrap)."""
    names, owner = np.unique(hands, return_inverse=True)
    before, after = (
        np.bincount(owner, np.where(counted, each, 0.0).sum(axis=1), len(names)) for each in (first, error)
    )
    drawn = np.random.default_rng(0).integers(0, len(names), (4000, len(names)))
    low, high = np.quantile(after[drawn].sum(axis=1) / np.maximum(before[drawn].sum(axis=1), 1e-9), (0.025, 0.975))
    return 100 * (float(low) - 1), 100 * (float(high) - 1)


def show(errors: dict[str, np.ndarray], kinds: dict[str, np.ndarray], hands: np.ndarray) -> None:
    """Prints a row for each stage: the mean over each kind of joints, and its change from the landmarker with the
    interval over the photos' `hands`."""
    first = errors["landmarker"]
    known = np.isfinite(first)
    print("".join(f"{name:>32}" for name in ("", *kinds)))
    print("".join(f"{name:>32}" for name in ("joints", *(str(int((kind & known).sum())) for kind in kinds.values()))))
    for stage, error in errors.items():
        row = []
        for kind in kinds.values():
            counted = kind & known
            mean = error[counted].mean()
            low, high = interval(first, error, counted, hands)
            change = f" ({100 * (mean / first[counted].mean() - 1):+.1f}, {low:+.1f} to {high:+.1f} %)"
            row.append(f"{mean:.2f}" + ("" if stage == "landmarker" else change))
        print("".join(f"{text:>32}" for text in (stage, *row)))


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("photos", "covered"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--objects", type=Path, help="folder of meshes")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--known", action="store_true", help="tell refinement where the objects are")
    options = parser.parse_args()
    cases = cases_of(options.folder, only_annotated=options.what == "photos")
    if options.what == "covered":
        if options.objects is None:
            parser.error("covered needs --objects, a folder of meshes")
        files = sorted(p for p in options.objects.iterdir() if p.suffix in (".ply", ".obj", ".stl", ".glb"))
        cases = covered_cases(cases, files, options.num, options.seed)
    errors, hands, seconds = measured(cases, RefineConfig(), options.known)
    hidden = np.stack([hand.occluded for hand in hands])
    kinds = {"all": np.ones_like(hidden), "taken for seen": ~hidden, "taken for hidden": hidden}
    if options.what == "photos":
        kinds["annotated as seen"] = np.stack([one.seen for one in cases if one.seen is not None])
    else:
        covered = np.stack([one.covered for one in cases if one.covered is not None])
        kinds |= {"covered": covered, "not covered": ~covered}
        print(
            f"of the covered joints {100 * hidden[covered].mean():.0f} % are taken for hidden, of the others"
            f" {100 * hidden[~covered].mean():.0f} %"
        )
    # Covered cases are named after the hand that something was pasted over, and a number.
    owners = [one.name if options.what == "photos" else one.name.rsplit("_", 1)[0] for one in cases]
    show(errors, kinds, np.array(owners))
    print(f"{len(cases)} hands, {seconds / len(cases):.2f} s a hand")


if __name__ == "__main__":
    main()
