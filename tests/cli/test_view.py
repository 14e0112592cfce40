"""`hoprior view` shows a folder's page to the browsers of this machine alone."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from shown_results import some_grasps

from hoprior.cli.entry import main
from hoprior.cli.view import page_at, show_in_browser
from hoprior.common.serving import LOOPBACK
from hoprior.results import report
from hoprior.results.report import write_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return some_grasps(2).save(tmp_path_factory.mktemp("results") / "out")


@pytest.fixture
def viewing(folder):
    """Starts the command; gives its process and the port that it tells."""
    started = []

    def start(*options):
        command = [sys.executable, "-m", "hoprior", "view", str(folder), "--no-browser", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process, int(re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())[1])

    yield start
    for process in started:
        process.kill()
        process.communicate()


def asked(port, path="/", host=None):
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    connection.request("GET", path, headers={"Host": host or f"{LOOPBACK}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_is_served_to_this_machine_only(viewing, folder):
    write_report(folder)
    process, port = viewing("--port", "0")
    assert asked(port) == (200, (folder / "report.html").read_text(encoding="utf-8"))
    assert asked(port, "/grasps.json")[0] == asked(port, "/../secret")[0] == 404
    assert asked(port, host="evil.example:80")[0] == 404
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_port_in_use_gives_way(viewing, folder):
    write_report(folder)
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        taken = other.getsockname()[1]
        process, port = viewing("--port", str(taken))
        assert port != taken
        assert asked(port)[0] == 200
        process.kill()
        assert process.communicate()[1].strip() == f"hoprior: port {taken} is in use: taking {port} instead"


def test_a_missing_or_old_page_is_made(folder):
    write_report(folder).unlink()
    made = page_at(folder)
    assert made.endswith("</html>\n")
    assert not (folder / "report.html").exists(), "looking writes nothing"
    (folder / "report.html").write_text(made.replace("a box", "a tin").replace('content="1 ', 'content="0 '))
    assert "a tin" not in page_at(folder)
    (folder / "report.html").unlink()


def test_a_page_is_made_once_for_results_that_stay(folder, tmp_path, monkeypatch):
    made, own = [], shutil.copytree(folder, tmp_path / "own")
    whole = report.page_of
    monkeypatch.setattr("hoprior.results.report.page_of", lambda place: (made.append(place), whole(place))[1])
    (own / "report.html").unlink(missing_ok=True)
    assert page_at(own) == page_at(own) and len(made) == 1
    index = own / "grasps.json"
    index.write_text(index.read_text() + "\n")
    page_at(own)
    assert len(made) == 2


def test_no_display_and_no_browser_are_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert show_in_browser("http://127.0.0.1:8710").startswith("no display here: on your own machine, ssh -L 8710:")
    monkeypatch.setitem(os.environ, "DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    assert "no browser was found" in show_in_browser("http://127.0.0.1:8710")


@pytest.mark.parametrize(("name", "says"), [("nowhere", "no such file or folder"), (".", "holds no results")])
def test_other_folders_are_refused(tmp_path, capsys, name, says):
    assert main(["view", str(tmp_path / name), "--no-browser"]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_a_port_that_is_none(folder, capsys):
    assert main(["view", str(folder), "--port", "70000", "--no-browser"]) == 2
    assert "70000" in capsys.readouterr().err
