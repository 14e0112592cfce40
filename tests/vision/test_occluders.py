"""Objects in front of a hand: which are noticed, and that landmarks are looked for behind them."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from hoprior.vision.estimates import hands_of_photo
from hoprior.vision.images import Photo, read_photo
from hoprior.vision.landmarker import hand_landmarker
from hoprior.vision.occluders import (
    FINGERS,
    OTHER_COLOUR,
    Sight,
    distance_to,
    in_front,
    in_square,
    look_past,
    unlike_hand,
)
from hoprior.vision.sightings import FoundHand

SKIN, WALL, BOX = (205, 160, 135), (90, 120, 90), (40, 60, 170)


def drawn_hand() -> tuple[UInt8[np.ndarray, "n n 3"], Float[np.ndarray, "21 2"]]:
    """A flat hand of thick lines before a wall, and its landmarks."""
    points = np.zeros((21, 2))
    points[0] = (150, 250)
    for finger in range(5):
        along = np.array([-0.6 + 0.3 * finger, -1.0])
        points[1 + 4 * finger : 5 + 4 * finger] = points[0] + np.outer([90, 130, 160, 185], along)
    pixels = np.empty((300, 300, 3), dtype=np.uint8)
    pixels[:] = WALL
    noise = np.random.default_rng(0).integers(-6, 7, (300, 300, 3))
    pixels[distance_to(FINGERS, points, 300) < 9] = SKIN
    return (pixels + noise).clip(0, 255).astype(np.uint8), points


def fronts(pixels: UInt8[np.ndarray, "n n 3"], points: Float[np.ndarray, "21 2"]) -> Bool[np.ndarray, "n n"]:
    photo = Photo(pixels)
    sight = Sight.of(photo, points)
    away = distance_to(FINGERS, sight.points, len(sight.pixels))
    return sight.mask_in_photo(in_front(sight, away, unlike_hand(sight, away) > OTHER_COLOUR), photo.size)


def test_what_bones_run_over_in_another_colour_is_in_front_and_the_wall_is_not() -> None:
    pixels, points = drawn_hand()
    assert not fronts(pixels, points).any()
    box = np.zeros((300, 300), dtype=bool)
    box[90:150, 120:210] = True
    pixels[box] = BOX
    found = fronts(pixels, points)
    assert (found & box).sum() > 0.75 * box.sum() and (found & ~box).sum() < 0.1 * box.sum()


def test_a_hand_at_the_edge_of_its_photo_is_not_behind_what_is_beyond_it() -> None:
    pixels, points = drawn_hand()
    assert not fronts(pixels[:, :220], points).any()


def test_masks_of_photos_and_of_squares_are_the_same_places() -> None:
    pixels, points = drawn_hand()
    sight = Sight.of(Photo(pixels), points)
    mask = distance_to(FINGERS, points, 300) < 12
    again = sight.mask_in_photo(in_square(mask, sight), (300, 300))
    assert (again ^ mask).sum() < 0.05 * mask.sum()
    assert np.allclose(sight.to_photo(sight.points), points)


def pasted_over(photo: Photo, hand: FoundHand, landmark: int) -> tuple[Photo, Bool[np.ndarray, "h w"]]:
    """A photo with a blue disc over a landmark."""
    y, x = np.mgrid[: photo.size[1], : photo.size[0]]
    low, high = hand.box
    disc = np.hypot(x - hand.points[landmark, 0], y - hand.points[landmark, 1]) < 0.17 * (high - low).max()
    pixels = photo.pixels.copy()
    pixels[disc] = BOX
    return Photo(pixels), disc


def test_landmarks_behind_a_disc_are_nearer_to_where_they_are_without_it(shared_data: Path) -> None:
    photo = read_photo(shared_data / "images" / "hamer_test1.jpg")
    before, after, noticed = [], [], []
    for hand in hand_landmarker().find(photo):
        assert look_past(photo, hand) == (hand, None), "nothing is in front of it"
        for landmark in (7, 15):
            covered, disc = pasted_over(photo, hand, landmark)
            misled = hand_landmarker().follow(covered, hand)
            if misled is None:
                continue
            past, front = look_past(covered, misled)
            x, y = hand.points.round().astype(int).T
            hidden = disc[y, x]
            before.append(np.linalg.norm(misled.points - hand.points, axis=1)[hidden].mean())
            after.append(np.linalg.norm(past.points - hand.points, axis=1)[hidden].mean())
            noticed.append(front is not None and (front & disc).sum() > 0.8 * disc.sum())
    assert np.mean(noticed) >= 0.5
    assert np.mean(after) < 0.9 * np.mean(before)


def test_nothing_is_in_front_where_a_mask_shows_the_hand() -> None:
    pixels, points = drawn_hand()
    pixels[90:150, 120:210] = BOX
    hand = FoundHand(points, np.zeros((21, 3)), "right", 1.0, 1.0)
    _, front = look_past(Photo(pixels), hand)
    assert front is not None and front[100:140, 130:200].mean() > 0.9
    assert look_past(Photo(pixels), hand, mask=np.ones((300, 300), dtype=bool)) == (hand, None)


def test_a_given_object_hides_what_is_behind_it(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "images" / "CC_000000057750.jpg"
    photo = read_photo(file)
    first = hands_of_photo(file)[0]
    x, y = first.keypoints[17].round().int().tolist()
    mask = np.zeros(photo.size[::-1], dtype=np.uint8)
    mask[y - 9 : y + 9, x - 9 : x + 9] = 255
    Image.fromarray(mask).save(tmp_path / "object.png")
    told = hands_of_photo(file, objects=tmp_path / "object.png")[0]
    assert told.objects is not None and told.objects_complete and told.objects[y, x]
    assert not first.objects_complete
