"""A judge of pairs of grasps: a server of the test's own that looks for the hand in the pictures."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoprior.cli.eval_grasp import main
from hoprior.errors import HopriorError

CUBE, BALL = trimesh.creation.box((0.1, 0.1, 0.1)), trimesh.creation.icosphere(2, 0.02)


class Judge(ThreadingHTTPServer):
    daemon_threads = True
    habit = "looks"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(request)
        content = request["messages"][0]["content"]
        address = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        picture = np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB")).astype(int)
        skin = (picture[..., 0] - picture[..., 2] > 25).sum(axis=0)
        # It likes the side where there is more of a hand to be seen.
        better = "left" if skin[: len(skin) // 2].sum() > skin[len(skin) // 2 :].sum() else "right"
        said = {"looks": json.dumps({"better": better}), "left": "Left.", "chats": "Both are fine hands."}
        body = json.dumps({"choices": [{"message": {"content": said[self.server.habit]}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def judge() -> Iterator[Judge]:
    server = Judge()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def hands(folder: Path, depth: float, num: int = 3) -> Path:
    """Balls for hands, so deep in a cube's sides."""
    folder.mkdir()
    for k in range(num):
        scene = trimesh.Scene()
        place = trimesh.transformations.rotation_matrix(0.7 * k, [0, 0, 1])[:3, :3] @ [0.07 - depth, 0, 0]
        scene.add_geometry(BALL.copy().apply_translation(place), node_name="hand", geom_name="hand")
        scene.add_geometry(CUBE.copy(), node_name="object", geom_name="object")
        scene.export(folder / f"{k}.glb")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return hands(tmp_path / "a" / "cube", 0.0), hands(tmp_path / "b" / "cube", 0.03, num=5)


def judged(ours: Path, other: Path, judge: Judge) -> dict[str, Any]:
    main([str(ours), "--no-simulate", "--judge", judge.url, "--judge-model", "eyes", "--against", str(other)])
    found: dict[str, Any] = json.loads((ours / "metrics.json").read_text())["judge"]
    return found


def test_what_the_judge_sees_decides(folders: tuple[Path, Path], judge: Judge, capsys: pytest.CaptureFixture) -> None:
    ours, sunken = folders
    found = judged(ours, sunken, judge)
    assert found["share"] == found["same"] == 1 and found["pairs"] == 3
    assert 0.4 < found["low"] < 0.45 and found["high"] == 1  # Wilson's interval of 3 of 3
    assert len(judge.asked) == 6 and found["model"].startswith("eyes at")
    assert "in 100% of 3 pairs" in " ".join(capsys.readouterr().out.split())
    assert judged(sunken, ours, judge)["share"] == 0


def test_a_judge_that_likes_a_side_is_found_out(folders: tuple[Path, Path], judge: Judge) -> None:
    judge.habit = "left"
    found = judged(*folders, judge)
    assert found["share"] == 0.5 and found["same"] == 0 and found["low"] < 0.5 < found["high"]


def test_nothing_in_the_pictures_or_the_question_says_who_is_who(folders: tuple[Path, Path], judge: Judge) -> None:
    judged(*folders, judge)
    said = {part["text"] for asked in judge.asked for part in asked["messages"][0]["content"] if part["type"] == "text"}
    assert len(said) == 1 and str(folders[0].parent) not in said.pop()


def test_a_judge_without_a_verdict_ends_in_a_sentence(folders: tuple[Path, Path], judge: Judge) -> None:
    judge.habit = "chats"
    with pytest.raises(HopriorError, match="try another model, one that sees pictures"):
        judged(*folders, judge)
    assert not (folders[0] / "metrics.json").exists()


def test_what_a_judge_needs_is_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    ours, other = map(str, folders)
    with pytest.raises(HopriorError, match="--judge asks for --judge-model"):
        main([ours, "--judge", "http://localhost:1/v1", "--against", other])
    with pytest.raises(HopriorError, match="give its server's URL with --judge"):
        main([ours, "--against", other])
    elsewhere = hands(tmp_path / "mug", 0.0)
    with pytest.raises(HopriorError, match="judged are of cube, those beside them of mug"):
        main([ours, "--judge", "http://localhost:1/v1", "--judge-model", "eyes", "--against", str(elsewhere)])
