"""Reports in Chromium: they load, draw, complain of nothing, ask for nothing, and their buttons work."""

import base64
import time
from io import BytesIO

import numpy as np
import pytest
from browser import Tab, browser_tab
from PIL import Image
from shown_results import a_clip, some_grasps, some_hands, some_objects, some_poses, some_samples

from hoprior.results.report import write_report
from hoprior.results.report.page import Page
from hoprior.results.report.tables import lines_chart, table, write_page_beside

OPENS_IN = 2.0
"""Seconds on an idle machine; tests share theirs, so five times as much may pass."""


@pytest.fixture(scope="module")
def tab():
    with browser_tab() as found:
        yield found


def drawn(tab: Tab) -> np.ndarray:
    """The pixels of the canvas, after the page has drawn once more."""
    url = tab.ask("page.viewer.draw(), document.getElementById('canvas').toDataURL('image/png')")
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")).astype(int)


def click(tab: Tab, name: str) -> None:
    tab.ask(f"document.getElementById('{name}').click()")


def choose(tab: Tab, name: str, value: str) -> None:
    box = f"document.getElementById('{name}')"
    tab.ask(f"{box}.value = '{value}', {box}.dispatchEvent(new Event('change'))")


def test_the_report_of_grasps(tab, tmp_path):
    page = write_report(some_grasps(10).save(tmp_path / "out"))
    tab.requests.clear()
    assert tab.open(page.as_uri()) < 5 * OPENS_IN
    first = drawn(tab)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 200, "blank"
    assert tab.requests == [page.as_uri()]

    assert tab.ask("document.getElementById('which').textContent") == "1 of 10"
    click(tab, "next")
    assert tab.ask("document.getElementById('which').textContent") == "2 of 10"
    assert "12.0 mm" in tab.ask("document.getElementById('facts').textContent")
    assert (drawn(tab) != first).any()
    tab.press("ArrowLeft")
    assert tab.ask("document.getElementById('which').textContent") == "1 of 10"
    click(tab, "previous")
    assert tab.ask("document.getElementById('which').textContent") == "10 of 10"
    click(tab, "next")
    assert np.abs(drawn(tab) - first).max() <= 2, "back at the first one"

    choose(tab, "colours", "plain")
    plain = drawn(tab)
    assert (plain != first).any(), "contact has colours of its own"
    choose(tab, "colours", "depth")
    assert (drawn(tab) != plain).any()
    click(tab, "show-object")
    alone = drawn(tab)
    click(tab, "show-hand")
    assert len(np.unique(drawn(tab).reshape(-1, 3), axis=0)) < 3 < len(np.unique(alone.reshape(-1, 3), axis=0))
    click(tab, "show-joints")
    assert len(np.unique(drawn(tab).reshape(-1, 3), axis=0)) > 3

    click(tab, "show-hand")
    click(tab, "show-object")
    before = drawn(tab)
    tab.drag((500, 400), (620, 430))
    assert (drawn(tab) != before).any(), "it turns"
    click(tab, "compare")
    both = drawn(tab)
    half = both.shape[1] // 2
    assert all(len(np.unique(side.reshape(-1, 3), axis=0)) > 200 for side in (both[:, :half], both[:, half:]))
    assert "grasp 2" in tab.ask("document.getElementById('right-label').textContent")
    click(tab, "screenshot")
    assert tab.ask("document.body.dataset.saved") == "grasps-1-2.png"
    assert quiet(tab)


def trouble(tab: Tab, url: str) -> str:
    """Opens a page that has to say what is wrong, and returns it."""
    tab.go(url)
    for _ in range(400):
        if told := tab.ask("(document.getElementById('trouble') || {}).textContent"):
            break
        time.sleep(0.05)
    tab.complaints.clear()
    return told


def test_a_page_that_cannot_be_drawn_says_so(tab, tmp_path):
    page = write_report(some_grasps(1).save(tmp_path / "out"))
    name = tab.before("HTMLCanvasElement.prototype.getContext = () => null")
    assert "WebGL is off" in trouble(tab, page.as_uri())
    assert "10 mm" not in tab.ask("document.getElementById('legend').textContent")
    tab.after(name)
    name = tab.before("delete window.DecompressionStream")
    assert "too old" in trouble(tab, page.as_uri())
    tab.after(name)
    html = page.read_text(encoding="utf-8")
    at = html.index('id="arrays">') + 12
    page.write_text(html[:at] + html[at + 400 :], encoding="utf-8")
    assert "damaged" in trouble(tab, page.as_uri())


def halves(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle = pixels.shape[1] // 2
    return pixels[:, :middle], pixels[:, middle:]


def colours(pixels: np.ndarray) -> int:
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


def quiet(tab: Tab) -> bool:
    """Nothing was complained of, and nothing asked for but the page."""
    return not tab.complaints and not [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.parametrize("results", [some_samples, some_poses, some_objects])
def test_reports_of_samples(tab, tmp_path, results):
    tab.open(write_report(results().save(tmp_path / "out")).as_uri())
    assert colours(drawn(tab)) > (40 if results is some_objects else 200)  # a box has three sides to see
    click(tab, "next")
    assert tab.ask("document.getElementById('which').textContent") == "2 of 2"
    assert quiet(tab)


def test_the_report_of_hands(tab, tmp_path):
    photo = np.full((240, 320, 3), [20, 90, 20], dtype=np.uint8)
    tab.open(write_report(some_hands(2, photo).save(tmp_path / "out")).as_uri())
    for _ in range(100):  # photos are unpacked beside the drawing
        on_photo, turned = halves(drawn(tab))
        if (np.abs(on_photo - [20, 90, 20]).max(axis=2) < 12).mean() > 0.2:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the photo is not drawn")
    assert colours(turned) > 200
    after = drawn(tab)
    click(tab, "show-first")
    click(tab, "show-hand")
    assert (drawn(tab) != after).any(), "before is not after"
    choose(tab, "colours", "change")
    click(tab, "photo")
    assert (np.abs(halves(drawn(tab))[0] - [20, 90, 20]).max(axis=2) < 12).mean() < 0.01
    assert "the focal length is a guess" in tab.ask("document.getElementById('facts').textContent")
    assert quiet(tab)


def test_the_report_of_a_clip(tab, tmp_path):
    tab.open(write_report(a_clip().save(tmp_path / "out")).as_uri())
    assert "frame 10 (1 of 6)" in tab.ask("document.getElementById('at-text').textContent")
    click(tab, "photo")
    first = drawn(tab)
    tab.ask("page.show(5)")
    last = drawn(tab)
    assert (last != first).any(), "the box has slid"
    choose(tab, "still", "object")
    assert (drawn(tab) != last).any(), "now the hand has"
    tab.ask("page.show(0)")
    choose(tab, "still", "hand")
    click(tab, "play")
    for _ in range(200):
        if tab.ask("page.state.frame") > 2:
            break
        time.sleep(0.05)
    click(tab, "play")
    at = tab.ask("page.state.frame")
    assert at > 2, "it plays"
    time.sleep(0.3)
    assert tab.ask("page.state.frame") == at, "and stops"
    choose(tab, "colours", "seen")
    assert colours(drawn(tab)) > 50
    assert quiet(tab)


def test_a_page_of_tables(tab, tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    shown = table("Depth", {"mug": {"depth": 2.0}, "<i>jar": {"depth": 1.0}}, {"depth": ("depth mm", "{:.1f}")})
    shown["chart"] = lines_chart({"first": {"low": 1.0}}, {"first": {"low": (0.5, 1.5)}}, "mm")
    tab.open(write_page_beside(tmp_path / "metrics.json", Page("metrics", "figures", "", tables=[shown])).as_uri())
    assert tab.ask("[...document.querySelectorAll('td')].map(cell => cell.textContent)") == [
        "mug",
        "2.0",
        "<i>jar",
        "1.0",
    ]
    assert tab.ask("document.querySelectorAll('svg circle').length") == 2
    assert tab.ask("document.getElementById('viewer').hidden") is True
    assert quiet(tab)
