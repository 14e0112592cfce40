"""`hoprior view`: results in a browser, to turn, compare and play."""

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from hoprior.common.pages import is_current
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
    for page in (folder / name for name in PAGES):
        if is_current(page):
            return page.read_text(encoding="utf-8")
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


def main(args: Sequence[str]) -> None:
    """The command line of `hoprior view`."""
    given = _parser().parse_args(list(args))
    page_at(given.out)
    with PageServer(lambda: page_at(given.out), given.port) as server:
        if server.moved:
            sys.stderr.write(f"hoprior: port {given.port} is in use: taking {server.server_port} instead\n")
        print(f"{given.out} at {server.url} (Ctrl-C ends it)", flush=True)
        if not given.no_browser and (problem := show_in_browser(server.url)):
            sys.stderr.write(f"hoprior: {problem}\n")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hoprior view",
        description="Results in a browser: turn, compare, colour, play, save pictures. Example: hoprior view out",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder that a run or an evaluation has written")
    parser.add_argument("--port", type=int, default=PORT, help=f"of this machine only; {PORT} unless given")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser, only say where the page is")
    return parser
