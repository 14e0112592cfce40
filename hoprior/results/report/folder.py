"""From a folder of results to its page."""

from collections.abc import Callable
from pathlib import Path

from hoprior.common.io import write_atomically
from hoprior.common.pages import stamp_of
from hoprior.common.reading import interpreting
from hoprior.common.staging import staging_folders
from hoprior.errors import HopriorError
from hoprior.results.folder import REPORT_NAME
from hoprior.results.grasps import GRASPS
from hoprior.results.interactions import SAMPLES
from hoprior.results.objects import OBJECTS
from hoprior.results.poses import POSES
from hoprior.results.reconstructions import INDEX as RECONSTRUCTION
from hoprior.results.refinements import HANDS
from hoprior.results.report.clips import clip_page
from hoprior.results.report.grasps import grasps_page
from hoprior.results.report.hands import hands_page
from hoprior.results.report.page import Page
from hoprior.results.report.robots import robots_page
from hoprior.results.report.samples import objects_page, poses_page, samples_page
from hoprior.results.robot_grasps import ROBOT_GRASPS

PAGES: dict[str, Callable[[Path], Page]] = {
    GRASPS.index_name: grasps_page,
    HANDS.index_name: hands_page,
    RECONSTRUCTION: clip_page,
    SAMPLES.index_name: samples_page,
    POSES.index_name: poses_page,
    OBJECTS.index_name: objects_page,
    ROBOT_GRASPS.index_name: robots_page,
}
"""Index of a kind of results -> what makes its page."""
MOST_NAMED = 5


def page_of(folder: str | Path) -> str:
    """The page of the results in a folder, as HTML.

    Raises:
        HopriorError: there are none, or they are half-written, damaged, or of another version.
    """
    index = index_of(Path(folder))
    advice = "run the command that wrote it again"
    try:
        with interpreting(index, advice):
            return PAGES[index.name](index.parent).html(stamp_of(index))
    except OSError as error:
        raise HopriorError(f"{index}: damaged ({error}): {advice}") from error


def write_report(folder: str | Path) -> Path:
    """Writes `report.html` beside results that are on disk already, whole or not at all; returns where it is.

    Raises:
        HopriorError: see `page_of`; or the disk is full.
    """
    html, path = page_of(folder), Path(folder) / REPORT_NAME
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))
    return path


def index_of(folder: Path) -> Path:
    """The file that says what results a folder holds.

    Raises:
        HopriorError: there is none.
    """
    folder = folder.parent if folder.name in PAGES and folder.is_file() else folder
    if not folder.is_dir():
        raise HopriorError(f"{folder}: there is no such folder: give one that `hoprior run` has written")
    found = [folder / name for name in PAGES if (folder / name).is_file()]
    if not found and staging_folders(folder, folder.absolute().name):
        raise HopriorError(f"{folder}: a run was stopped before its results were whole: run it again")
    if not found:
        inside = sorted({path.parent for name in PAGES for path in folder.glob(f"*/{name}")})
        advice = (
            f"give one of {', '.join(map(str, inside[:MOST_NAMED]))}" if inside else "give a folder of `hoprior run`"
        )
        raise HopriorError(f"{folder}: holds no results (none of {', '.join(PAGES)}): {advice}")
    # Runs of different kinds do not share a folder; where somebody put them together, the newest is meant.
    return max(found, key=lambda path: path.stat().st_mtime)
