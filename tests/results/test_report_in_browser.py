"""Reports in Chromium: they load, draw, complain of nothing, ask for nothing, and their buttons work."""

import base64
import time
from io import BytesIO

import numpy as np
import pytest
from browser import Tab, browser_tab
from PIL import Image
from shown_results import some_grasps

from hoprior.results.report import write_report

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
    assert not tab.complaints
    assert not [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))]


def test_a_page_of_a_damaged_copy_says_so(tab, tmp_path):
    page = write_report(some_grasps(1).save(tmp_path / "out"))
    html = page.read_text(encoding="utf-8")
    at = html.index('id="arrays">') + 12
    page.write_text(html[:at] + html[at + 400 :], encoding="utf-8")
    tab.go(page.as_uri())
    for _ in range(200):
        told = tab.ask("(document.getElementById('trouble') || {}).textContent")
        if told:
            break
        time.sleep(0.05)
    assert "damaged" in told
