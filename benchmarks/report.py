"""How large a report is, and how long it takes to write it, to open it in Chromium, and to view it.

    python benchmarks/report.py OUT        # a folder of results; it is left as it is

Opening includes the browser's own start, without a graphics card; viewing, the start of the command.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hoprior.results.report import write_report

MB = 1e6


def seconds_to_open(page: Path) -> float:
    """Until Chromium, started for it, has drawn a page.

    Raises:
        RuntimeError: there is no Chromium, or the page never says that it is ready.
    """
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("no chromium: apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    # Else the page is told as it is before its arrays are unpacked.
    flags += ["--virtual-time-budget=2000", "--dump-dom"]
    began = time.perf_counter()
    shown = subprocess.run([program, *flags, page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    if 'data-ready="yes"' not in shown:
        raise RuntimeError(f"{page} was not drawn")
    return time.perf_counter() - began


def seconds_to_view(folder: Path) -> float:
    """Until `hoprior view` says where the page is."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "hoprior", "view", str(folder), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        passed = time.perf_counter() - began
        process.terminate()
    if not re.search(r"http://127\.0\.0\.1:\d+", told):
        raise RuntimeError(f"hoprior view said: {told}")
    return passed


def measured(what: str, seconds: Callable[[], float], times: int = 1) -> None:
    """Prints the least of some measurements, and the mean processor time of the programs that were started for them."""
    before = os.times()
    least = min(seconds() for _ in range(times))
    after = os.times()
    used = (after.children_user + after.children_system - before.children_user - before.children_system) / times
    print(f"{what} {least:.2f} s ({used:.2f} s of CPU)")


def main() -> None:
    """Prints the figures of a folder of results."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(sys.argv[1], Path(place) / "out"))
        began, used = time.perf_counter(), time.process_time()
        page = write_report(folder)
        passed, used = time.perf_counter() - began, time.process_time() - used
        print(f"{page.stat().st_size / MB:.2f} MB, written in {passed:.2f} s ({used:.2f} s of CPU)")
        measured("opened in", lambda: seconds_to_open(page), 3)
        measured("viewed after", lambda: seconds_to_view(folder), 3)
        page.unlink()
        measured("without a report, viewed after", lambda: seconds_to_view(folder))


if __name__ == "__main__":
    main()
