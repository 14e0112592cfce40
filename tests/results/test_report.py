"""A report shows what is on disk, needs nothing else, and is never half there."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
from shown_results import BOX, some_grasps

from hoprior.common.io import STAGING_PATTERN
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
    (tmp_path / "other" / STAGING_PATTERN.replace("*", "other-1")).mkdir()
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
