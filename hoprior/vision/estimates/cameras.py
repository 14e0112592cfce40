"""Cameras of estimators' files: what they say, and what their joints and pixels say where they are silent."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics
from hoprior.geometry.units import number_text
from hoprior.vision.estimates.contents import numbers_of, shaped

CROP_FOCAL, CROP_SIDE = 5000.0, 256.0
"""Focal length and side (pixels) of the crop that HaMeR and those that follow it see a hand in."""
AGREE = 0.02
"""Misses, in shares of the hand's side in the picture, up to which a camera explains joints and their pixels."""
SAME_FOCAL = 0.05
"""Relative difference of focal lengths that are the same."""


MOST_SIDE = 100_000
"""Pixels of a picture's side."""


class Camera(NamedTuple):
    """Intrinsics, the picture's size, and what was guessed."""

    K: Float[Tensor, "3 3"]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


class Solved(NamedTuple):
    """A camera with square pixels that explains joints and their pixels, and by how much it misses."""

    focal: float
    centre: tuple[float, float]
    miss: float


def solve_camera(
    joints: Float[Tensor, "n 3"],
    pixels: Float[Tensor, "n 2"],
    focal: float | None = None,
    centre: tuple[float, float] | None = None,
) -> Solved:
    """The focal length and principal point, as far as they are not known, by least squares.

    Args:
        joints: metres, before the camera.

    Example:
        >>> joints = torch.tensor([[0.0, 0.0, 0.5], [0.1, 0.0, 0.5], [0.0, 0.1, 0.6]])
        >>> pixels = 400 * joints[:, :2] / joints[:, 2:] + torch.tensor([320.0, 240.0])
        >>> solved = solve_camera(joints, pixels)
        >>> round(solved.focal), [round(x) for x in solved.centre], solved.miss < 1e-4
        (400, [320, 240], True)
    """
    rays = (joints[:, :2] / joints[:, 2:]).double()
    seen = pixels.double()
    if centre is None:
        about = rays.mean(dim=0), seen.mean(dim=0)
    else:
        about = torch.zeros(2, dtype=torch.double), seen.new_tensor(centre)
    away = rays - about[0]
    if focal is None:
        focal = float((away * (seen - about[1])).sum() / (away * away).sum().clamp(min=1e-12))
    at = about[1] - focal * about[0]
    missed = (focal * rays + at - seen).norm(dim=-1).mean()
    side = (seen.amax(dim=0) - seen.amin(dim=0)).max().clamp(min=1.0)
    return Solved(focal, (float(at[0]), float(at[1])), float(missed / side))


def sized(width: float, height: float, file: Path) -> tuple[int, int]:
    """A picture's size in whole pixels.

    Raises:
        HopriorError: no picture has such a size.
    """
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise HopriorError(
            f"{file}: a picture of {number_text(width, 6)} x {number_text(height, 6)} pixels cannot be: "
            "img_size and K are in pixels"
        )
    return round(width), round(height)


def camera_of(
    item: dict[str, Any],
    size: tuple[int, int] | None,
    photo_focal: float | None,
    placed: Float[Tensor, "n 21 3"],
    pixels: Float[Tensor, "21 2"] | None,
    file: Path,
) -> Camera:
    """The camera that a hand of a file is seen by.

    Args:
        size: width and height of the picture, if anything says them.
        photo_focal: of the photo, pixels.
        placed: the joints before the camera, in each of the ways in which they may be listed; none if they are
            relative to a point.
        pixels: where they are seen.

    Raises:
        HopriorError: nothing says what the camera is, or it cannot be one.
    """
    if "K" in item:
        K = torch.from_numpy(shaped(item["K"], (3, 3), "K", file))
        if not bool(K.isfinite().all() and (K[[0, 1], [0, 1]] > 0).all()):
            raise HopriorError(f"{file}: K has no positive focal lengths: give 3x3 intrinsics in pixels")
        return Camera(K, size or sized(2 * float(K[0, 2]), 2 * float(K[1, 2]), file))
    focal = None
    if "focal" in item:
        focal = float(numbers_of(item["focal"], "focal_length", file).reshape(-1)[0])
        if not 0 < focal < np.inf:
            raise HopriorError(f"{file}: focal_length is {number_text(focal, 6)}: give pixels, more than 0")
    centre = None if size is None else (size[0] / 2, size[1] / 2)
    solved = _best(placed, pixels, focal, centre)
    if size is None:
        if solved is None:
            raise HopriorError(f"{file}: says neither K nor img_size, and has no photo: give one of them")
        width, height = sized(2 * solved.centre[0], 2 * solved.centre[1], file)
        note = f"the picture is taken to have {width} x {height} pixels, as joints and pixels tell"
        return Camera(_pinhole(solved), (width, height), (note,))
    if solved is not None:
        return Camera(intrinsics(size, focal or solved.focal), size)
    if "cam_t" not in item:
        return Camera(intrinsics(size, focal or photo_focal), size)
    # An estimator's hand is as far away as the focal length that it assumes is long.
    full = CROP_FOCAL / CROP_SIDE * max(size)
    free = _best(placed, pixels, None, centre)
    if free is not None:
        if focal is not None and abs(free.focal / focal - 1) > SAME_FOCAL:
            note = f"the focal length is {free.focal:.0f} pixels by joints and pixels, not {focal:.0f}: taken so"
            return Camera(intrinsics(size, free.focal), size, (note,))
        return Camera(intrinsics(size, free.focal), size)
    if focal is None or (focal == CROP_FOCAL and full > (1 + SAME_FOCAL) * focal):
        said = "no focal_length is given" if focal is None else f"a focal_length of {focal:.0f} is that of a crop"
        note = f"{said}: taken as {full:.0f} pixels, as HaMeR and WiLoR have it for the whole picture"
        return Camera(intrinsics(size, full), size, (note,))
    return Camera(intrinsics(size, focal), size)


def _best(
    placed: Float[Tensor, "n 21 3"],
    pixels: Float[Tensor, "21 2"] | None,
    focal: float | None,
    centre: tuple[float, float] | None,
) -> Solved | None:
    """The camera that explains joints and pixels, in whichever way the joints are listed; None if none does."""
    if pixels is None:
        return None
    found = []
    for joints in placed:
        known = joints.isfinite().all(dim=-1) & pixels.isfinite().all(dim=-1)
        if int(known.sum()) >= 3 and bool((joints[known][:, 2] > 0).all()):
            found.append(solve_camera(joints[known], pixels[known], focal, centre))
    best = min(found, key=lambda one: one.miss, default=None)
    return best if best is not None and best.miss <= AGREE and best.focal > 0 and min(best.centre) >= 1 else None


def _pinhole(solved: Solved) -> Float[Tensor, "3 3"]:
    f, (x, y) = solved.focal, solved.centre
    return torch.tensor([[f, 0.0, x], [0.0, f, y], [0.0, 0.0, 1.0]])
