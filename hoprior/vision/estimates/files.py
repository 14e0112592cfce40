"""Estimates from files: parameters of HaMeR and WiLoR, keypoints as FreiHAND has them, whole folders; docs/refine.md.

A damaged item costs that item: it comes back as `Skipped`, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hoprior.common.reading import interpreting
from hoprior.errors import HopriorError
from hoprior.vision.boxes import Box, read_boxes
from hoprior.vision.estimates.contents import hands_in
from hoprior.vision.estimates.estimate import HandEstimate, Skipped
from hoprior.vision.estimates.kept import KeptHands
from hoprior.vision.estimates.one_hand import Beside, estimate_of_entries
from hoprior.vision.estimates.photos import hands_of_photo
from hoprior.vision.images import is_picture, picture_endings, read_photo

ESTIMATE_SUFFIXES = (".npz", ".json")
PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".joblib")
MESHES = (".obj", ".ply", ".glb", ".stl")
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
SHOWN = 3
"""Names of files that are passed over."""
Boxes: TypeAlias = Sequence[Box] | Mapping[str, Sequence[Box]]
"""Of the hands of one photo, or of many, by their names."""


class Reading(NamedTuple):
    """How files are read; see `read_estimates`."""

    hand: str = "open"
    side: str = "auto"
    image: Path | None = None
    mask: Path | None = None
    focal: float | None = None
    boxes: Boxes = ()
    kept: KeptHands | None = None
    object_mask: Path | None = None


def read_estimates(
    path: str | Path,
    *,
    hand: str = "open",
    side: str = "auto",
    image: str | Path | None = None,
    mask: str | Path | None = None,
    focal: float | None = None,
    hand_box: str | Boxes = (),
    keep: str | Path | None = None,
    object_mask: str | Path | None = None,
) -> tuple[list[HandEstimate], list[Skipped]]:
    """The hands of a file or of all files in a folder, and what could not be used.

    Args:
        path: a photo; an .npz of an estimator's parameters or of keypoints; a .json of keypoints; or a folder of such.
        hand: the hand model to pose, "open" or "mano".
        side: overrules what the files say.
        image: the photo of an .npz or .json file that names none; with a folder, a folder of photos with its names.
        mask: the same for masks.
        focal: of photos, pixels.
        hand_box: where the hands of a photo are (left, top, right, bottom; pixels): boxes, or boxes by the photos'
            names, or what `hoprior.vision.boxes.read_boxes` reads. Photos without a name there are searched.
        keep: a folder where the hands of each photo of a folder are kept as they are found; a later call with the same
            goes on from there.
        object_mask: the same as `mask`, for masks of what may be in front of hands.

    Raises:
        HopriorError: there is nothing at `path`, or nothing of it can be used; boxes for a folder, without names.
    """
    path = Path(path)
    if side not in ("auto", "right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use auto, right or left")
    if focal is not None and not 0 < focal < np.inf:
        raise HopriorError(f"--focal {focal:g}: give the focal length in pixels, more than 0")
    boxes = read_boxes(hand_box) if isinstance(hand_box, str) else hand_box
    if path.is_dir() and boxes and not isinstance(boxes, Mapping):
        raise HopriorError(
            f"{path}: one box does not fit a folder of photos: give a .json file of boxes by their names"
        )
    kept = KeptHands(keep) if keep is not None and path.is_dir() else None
    places = Reading(hand, side, Path(image) if image else None, Path(mask) if mask else None, focal, boxes or (), kept)
    places = places._replace(object_mask=Path(object_mask) if object_mask else None)
    if not path.exists():
        raise HopriorError(f"{path}: there is no such file or folder")
    files, others = _files_of(path) if path.is_dir() else ([path], [])
    estimates: list[HandEstimate] = []
    skipped: list[Skipped] = []
    for file in files:
        try:
            own = _of_file(places, file) if path.is_dir() else places
            for item in _read_file(file, own):
                if isinstance(item, Skipped):
                    skipped.append(item)
                elif places.mask is not None and own.mask is None:
                    note = f"{file.name}: {places.mask} has no mask named {file.stem}"
                    estimates.append(replace(item, notes=(*item.notes, note)))
                else:
                    estimates.append(item)
        except HopriorError as error:
            skipped.append(Skipped(file.name, str(error)))
    if others:
        skipped.append(Skipped(path.name, passed_over(others, "a photo, an .npz or a .json file")))
    if not estimates:
        reasons = "; ".join(dict.fromkeys(item.reason for item in skipped))
        raise HopriorError(reasons or f"{path}: no photos, .npz or .json files in it")
    return _with_unique_names(estimates), skipped


def _files_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """What is read of a folder, and what is not."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and not _is_camera(p))
    read = [p for p in files if p.suffix.lower() in ESTIMATE_SUFFIXES or is_picture(p)]
    return read, [p for p in files if p not in set(read)]


def _is_camera(file: Path) -> bool:
    # FreiHAND's cameras lie beside its joints, and are read with them.
    return file.suffix.lower() in ESTIMATE_SUFFIXES and file.stem.endswith("_K")


def passed_over(files: Sequence[Path], wanted: str) -> str:
    """That files of a folder are not read, and why.

    Example:
        >>> passed_over([Path("a.txt"), Path("b.mov")], "a photo")
        '2 files passed over, none of them a photo: a.txt, b.mov'
    """
    named = ", ".join(file.name for file in files[:SHOWN]) + (", ..." if len(files) > SHOWN else "")
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    return f"{count} passed over, {'not' if len(files) == 1 else 'none of them'} {wanted}: {named}"


def _of_file(places: Reading, file: Path) -> Reading:
    """The photo and the masks of one of many files: those with its name."""
    return places._replace(
        image=_namesake(places.image, file),
        mask=_namesake(places.mask, file),
        object_mask=_namesake(places.object_mask, file),
    )


def _namesake(place: Path | None, file: Path) -> Path | None:
    """The picture in a folder that is called as a file; a picture that is no folder stands for all."""
    if place is None or not place.is_dir():
        return place
    same = sorted(p for p in place.glob(f"{file.stem}.*") if p.suffix.lower() in picture_endings())
    return same[0] if same else None


def _read_file(file: Path, places: Reading) -> Iterator[HandEstimate | Skipped]:
    if file.suffix.lower() not in ESTIMATE_SUFFIXES and is_picture(file):
        boxes = places.boxes
        if isinstance(boxes, Mapping):
            boxes = boxes.get(file.name, boxes.get(file.stem, ()))
        yield from hands_of_photo(
            file, places.hand, places.side, places.mask, places.focal, boxes, places.kept, places.object_mask
        )
        return
    if file.suffix.lower() not in ESTIMATE_SUFFIXES:
        raise HopriorError(f"{file}: not a photo, an .npz or a .json file{_instead(file)}")
    items = hands_in(file)
    for k, item in enumerate(items):
        name = f"{file.stem}_{k}" if len(items) > 1 else file.stem
        try:
            with interpreting(file, "see docs/refine.md", "one of its entries is not what it should be"):
                estimate = _estimate(item, name, file, places)
            yield estimate
        except HopriorError as error:
            yield Skipped(name, str(error))


def _instead(file: Path) -> str:
    """What to do with a file of another kind that people have hands in."""
    ending = file.suffix.lower()
    if ending in PICKLED:
        return ": pickles are not read: save plain arrays with numpy.savez, as docs/refine.md shows"
    if ending in MESHES:
        return ": a mesh does not say where its joints are: save the estimator's joints, as docs/refine.md shows"
    if ending in VIDEOS:
        return ": videos are for hoprior run refine --video and run reconstruct --video"
    return ""


def _estimate(item: dict[str, Any], name: str, file: Path, places: Reading) -> HandEstimate:
    """One hand of a file, with the photo and the mask that it names, or that are called as it is.

    Raises:
        HopriorError: it cannot be used; the sentence says why.
    """
    photo_path = _beside(item.get("image"), file) or places.image
    photo = read_photo(photo_path) if photo_path is not None and _is_file(photo_path) else None
    mask = _beside(item.get("mask"), file) or places.mask
    return estimate_of_entries(item, name, file, Beside(photo, mask, places.object_mask, places.hand, places.side))


def _beside(path: Any, file: Path) -> Path | None:
    """A file that another one names, relative to it."""
    if path is None:
        return None
    named = Path(str(np.asarray(path)))
    return named if named.is_absolute() else file.parent / named


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # what an entry says may be too long for a name, or none
        return False


def _with_unique_names(estimates: list[HandEstimate]) -> list[HandEstimate]:
    seen: dict[str, int] = {}
    named = []
    for item in estimates:
        count = seen.get(item.name, 0)
        seen[item.name] = count + 1
        named.append(replace(item, name=f"{item.name}_{count}") if count else item)
    return named
