"""A report shows what is on disk, needs nothing else, and is never half there."""

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image
from shown_results import BOX, TO_CAMERA, K, a_clip, some_grasps, some_hands, some_objects, some_poses, some_samples

from hoprior.common.pages import is_current, is_page
from hoprior.errors import HopriorError
from hoprior.results.report import page_of, write_report
from hoprior.results.report.arrays import FAR, PageArrays

MB = 1e6


@pytest.fixture
def folder(tmp_path):
    return some_grasps().save(tmp_path / "out")


def content_of(html):
    return json.loads(re.search(r'id="content">(.*?)</script>', html, re.DOTALL)[1])


def arrays_of(html):
    return gzip.decompress(base64.b64decode(re.search(r'id="arrays">(.*?)</script>', html, re.DOTALL)[1]))


def test_a_report_stands_alone(folder):
    html = write_report(folder).read_text(encoding="utf-8")
    asked = re.findall(
        r"""(?:src|href)=["']?(?!data:)([^"'\s>]+)""", re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    )
    assert not asked
    assert "default-src 'none'" in html
    assert len(html) < 5 * MB


def test_the_shipped_script_is_the_one_that_is_described():
    assets = files("hoprior") / "assets"
    script = hashlib.sha256((assets / "report" / "three.min.js").read_bytes()).hexdigest()
    assert script in (assets / "README.md").read_text(encoding="utf-8")
    assert "MIT" in (assets / "LICENSE-three-MIT.txt").read_text(encoding="utf-8")


def test_what_is_drawn_is_what_was_saved(folder):
    results = some_grasps()
    html = write_report(folder).read_text(encoding="utf-8")
    content, data = content_of(html), arrays_of(html)
    assert [item["title"] for item in content["items"]] == ["grasp 1", "grasp 2", "grasp 3"]
    for item, grasp in zip(content["items"], results, strict=True):
        mesh = content["meshes"][item["parts"][0]["mesh"]]
        start, length = mesh["verts"]
        codes = np.frombuffer(data[start : start + length], "<u2").reshape(-1, 3)
        drawn = mesh["low"] + codes * np.array(mesh["step"])
        assert np.abs(drawn - grasp.verts_object).max() < 1e-5
        assert np.allclose(item["joints"][0], grasp.joints_object, atol=1e-4)


def test_colours_say_what_touches(folder):
    html = write_report(folder).read_text(encoding="utf-8")
    content, data = content_of(html), arrays_of(html)
    start, length = content["items"][0]["parts"][0]["channels"]["gap"]["chunk"]
    codes = np.frombuffer(data[start : start + length], np.int8)
    verts = some_grasps()[0].verts_object
    inside = (np.abs(verts) < BOX.extents / 2).all(axis=1)
    assert inside.any()
    assert (codes[inside] <= 0).all()
    assert (codes[np.abs(verts[:, 0]) > 0.06] == FAR).all()


def test_a_channel_keeps_its_numbers():
    arrays = PageArrays()
    values = np.array([-3.2, 0.0, 4.9, 99.0, np.nan])
    arrays.channel(values, 0.1)
    codes = np.frombuffer(gzip.decompress(base64.b64decode(arrays.packed())), np.int8)
    assert codes.tolist() == [-32, 0, 49, FAR - 1, FAR]


def test_words_of_users_stay_words(tmp_path):
    name, text = "a</script><script>alert(1)</script>", '"<img src=x onerror=alert(1)>@title@'
    html = page_of(some_grasps(1, name=name, text=text).save(tmp_path / "out"))
    assert content_of(html)["title"] == name
    assert text in content_of(html)["subtitle"]
    assert "<img src=x" not in html and "alert(1)</script>" not in html


def test_a_report_goes_with_its_results(folder):
    page = write_report(folder)
    assert is_current(page)
    some_grasps(2).save(folder)
    assert not page.exists(), "an old report beside new results"
    (folder / "report.html").write_text("somebody's own")
    some_grasps(1).save(folder)
    assert (folder / "report.html").read_text() == "somebody's own"


def test_a_page_knows_what_it_was_made_of(folder):
    page = write_report(folder)
    whole = page.read_text(encoding="utf-8")
    page.write_text(whole[: len(whole) // 2], encoding="utf-8")
    assert is_page(page) and not is_current(page), "half a page"
    page.write_text(whole, encoding="utf-8")
    index = folder / "grasps.json"
    index.write_text(index.read_text().replace("a box", "a tin"))
    assert not is_current(page), "the results have changed"


def test_nothing_is_left_where_the_disk_is_full(folder, monkeypatch):
    before = {path.name for path in folder.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(HopriorError, match="free some space"):
        write_report(folder)
    assert {path.name for path in folder.iterdir()} == before


def test_folders_that_are_not_ours(tmp_path, folder):
    with pytest.raises(HopriorError, match="there is no such folder"):
        page_of(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(HopriorError, match="holds no results"):
        page_of(tmp_path / "other")
    with pytest.raises(HopriorError, match=f"give one of {folder}$"):
        page_of(tmp_path)
    (tmp_path / "other" / ".hoprior-other-1.tmp").mkdir()
    with pytest.raises(HopriorError, match="stopped before its results were whole"):
        page_of(tmp_path / "other")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "grasp_001.glb").unlink(),
        lambda folder: (folder / "grasp_001.glb").write_bytes(b"glTF"),
        lambda folder: (folder / "grasps.json").write_text("{"),
        lambda folder: (folder / "grasps.json").write_text('{"format": "hoprior-grasps/0"}'),
        lambda folder: (folder / "grasps.json").write_text('{"format": "hoprior-grasps/1", "grasps": []}'),
    ],
)
def test_damaged_results_are_one_sentence(folder, damage):
    damage(folder)
    with pytest.raises(HopriorError, match=r"(again|reads)") as problem:
        page_of(folder)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("results", "kind", "count"),
    [
        (some_hands, "hands", 2),
        (some_samples, "samples", 2),
        (some_poses, "poses", 2),
        (some_objects, "objects", 2),
        (a_clip, "reconstruction", 1),
    ],
)
def test_each_kind_has_a_page_that_goes_with_it(tmp_path, results, kind, count):
    page = write_report(results().save(tmp_path / "out"))
    content = content_of(page.read_text(encoding="utf-8"))
    assert (content["kind"], len(content["items"])) == (kind, count)
    assert all(item["facts"] and item["parts"] and item["views"] for item in content["items"])
    results().save(tmp_path / "out")
    assert not page.exists()


def test_hands_stand_on_their_photo(tmp_path):
    """A joint that the camera saw at a pixel is drawn at that pixel of the photo."""
    pixels = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    hands = some_hands(1, pixels, str(tmp_path / "photo.png"))
    folder = hands.save(tmp_path / "out")
    (item,) = content_of(page_of(folder))["items"]
    fx, fy, cx, cy = item["photos"][0]["intrinsics"]
    side = item["photos"][0]["size"]
    x, y, z = np.array(item["joints"][0]).T
    drawn = np.stack([fx * x / z + cx, fy * y / z + cy], axis=1)
    photo = (hands[0].joints @ K.T)[:, :2] / hands[0].joints[:, 2:]
    scale = fx / K[0, 0]
    assert np.ptp(drawn - photo * scale, axis=0).max() < 0.05, "the same picture, cut out and enlarged"
    assert ((drawn > 0) & (drawn < side)).all()
    assert item["notes"] == list(hands[0].notes)
    assert content_of(page_of(folder))["about"][0] == ["could not be used", "dark.jpg: no hand was found"]
    (tmp_path / "photo.png").unlink()
    kept = content_of(page_of(folder))["items"][0]["photos"][0]
    assert np.allclose(np.array(kept["intrinsics"]) / kept["size"], np.array([fx, fy, cx, cy]) / side, atol=1e-3)


def test_a_clip_has_its_frames_and_what_they_show(tmp_path):
    clip = a_clip()
    folder = clip.save(tmp_path / "out")
    html = page_of(folder)
    content, data = content_of(html), arrays_of(html)
    (item,) = content["items"]
    hand, held = item["parts"]
    assert item["frames"] == len(clip) == content["meshes"][hand["mesh"]]["frames"] == len(item["photos"])
    assert item["numbers"] == list(clip.frame)
    assert np.allclose(np.array(held["places"]).reshape(-1, 4, 4), clip.T_hand_object, atol=1e-5)
    assert np.allclose(np.array(item["camera"][0]).reshape(4, 4), TO_CAMERA)
    assert np.allclose(item["joints"][2], clip.joints_hand[2], atol=1e-4)
    start, length = held["channels"]["seen"]["chunk"]
    assert set(np.frombuffer(data[start : start + length], np.int8)) == {0, 100}
    start, length = item["photos"][0]["chunk"]
    assert data[start : start + 2] == b"\xff\xd8", "a JPEG"
    (folder / "overlay.mp4").unlink()
    item = content_of(page_of(folder))["items"][0]
    assert item["photos"] is None and "overlay.mp4" in item["notes"][-1]


def test_long_clips_are_thinned_out(tmp_path, monkeypatch):
    monkeypatch.setattr("hoprior.results.report.clips.MAX_FRAMES", 4)
    content = content_of(page_of(a_clip(9).save(tmp_path / "out")))
    assert content["items"][0]["numbers"] == [10, 13, 16]
    assert len(content["items"][0]["photos"]) == 3
    assert content["fps"] == pytest.approx(10 / 3)
    assert "3 of 9 frames" in content["subtitle"]
