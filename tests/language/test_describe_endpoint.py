"""Affordances by a served model, against a real HTTP server on loopback that also misbehaves."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.language.describe.chat import AnswerCache
from hoprior.language.describe.crop import view_of
from hoprior.language.describe.endpoint import Endpoint
from hoprior.language.describe.steps import Describer
from hoprior.language.schema import Affordance
from hoprior.vision.images import Photo

SEEN = {
    "object_category": "mug",
    "object_shape": "cylindrical",
    "object_size": "small",
    "interaction": "holding",
    "intention": "to drink",
    "grasp": "palmar pinch",
}
SENTENCE = "A right hand holds a small cylindrical mug with a palmar pinch grasp to drink."


class Model(ThreadingHTTPServer):
    """Does what its `script` says, request by request, and then what is right."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def right_answer(self, request: dict[str, Any]) -> str:
        if "response_format" not in request:
            return SENTENCE
        asked = request["response_format"]["json_schema"]["schema"]["required"]
        return json.dumps({name: SEEN[name] for name in asked})


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self.server.headers.append(dict(self.headers))
        step = self.server.script.pop(0) if self.server.script else "right"
        if self.path != "/v1/chat/completions":
            self.send(404, b"no such path")
        elif isinstance(step, int):
            self.send(step, b'{"error": "the model fell over"}')
        elif step == "hang":
            time.sleep(1.0)
            self.send(200, b"{}")
        elif step == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(10):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
        elif step == "break off":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices"')
        elif step == "no JSON":
            self.send(200, b"<html>Welcome to nginx!</html>")
        elif step == "no choices":
            self.send(200, b'{"choices": []}')
        else:
            text = self.server.right_answer(request) if step == "right" else step["says"]
            message = {"choices": [{"message": {"role": "assistant", "content": text}}]}
            self.send(200, json.dumps(message).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing: the tests read what was asked."""

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            """The client has had enough, as it should."""


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def photo(width: int = 320, height: int = 240) -> Photo:
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    return Photo(np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy())


def describer(model: Model, cache: Path | None = None, each: bool = False, **options: Any) -> Describer:
    chat = Endpoint(model.url, "tiny", **{"timeout": 5.0, "retries": 2, "backoff": 0.01, **options})
    return Describer(chat, chat, each, AnswerCache(cache) if cache else None)


def test_both_steps(model: Model) -> None:
    found = describer(model, api_key="secret")(view_of(photo(), (100, 80, 180, 160), (150, 100, 220, 170)))
    assert found.affordance == Affordance("mug", "cylindrical", "small", "holding", "to drink", 9)
    assert found.text == SENTENCE
    first, second = model.requests
    picture, question = first["messages"][0]["content"]
    encoded = picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    shown = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert shown.size == (181, 151)  # the boxes and a quarter of their longer side around them
    assert "The hand is in the box from (30, 30) to (110, 110)" in question["text"]
    assert "The object is in the box from (80, 50) to (150, 120)" in question["text"]
    assert first["response_format"]["json_schema"]["strict"] and first["temperature"] == 0
    assert isinstance(second["messages"][0]["content"], str) and "response_format" not in second
    assert model.headers[0]["Authorization"] == "Bearer secret"


def test_one_element_at_a_time(model: Model) -> None:
    found = describer(model, each=True).extract(view_of(photo()))
    assert found.grasp_name == "palmar pinch" and len(model.requests) == 6


def test_what_is_known_is_not_asked_for(model: Model) -> None:
    labels = Affordance(grasp=3, object_size="large")
    chat = Endpoint(model.url, "tiny")
    found = Describer(chat)(view_of(photo()), labels)
    assert found.affordance.grasp == 3 and found.affordance.object_size == "large"
    assert found.text == "A right hand holding a large cylindrical mug to drink, with a medium wrap grasp."
    asked = model.requests[0]["response_format"]["json_schema"]["schema"]["required"]
    assert "grasp" not in asked and "object_size" not in asked and len(asked) == 4


@pytest.mark.parametrize("fault", [500, 503, 429, "no JSON", "no choices", "break off", {"says": "  "}])
def test_a_fault_that_passes_is_waited_out(model: Model, fault: Any) -> None:
    model.script = [fault, fault]
    assert describer(model).extract(view_of(photo())).object_category == "mug"
    assert len(model.requests) == 3


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_server_that_is_too_slow_is_not_waited_for(model: Model, fault: str) -> None:
    model.script = [fault]
    began = time.monotonic()
    assert describer(model, timeout=0.3).extract(view_of(photo())).object_category == "mug"
    assert time.monotonic() - began < 0.9 and len(model.requests) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(500, "HTTP 500"), ("no JSON", "no chat completion"), ("hang", "answer within 0.2 s"), ("break off", "")],
)
def test_a_server_that_stays_broken_is_given_up_in_one_sentence(model: Model, fault: Any, reason: str) -> None:
    model.script = [fault] * 9
    with pytest.raises(HopriorError, match=r"no answer from tiny after 2 tries .*is the server running") as caught:
        describer(model, retries=1, timeout=0.2).extract(view_of(photo()))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_refuses_is_not_asked_again(model: Model) -> None:
    model.script = [400]
    with pytest.raises(HopriorError, match=r"refuses tiny \(HTTP 400: .*the model fell over"):
        describer(model).extract(view_of(photo()))
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "wrong", ["It is a mug.", '{"object_category": "mug"}', json.dumps({**SEEN, "grasp": "iron fist"})]
)
def test_an_answer_that_cannot_be_used_is_asked_for_again_with_the_reason(model: Model, wrong: str) -> None:
    model.script = [{"says": wrong}]
    assert describer(model).extract(view_of(photo())).grasp == 9
    question = model.requests[1]["messages"][0]["content"][1]["text"]
    assert "Your last answer could not be used: " in question


def test_a_model_that_never_answers_usably_is_given_up(model: Model) -> None:
    model.script = [{"says": '{"grasp": "fist"}'}] * 9
    with pytest.raises(HopriorError, match="none of 3 answers could be used"):
        describer(model).extract(view_of(photo()))


@pytest.mark.parametrize("wrong", ["A right hand holds a mug.", "word " * 80])
def test_a_sentence_must_name_the_grasp_and_be_short(model: Model, wrong: str) -> None:
    model.script = [{"says": wrong}, {"says": f'"{SENTENCE}"'}]
    assert describer(model).summarize(Affordance("mug", grasp=9)) == SENTENCE
    assert len(model.requests) == 2


def test_answers_are_kept_and_damaged_ones_asked_for_again(model: Model, tmp_path: Path) -> None:
    view = view_of(photo())
    first = describer(model, tmp_path)(view)
    assert describer(model, tmp_path)(view) == first and len(model.requests) == 2
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text()[:20])
    assert describer(model, tmp_path)(view) == first and len(model.requests) == 4
    other = view_of(photo(321))
    assert describer(model, tmp_path)(other) == first and len(model.requests) == 5  # the sentence is the same


def test_unusable_answers_are_not_kept(model: Model, tmp_path: Path) -> None:
    model.script = [{"says": "no"}] * 3
    with pytest.raises(HopriorError):
        describer(model, tmp_path).extract(view_of(photo()))
    assert not list(tmp_path.iterdir())


def test_the_command_keeps_what_could_be_described(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(photo().pixels).save(folder / "a.jpg")
    Image.fromarray(photo().pixels).convert("CMYK").save(folder / "b.jpg")
    (folder / "c.png").write_bytes(b"not a picture")
    out = tmp_path / "said.json"
    arguments = [f"--image={folder}", f"--endpoint={model.url}", "--vision-model=tiny", "--grasp=3", f"--out={out}"]
    assert main(["describe", *arguments]) == 2
    captured = capsys.readouterr()
    assert "a.jpg: A right hand holding a small cylindrical mug to drink, with a medium wrap grasp." in captured.out
    assert "b.jpg: A right hand" in captured.out and "c.png" in captured.err and "Traceback" not in captured.err
    assert "1 of 3 could not be described" in captured.err
    assert "error" in json.loads(out.read_text())["descriptions"]["c.png"]


def test_no_server_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.fromarray(photo().pixels).save(tmp_path / "a.jpg")
    arguments = [f"--image={tmp_path / 'a.jpg'}", "--endpoint=http://127.0.0.1:9/v1", "--vision-model=m", "--retries=0"]
    assert main(["describe", *arguments]) == 2
    assert capsys.readouterr().err.startswith("hoprior: http://127.0.0.1:9/v1: no answer from m after 1 tries (conn")


@pytest.mark.parametrize(
    ("box", "message"), [((5, 5, 5, 9), "left < right"), ((400, 0, 500, 9), "outside the photo, which has 320 x 240")]
)
def test_boxes_that_cannot_be_are_refused(box: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(HopriorError, match=message):
        view_of(photo(), hand=box)


def test_large_photos_are_shown_smaller_with_their_boxes() -> None:
    view = view_of(photo(4000, 3000), hand=(0, 0, 4000, 3000))
    assert max(view.image.size) == 1024 and view.hand == pytest.approx((0, 0, 1024, 768))


def test_the_command_says_how_many_answers_were_kept(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (320, 240), "white").save(tmp_path / "cup.png")
    arguments = ["describe", "--image", str(tmp_path / "cup.png"), "--endpoint", model.url, "--vision-model", "tiny"]
    for said in ("", "resumed: 1 of 1 answers"):
        assert main([*arguments, "--cache", str(tmp_path / "answers")]) == 0
        err = capsys.readouterr().err
        assert said in err and ("resumed" in err) == bool(said)
    assert len(model.requests) == 1
