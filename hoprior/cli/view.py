"""`hoprior view`: results in a browser, to turn, compare and play."""

import os
import sys
import webbrowser
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments, with_leading
from hoprior.common.pages import is_current, stamp_of
from hoprior.common.serving import PageServer
from hoprior.errors import HopriorError

PORT = 8710
PAGES = ("report.html", "metrics.html")


def page_at(out: Path) -> str:
    """The page of a folder of results: the one that lies there, or one that is made where that is missing or old.

    Raises:
        HopriorError: there are no results that this version reads.
    """
    if not out.exists():
        raise HopriorError(f"{out}: there is no such folder: give one that `hoprior run` has written")
    folder = out if out.is_dir() else out.parent
    named = [] if out.is_dir() else [out.with_suffix(".html")]
    for page in (*named, *(folder / name for name in PAGES)):
        if is_current(page):
            return page.read_text(encoding="utf-8")
    from hoprior.results.report import index_of

    return _made_page(folder, stamp_of(index_of(folder)))


@lru_cache(maxsize=1)
def _made_page(folder: Path, stamp: str) -> str:
    """The page of results of a stamp, made once: a browser asks for it again and again."""
    from hoprior.results.report import page_of

    return page_of(folder)


def show_in_browser(url: str) -> str:
    """Opens a browser, if this machine has one with a display; returns what to tell."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        port = url.rpartition(":")[2]
        return f"no display here: on your own machine, ssh -L {port}:127.0.0.1:{port} HOST, then open {url}"
    if not webbrowser.open(url):
        return f"no browser was found: open {url} in one"
    return ""


def view(out: Path, port: int = PORT, browser: bool = True) -> None:
    """Results in a browser: turn, compare, colour, play, save pictures.

    Args:
        out: folder that a run has written, or file of an evaluation.
        port: number of the port, of this machine only.
        browser: whether to open one; --no-browser only says where the page is.

    Example:
        hoprior view out/mug_grasps
    """
    page_at(out)
    with PageServer(lambda: page_at(out), port) as server:
        if server.moved:
            sys.stderr.write(f"hoprior: port {port} is in use: taking {server.server_port} instead\n")
        print(f"{out} at {server.url} (Ctrl-C ends it)", flush=True)
        if browser and (problem := show_in_browser(server.url)):
            sys.stderr.write(f"hoprior: {problem}\n")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior view`."""
    return call_with_arguments(view, "hoprior view", with_leading(args, "out"))
