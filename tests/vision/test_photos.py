"""Photos and masks of any kind, and the hands that the embedded landmarker finds in them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.vision.estimates import hands_of_photo
from hoprior.vision.estimates.estimate import seen_at
from hoprior.vision.estimates.photos import SURE
from hoprior.vision.images import Photo, is_picture, read_mask, read_photo
from hoprior.vision.landmarker import DETECTOR_SIZE, hand_landmarker, least_certainty, palm_anchors
from hoprior.vision.regions import Pyramid, Region, grid, region_of_landmarks, small_tiles, tiles
from hoprior.vision.sightings import FoundHand


@pytest.fixture(scope="module")
def three_hands(shared_data: Path) -> tuple[Photo, list[FoundHand]]:
    """A photo and the hands that are found in it."""
    photo = read_photo(shared_data / "images" / "hamer_test1.jpg")
    return photo, hand_landmarker().find(photo)


GRADIENT = np.linspace(0, 255, 64 * 48).reshape(48, 64)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_reads_as_the_same_picture(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(GRADIENT.astype(np.uint8))
    if mode == "I;16":
        image, suffix = Image.fromarray((GRADIENT * 257).astype(np.uint16)), "png"
    else:
        image, suffix = grey.convert(mode), {"CMYK": "tif", "F": "tif"}.get(mode, "png")
    image.save(tmp_path / f"a.{suffix}")
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert photo.size == (64, 48) and photo.pixels.dtype == np.uint8
    assert np.abs(photo.pixels.astype(int) - GRADIENT.astype(int)[..., None]).max() <= 2


def test_a_photo_is_turned_upright_and_its_focal_length_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0xA405: 28}
    Image.fromarray(GRADIENT.astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.size == (48, 64)
    assert photo.focal == pytest.approx(28 / 43.27 * 80)


def test_files_that_are_no_photos_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(GRADIENT.astype(np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:100])
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    for name, said in (("none.jpg", "no such file"), ("text.jpg", "no picture"), ("cut.png", "damaged")):
        with pytest.raises(HopriorError, match=said):
            read_photo(tmp_path / name)
    with pytest.raises(HopriorError, match="too few"):
        read_photo(tmp_path / "tiny.png")


def test_a_mask_is_scaled_to_its_photo_or_refused(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:24] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", (128, 96)).sum() == 48 * 128
    with pytest.raises(HopriorError, match="of this very photo"):
        read_mask(tmp_path / "m.png", (96, 128))
    Image.fromarray(0 * mask).save(tmp_path / "empty.png")
    with pytest.raises(HopriorError, match="empty"):
        read_mask(tmp_path / "empty.png", (64, 48))


def test_a_region_cuts_what_lies_under_its_corners() -> None:
    pixels = np.zeros((200, 300, 3), dtype=np.uint8)
    pixels[100:, 150:] = 255
    region = Region(150.0, 100.0, 80.0, np.pi / 2)
    cut = region.cut(Pyramid(pixels), 40)
    corners = region.to_photo(np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]))
    seen = [cut[10, 10, 0], cut[10, 30, 0], cut[30, 10, 0], cut[30, 30, 0]]
    assert [bool(x > 150 and y > 100) for x, y in corners] == [value > 0.5 for value in seen]


@pytest.mark.parametrize("regions", [tiles((200, 60), 0), grid((200, 60), 0)], ids=["tiles", "grid"])
def test_regions_that_are_searched_cover_the_photo(regions: Iterator[Region]) -> None:
    covered = np.zeros((60, 200), dtype=int)
    for region in regions:
        low = np.maximum(np.round([region.y - region.side / 2, region.x - region.side / 2]).astype(int), 0)
        high = np.round([region.y + region.side / 2, region.x + region.side / 2]).astype(int)
        covered[low[0] : high[0], low[1] : high[1]] += 1
    assert covered.min() >= 3


@pytest.mark.parametrize("size", [(224, 224), (640, 480), (1200, 1799)])
def test_no_tile_is_enlarged_but_the_whole_of_a_small_photo(size: tuple[int, int]) -> None:
    assert all(tile.side >= min(DETECTOR_SIZE, max(size)) for tile in tiles(size, DETECTOR_SIZE))
    assert all(tile.side >= DETECTOR_SIZE / 2 for tile in small_tiles(size, DETECTOR_SIZE / 2))


def test_a_moved_region_shows_its_surroundings() -> None:
    region = Region(50.0, 60.0, 20.0, 0.3)
    centre = region.moved(right=0.5, down=-0.25).to_photo(np.array([[0.5, 0.5]]))
    assert np.allclose(centre, region.to_photo(np.array([[1.0, 0.25]])))
    assert region.moved(turn=0.2, scale=2.0) == Region(50.0, 60.0, 40.0, 0.5)


def test_anchors_are_as_many_as_the_detector_has_outputs() -> None:
    anchors = palm_anchors()
    assert anchors.shape == (2016, 2)
    assert anchors.min() > 0 and anchors.max() < 1


def test_the_region_of_landmarks_turns_with_them() -> None:
    points = np.random.default_rng(1).uniform(0, 100, (21, 2))
    turned = region_of_landmarks(points @ Region(0, 0, 1, 0.7).rotation.T)
    straight = region_of_landmarks(points)
    assert np.isclose(np.cos(turned.angle - straight.angle - 0.7), 1.0)
    assert np.isclose(turned.side, straight.side)


def test_a_grey_picture_has_no_hand(tmp_path: Path) -> None:
    Image.new("L", (320, 240), 128).save(tmp_path / "grey.png")
    with pytest.raises(HopriorError, match=r"grey\.png: no hand found"):
        hands_of_photo(tmp_path / "grey.png")


def test_hands_of_a_real_photo_with_their_sides(shared_data: Path) -> None:
    hands = hands_of_photo(shared_data / "images" / "hamer_test1.jpg")
    by_wrist = sorted(hands, key=lambda hand: float(hand.keypoints[0, 0]))
    assert [hand.side for hand in by_wrist] == ["left", "right", "right"]
    for hand in hands:
        reprojected = seen_at(load_hand("open", hand.side), hand.pose, hand.K)
        size = (hand.keypoints.amax(dim=0) - hand.keypoints.amin(dim=0)).max()
        assert (reprojected - hand.keypoints).norm(dim=1).mean() < 0.06 * size
        assert 0.2 < float(hand.pose.transl[0, 2]) < 3.0


def test_masks_show_hands_that_are_not_found_without(shared_data: Path) -> None:
    name = "EK_0010_P04_101_frame_0000013113"
    photo = shared_data / "images" / f"{name}.jpg"
    (hand,) = hands_of_photo(photo, mask=shared_data / "images" / "masks" / f"2_0_{name}.png")
    assert hand.side == "left"
    found = hand_landmarker().find(read_photo(photo))
    assert all(np.linalg.norm(one.points[0] - hand.keypoints[0].numpy()) > 50 for one in found)


def test_both_hands_at_an_object_are_found(shared_data: Path) -> None:
    """The left one shows a weak palm only; textures show such too, and no hands."""
    hands = hands_of_photo(shared_data / "images" / "CC_000000057750.jpg")
    assert sorted(hand.side for hand in hands) == ["left", "right"]


def test_noise_shows_no_hand(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((480, 360)).save(tmp_path / "noise.png")
    with pytest.raises(HopriorError, match="no hand found"):
        hands_of_photo(tmp_path / "noise.png")


@pytest.mark.parametrize("name", ["coffee", "chelsea", "gravel"])
def test_pictures_without_hands_have_none(name: str) -> None:
    """Before, threads, eyes and pebbles of enlarged tiles were taken for hands."""
    pixels = np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize((224, 224)))
    assert hand_landmarker().find(Photo(pixels.copy())) == []


def test_hands_of_people_far_away_are_found(shared_data: Path) -> None:
    near = Image.open(shared_data / "images" / "hamer_test1.jpg")
    far = Image.new("RGB", (640, 480), (120, 130, 140))
    scale, corner = 0.15, np.array([260, 190])
    far.paste(near.resize([round(scale * length) for length in near.size], Image.Resampling.LANCZOS), tuple(corner))
    hands = hand_landmarker().find(Photo(np.asarray(far).copy()))
    middles = [(hand.points.mean(axis=0) - corner) / scale for hand in hands]
    assert any(hand.length < 30 for hand in hands)
    assert all(0 < x < near.width and 0 < y < near.height for x, y in middles)


def test_the_hand_in_a_box_is_found_and_nothing_in_a_box_without_one(shared_data: Path) -> None:
    photo = read_photo(shared_data / "images" / "hamer_test2.jpg")
    hand = hand_landmarker().find_in(photo, (320, 235, 545, 450))
    assert hand is not None and hand.side == "left"
    low, high = hand.box
    assert 200 < low[0] < high[0] < 660 and hand.certainty > least_certainty(hand.length)
    assert hand_landmarker().find_in(Photo(np.full((300, 300, 3), 90, dtype=np.uint8)), (50, 50, 250, 250)) is None
    with pytest.raises(HopriorError, match="outside the photo"):
        hand_landmarker().find_in(photo, (700, 20, 800, 90))


def test_the_estimate_of_a_box_says_its_presence_and_that_it_is_unsure(shared_data: Path) -> None:
    photo = shared_data / "images" / "hamer_test2.jpg"
    sure, unsure = hands_of_photo(photo, boxes=[(320, 235, 545, 450), (400, 0, 600, 110)])
    for hand in (sure, unsure):
        assert hand.presence is not None and hand.certainty is not None and 0 <= hand.certainty <= hand.presence <= 1
        assert any("unsure" in note for note in hand.notes) is (hand.certainty < SURE)
    assert sure.certainty > SURE > unsure.certainty


def test_a_hand_is_followed_into_the_next_picture_and_missed_where_it_is_gone(
    three_hands: tuple[Photo, list[FoundHand]],
) -> None:
    photo, (hand, *_) = three_hands
    moved = Photo(np.roll(photo.pixels, 6, axis=1))
    followed = hand_landmarker().follow(moved, hand)
    assert followed is not None
    size = float(np.ptp(hand.points, axis=0).max())
    assert np.linalg.norm(followed.points - hand.points - [6, 0], axis=1).mean() < 0.05 * size
    assert hand_landmarker().follow(Photo(np.full_like(photo.pixels, 127)), hand) is None


def test_hands_of_a_mirrored_photo_are_the_other_ones(three_hands: tuple[Photo, list[FoundHand]]) -> None:
    photo, hands = three_hands
    width = photo.size[0]
    mirrored = hand_landmarker().find(Photo(photo.pixels[:, ::-1].copy()))
    same = [
        (hand.side, other.side)
        for hand in hands
        for other in mirrored
        if np.linalg.norm(hand.points[0] * [-1, 1] + [width, 0] - other.points[0]) < 25
    ]
    assert len(same) >= 2
    assert all(side != other for side, other in same)


ENDINGS = ["avif", "jfif", "gif", "jp2", "webp", "bmp", "tga", "ppm", "dds"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_that_pillow_opens_is_a_photo(tmp_path: Path, ending: str) -> None:
    Image.fromarray(GRADIENT.astype(np.uint8)).convert("RGB").save(tmp_path / f"a.{ending}")
    assert is_picture(tmp_path / f"a.{ending}")
    photo = read_photo(tmp_path / f"a.{ending}")
    assert photo.size == (64, 48) and abs(float(photo.pixels.mean()) - GRADIENT.mean()) < 8


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.tmp"])
def test_a_picture_without_an_ending_is_known_by_its_bytes(tmp_path: Path, name: str) -> None:
    Image.fromarray(GRADIENT.astype(np.uint8)).save(tmp_path / name, format="JPEG")
    assert is_picture(tmp_path / name) and read_photo(tmp_path / name).size == (64, 48)
    (tmp_path / "text").write_text("no picture")
    assert not is_picture(tmp_path / "text") and not is_picture(tmp_path / "none")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_photos_of_any_depth_are_as_bright(tmp_path: Path, bits: int) -> None:
    values = (GRADIENT / 255 * (2**bits - 1)).round().astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.abs(read_photo(tmp_path / "a.png").pixels[..., 0] - GRADIENT).max() <= 2


def test_heic_is_read_or_the_sentence_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    (tmp_path / "a.heic").write_bytes(head)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(HopriorError, match=r"is HEIC.*hoprior\[formats\].*or save it as JPEG"):
        read_photo(tmp_path / "a.heic")
    (tmp_path / "a.nef").write_bytes(b"\0" * 20)
    with pytest.raises(HopriorError, match="raw file"):
        read_photo(tmp_path / "a.nef")
    monkeypatch.undo()
    heif = pytest.importorskip("pillow_heif", reason="the extra formats is not installed")
    with pytest.raises(HopriorError, match="damaged"):
        read_photo(tmp_path / "a.heic")
    picture = Image.fromarray(GRADIENT.astype(np.uint8)).convert("RGB")
    heif.from_pillow(picture).save(tmp_path / "b.heic", quality=95)
    assert np.abs(read_photo(tmp_path / "b.heic").pixels[..., 0].astype(int) - GRADIENT).max() < 20
