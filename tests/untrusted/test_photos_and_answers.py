"""Photos, estimators' files and answers of servers as they come from anywhere."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hoprior.cli.entry import main
from hoprior.common.console import printable
from hoprior.errors import HopriorError
from hoprior.language.describe.endpoint import Endpoint
from hoprior.vision.estimates import read_estimates
from hoprior.vision.images import NO_PHOTOS, open_picture, read_photo

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))


# ---- Pictures ----


@pytest.mark.parametrize("focal", ["wide", (24, 70), -24, 0, 1e30])
def test_what_a_camera_says_of_itself_spoils_no_photo(tmp_path: Path, focal: Any) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = focal if not isinstance(focal, float) else int(focal) % 2**16
    PHOTO.save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.pixels.shape == (48, 64, 3) and (photo.focal is None or 0 < photo.focal < 1e6)


def test_pictures_that_are_programs_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript to Ghostscript where that is installed, whatever the file is called."""
    asked: list[Any] = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **_: asked.append(arguments))
    PHOTO.save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(HopriorError, match=r"a\.jpg: is no picture"):
        open_picture(tmp_path / "a.jpg")
    assert not asked and {"EPS", "WMF", "GRIB", "BUFR", "HDF5"} <= set(NO_PHOTOS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000"])
def test_pictures_come_through(tmp_path: Path, kind: str) -> None:
    PHOTO.save(tmp_path / "a.bin", kind)
    assert (
        open_picture((tmp_path / "a.bin").read_bytes(), "a").size == open_picture(tmp_path / "a.bin").size == (64, 48)
    )


# ---- Estimators' files ----


def hand(**changed: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    joints = (rng.random((21, 3)) * 0.08 + [0, 0, 0.5]).tolist()
    return {"xyz": joints, "K": [[200, 0, 32], [0, 200, 24], [0, 0, 1]], "is_right": 1, **changed}


ENTRIES: dict[str, dict[str, Any]] = {
    "no side": {"side": []},
    "a side of nothing": {"is_right": []},
    "a side of words": {"is_right": "yes"},
    "a side without number": {"is_right": float("nan")},
    "half a side": {"is_right": 0.5},
    "joints of one number": {"xyz": 3},
    "ragged joints": {"xyz": [[1, 2, 3], [1, 2]]},
    "joints of text": {"xyz": "joints"},
    "joints too large for a number": {"xyz": [[10**400, 0, 0]] * 21},
    "points of nothing": {"uv": [[]] * 21},
    "points all alike": {"uv": [[5, 5]] * 21, "xyz": (np.random.default_rng(0).random((21, 3)) * 0.1).tolist()},
    "no focal length": {"K": None, "img_size": [64, 48], "focal_length": []},
    "a size that cannot be": {"img_size": [1e9, 1e9]},
    "a camera without numbers": {"K": [[200, 0, None], [0, 200, 24], [0, 0, 1]]},
    "a camera of no size": {"K": [[200, 0, 0], [0, 200, 0], [0, 0, 1]]},
    "a camera of less": {"K": [[200, 0, -99], [0, 200, -99], [0, 0, 1]]},
    "an order that is none": {"order": "alphabetical"},
    "confidence of nothing": {"confidence": []},
}


@pytest.mark.parametrize("what", ENTRIES)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_damaged_hand_costs_that_hand(tmp_path: Path, what: str) -> None:
    (tmp_path / "hands.json").write_text(json.dumps([hand(), hand(**ENTRIES[what])]))
    estimates, skipped = read_estimates(tmp_path / "hands.json")
    assert [item.name for item in estimates] == ["hands_0"]
    assert [item.name for item in skipped] == ["hands_1"] and len(skipped[0].reason) < 400


def test_a_path_that_is_too_long_is_no_photo(tmp_path: Path) -> None:
    (tmp_path / "hands.json").write_text(json.dumps([hand(img_path="x" * 5000)]))
    assert read_estimates(tmp_path / "hands.json")[0][0].photo is None


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"xyz": {}}', b"[[]]", b"3", b"null", b"[]"])
def test_a_file_of_no_hands_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hands.json").write_bytes(content)
    with pytest.raises(HopriorError, match=r"hands\.json"):
        read_estimates(tmp_path / "hands.json")


def test_damaged_cameras_beside_freihand_s_joints_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "training_xyz.json").write_text(json.dumps([hand()["xyz"]]))
    for content in ("[" * 100_000, "{", "3", "[]", '["x"]'):
        (tmp_path / "training_K.json").write_text(content)
        with pytest.raises(HopriorError, match="training_"):
            read_estimates(tmp_path / "training_xyz.json")


# ---- Servers ----

Served = Callable[[socket.socket], object]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def forever(connection: socket.socket, piece: bytes, pause: float = 0.05) -> None:
    while True:
        connection.sendall(piece)
        time.sleep(pause)


SLOW: dict[str, Served] = {
    "header lines": lambda c: (c.sendall(b"HTTP/1.1 200 OK\r\nX: "), forever(c, b"a")),
    "interim answers": lambda c: forever(c, b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
    "a body byte by byte": lambda c: (c.sendall(HEAD + b"Content-Length: 100000\r\n\r\n"), forever(c, b" ")),
    "chunks": lambda c: (c.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), forever(c, b"1\r\n \r\n")),
    "empty blocks": lambda c: (
        c.sendall(HEAD + b"Content-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x78\x9c\r\n"),
        forever(c, b"5\r\n\x00\x00\x00\xff\xff\r\n"),
    ),
    "silence": lambda c: time.sleep(30),
}


def read_question(connection: socket.socket) -> None:
    """All of it: a server that closes with bytes unread resets the connection, and what it had sent may be lost."""
    with connection.makefile("rb") as question:
        length = 0
        for line in question:
            if line == b"\r\n":
                break
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        question.read(length)


@pytest.fixture
def serve() -> Iterator[Callable[[Served], str]]:
    """Starts a server that does something with each connection, once the question was read."""
    sockets: list[socket.socket] = []

    def start(behave: Served) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    read_question(connection)
                    behave(connection)
                except OSError:
                    """The client has had enough, as it should."""

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

    yield start
    for listening in sockets:
        listening.close()


@pytest.mark.parametrize("what", SLOW)
def test_the_time_of_an_answer_holds_whatever_the_server_does(serve: Callable[[Served], str], what: str) -> None:
    threads, start = threading.active_count(), time.monotonic()
    with pytest.raises(HopriorError, match=r"no (whole )?answer within"):
        Endpoint(serve(SLOW[what]), "tiny", timeout=0.5, retries=1, backoff=0.0).answer("what?")
    assert time.monotonic() - start < 3.0
    deadline = time.monotonic() + 5
    while what != "silence" and threading.active_count() > threads + 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [t for t in threading.enumerate() if "within" in t.name]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://other.example/v1", "http://[::1", "", "file:///etc/passwd"])
def test_a_photo_goes_to_no_other_server(serve: Callable[[Served], str], status: int, location: str) -> None:
    asked: list[int] = []

    def behave(connection: socket.socket) -> None:
        asked.append(status)
        head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    with pytest.raises(HopriorError, match="sends on to another address"):
        Endpoint(serve(behave), "tiny", timeout=5, retries=2, backoff=0.0).answer("what?", PHOTO)
    assert len(asked) == 1


def reply(body: bytes) -> Served:
    return lambda c: c.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


ANSWERS = {
    "depth": b"[" * 100_000,
    "half a character": b'{"choices": [{"message": {"content": "\\ud800"}}]}',
    "another encoding": b'{"choices": [{"message": {"content": "\xff"}}]}',
    "a list": b"[]",
    "nothing": b"",
    "null": b'{"choices": null}',
    "long": b" " * (5 << 20),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_none_is_a_sentence(serve: Callable[[Served], str], what: str) -> None:
    with pytest.raises(HopriorError, match=r"no chat completion|longer than 4 MiB"):
        Endpoint(serve(reply(ANSWERS[what])), "tiny", timeout=20, retries=0).answer("what?")


def test_what_a_server_says_does_not_steer_the_terminal(
    serve: Callable[[Served], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(lambda c: c.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 11\r\n\r\n\x1b]0;evil\x07\x9b2"))
    arguments = ["--endpoint", url, "--language-model", "tiny", "--category", "mug", "--grasp", "palmar pinch"]
    assert main(["describe", *arguments]) == 2
    written = capsys.readouterr()
    assert "\x1b" not in written.err + written.out and "evil" in written.err
    assert printable("a\x1b[31mb\x9b\u202ec\nd\te") == "a\ufffd[31mb\ufffd\ufffdc\nd\te"
