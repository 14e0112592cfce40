"""Grasps of many meshes: each whole or not at all, gone on with, failures told; small, without priors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trimesh
from documented_outputs import faults_of
from two_nodes import STARTED, TWO_NODES
from two_nodes import environment as of_cluster

import hoprior
from hoprior.cli.entry import main
from hoprior.common.jobs import run_jobs
from hoprior.common.run_key import RunKey
from hoprior.errors import HopriorError
from hoprior.hand.placement import LocalSearchConfig
from hoprior.priors.registry import kept_priors, prior_on
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.grasp.meshes import mesh_items
from hoprior.tasks.many import Outcome, Work, run_many
from hoprior.tasks.many_items import Item, text_for

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = GraspConfig(
    pool=32,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(2),
    refining=DescentConfig(2),
    faults=FaultWeights(simulate=False),
)
FLAGS = [
    *("--num", "1", "--prior", "none", "--no-report", "--config.pool", "32", "--config.guiding.steps", "2"),
    *("--config.refining.steps", "2", "--config.faults.simulate", "false"),
]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Two boxes, a broken file and one that says no unit."""
    folder = tmp_path / "meshes"
    (folder / "more").mkdir(parents=True)
    trimesh.creation.box((0.05, 0.06, 0.07)).export(folder / "box.stl")
    trimesh.creation.cylinder(0.03, 0.1).export(folder / "more" / "025_mug.ply")
    trimesh.creation.box((5, 6, 7)).export(folder / "large.stl")
    (folder / "broken.stl").write_text("solid broken")
    return folder


def made(meshes: object, out: Path, **settings: object) -> dict[str, Outcome]:
    given = {"num": 1, "priors": [], "config": SMALL, **settings}
    return {outcome.name: outcome for outcome in hoprior.grasp_many(meshes, out, **given)}  # type: ignore[arg-type]


def test_what_cannot_be_used_is_told_and_the_others_are_done_once(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = made(meshes, out)
    assert {name: outcome.status for name, outcome in found.items()} == {
        "box": "done",
        "025_mug": "done",
        "large": "failed",
        "broken": "failed",
    }
    assert "pass --mesh-unit" in str(found["large"].error) and "no faces" in str(found["broken"].error)
    assert len(GraspResults.load(out / "box")) == 1 and not (out / "large").exists()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"] == {"done": 2, "failed": 2, "waiting": 0}
    assert faults_of(out / "manifest.json") == [] and faults_of(out / "box" / "grasps.json", whole=False) == []
    assert {entry["name"] for entry in manifest["items"] if entry["error"]} == {"large", "broken"}
    before = (out / "box" / "grasps.json").stat().st_mtime_ns
    again = made(meshes, out)
    assert [again[name].status for name in ("box", "025_mug", "large", "broken")] == [
        "kept",
        "kept",
        "failed",
        "failed",
    ]
    assert (out / "box" / "grasps.json").stat().st_mtime_ns == before
    assert json.loads((out / "manifest.json").read_text())["counts"] == manifest["counts"]


def test_what_follows_from_something_else_is_made_anew(meshes: Path, tmp_path: Path) -> None:
    mine = [meshes / "box.stl", meshes / "more" / "025_mug.ply"]
    said: list[str] = []
    made(mine, tmp_path)
    assert {o.status for o in made(mine, tmp_path, text="a {name}", say=said.append).values()} == {"done"}
    assert said == ["resumed: 0 of 2 are there; 2 are made anew, because the text differs"]
    trimesh.creation.box((0.05, 0.06, 0.08)).export(meshes / "box.stl")
    found = made(mine, tmp_path, text="a {name}", say=said.append)
    assert (found["box"].status, found["025_mug"].status) == ("done", "kept")
    assert GraspResults.load(tmp_path / "025_mug").text == "a mug"
    assert {o.status for o in made(mine, tmp_path, text="a {name}", device="cpu").values()} == {"kept"}


def test_the_same_grasps_as_one_by_one(meshes: Path, tmp_path: Path) -> None:
    made([meshes / "box.stl"], tmp_path)
    alone = hoprior.grasp(meshes / "box.stl", num=1, priors=[], config=SMALL)
    assert GraspResults.load(tmp_path / "box")[0].T_object_hand == pytest.approx(alone[0].T_object_hand, abs=1e-6)


def test_the_command_on_a_folder(meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", "grasp", "--mesh", str(meshes), "--out", str(out), *FLAGS, "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) | {"out": 0, "manifest": 0} == {
        "out": 0,
        "manifest": 0,
        "meshes": 4,
        "done": 2,
        "kept": 0,
        "failed": 2,
    }
    assert "2 of 4 meshes failed" in shown.err and str(out / "manifest.json") in shown.err
    pattern = str(meshes / "**" / "*.ply")
    assert main(["run", "grasp", "--mesh", pattern, "--out", str(out), *FLAGS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mesh", "a.obj", "b.obj"], "--mesh takes one path, and b.obj follows it"),
        (["--mesh", "{meshes}/*.nothing"], "there is no such file"),
        (["--mesh", "{meshes}/box.stl", "--workers", "2"], "give a folder or a list"),
        (["--mesh", "{meshes}", "--engine", "slurm"], "--engine slurm is unknown: use local or ray"),
        (["--mesh", "{meshes}", "--workers", "0"], "--workers 0 is too few"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    meshes: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("{meshes}", str(meshes)) for word in words]
    assert main(["run", "grasp", *words, "--out", str(tmp_path / "out"), *FLAGS]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(HopriorError, match="not one of hoprior's"):
        made(meshes, tmp_path)
    made([meshes / "box.stl"], tmp_path / "out")
    with pytest.raises(HopriorError, match="holds grasps of one mesh"):
        made(meshes, tmp_path / "out" / "box")


def test_lists_say_what_each_is(meshes: Path, tmp_path: Path) -> None:
    table = meshes / "mine.csv"
    table.write_text('mesh,text,size,num\nlarge.stl,"a box, large",12cm,2\nbox.stl,,,\ngone.stl,,,\n')
    items = {item.name: item for item in mesh_items(table)}
    assert items["large"].settings == {"text": "a box, large", "size": "12cm", "num": 2}
    assert text_for(items["large"], "a {name}") == "a box, large" and text_for(items["box"], "a {name}") == "a box"
    found = made(table, tmp_path / "out")
    assert {name: outcome.status for name, outcome in found.items()} == {
        "large": "done",
        "box": "done",
        "gone": "failed",
    }
    assert "gone.stl: cannot be read" in str(found["gone"].error)
    assert len(GraspResults.load(tmp_path / "out" / "large")) == 2
    lines = meshes / "mine.txt"
    lines.write_text("# of mine\nbox.stl\nmore/025_mug.ply\ta mug by the handle\n")
    assert [dict(item.settings) for item in mesh_items(lines)] == [{}, {"text": "a mug by the handle"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "path,text\nbox.stl,a box\n", "no 'mesh'"),
        ("a.csv", "mesh,colour\nbox.stl,red\n", "nothing is known of 'colour'"),
        ("a.csv", "mesh,num\nbox.stl,many\n", "row 1: 'many' is no num"),
        ("a.csv", "mesh,text\nbox.stl,a,b\n", "more values than the heading"),
        ("a.csv", "mesh,text\n,a box\n", "row 1 names no mesh"),
        ("a.txt", "\n# nothing\n", "there is no mesh in it"),
    ],
)
def test_lists_that_say_nothing_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HopriorError, match=said):
        mesh_items(tmp_path / name)


def test_results_are_none_of_the_meshes(meshes: Path) -> None:
    out = meshes / "out"
    made([meshes / "box.stl"], out)
    assert [item.name for item in mesh_items(meshes)] == ["box", "broken", "large", "025_mug"]


def test_of_a_mesh_and_its_description_it_is_the_description(tmp_path: Path) -> None:
    for name in ("000.obj", "000.urdf", "lid.obj"):
        (tmp_path / name).touch()
    assert [Path(item.source).name for item in mesh_items(tmp_path)] == ["000.urdf", "lid.obj"]


def test_priors_are_loaded_once_for_many() -> None:
    import torch

    cpu = torch.device("cpu")
    with kept_priors():
        assert prior_on("contrastive", cpu, "grasp") is prior_on("contrastive", cpu, "grasp")
    assert prior_on("contrastive", cpu, "grasp") is not prior_on("contrastive", cpu, "grasp")


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise HopriorError("out: cannot be written: free some space") from OSError(28, "No space left on device")

    items = [Item("a", "a.stl"), Item("b", "b.stl")]
    work = Work("grasp", "grasps.json", full, lambda item: hoprior_key())
    with pytest.raises(HopriorError, match="free some space"):
        list(run_many(items, work, tmp_path))
    counts = json.loads((tmp_path / "manifest.json").read_text())["counts"]
    assert counts == {"done": 0, "failed": 1, "waiting": 1}


def test_a_fault_of_ours_at_one_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    def works_for_b(item: Item, *_: object) -> None:
        if item.name == "a":
            raise IndexError("beyond the end")

    work = Work("grasp", "grasps.json", works_for_b, lambda item: hoprior_key())
    found = list(run_many([Item("a", "a.stl"), Item("b", "b.stl")], work, tmp_path))
    assert [(o.status, o.error) for o in found] == [("failed", "a.stl: IndexError: beyond the end"), ("done", None)]


def hoprior_key() -> RunKey:

    return RunKey.of({"the seed": 0})


def dies_once(k: int, folder: str) -> int:
    mark = Path(folder) / str(k)
    if k == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return k * k


def dies(k: int) -> int:
    if k == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return k * k


def lost(job: object, error: str) -> int:
    assert "ended from outside" in error
    return -1


def test_what_a_killed_worker_had_is_done_again(tmp_path: Path) -> None:
    jobs = [(k, str(tmp_path)) for k in range(6)]
    found = sorted(result for _, result in run_jobs(dies_once, jobs, 2, lost=lost))
    assert found == [0, 1, 4, 9, 16, 25]


def test_what_kills_its_worker_again_is_given_up_alone() -> None:
    found = {job[0]: result for job, result in run_jobs(dies, [(k,) for k in range(6)], 2, lost=lost)}
    assert found == {0: 0, 1: -1, 2: 4, 3: 9, 4: 16, 5: 25}


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from hoprior.common.jobs import run_jobs\n"
        "def wait(folder, k):\n"
        "    (Path(folder) / str(os.getpid())).touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(run_jobs(wait, [(sys.argv[1], k) for k in range(2)], 2))\n"
    )
    for number in (signal.SIGKILL, signal.SIGINT):
        place = tmp_path / str(int(number))
        place.mkdir()
        run = subprocess.Popen(
            [sys.executable, str(script), str(place)], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
        )
        deadline = time.monotonic() + 60
        while len(list(place.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(number)
        run.wait(timeout=30)
        pids = [int(path.name) for path in place.iterdir()]
        while any(map(_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(pids) == 2 and not any(map(_alive, pids))


@pytest.mark.slow
def test_two_machines_share_the_meshes(meshes: Path, tmp_path: Path) -> None:
    """A local cluster of two nodes; one worker is killed in the middle, and its mesh done again."""
    pytest.importorskip("ray")
    for k in range(4):
        trimesh.creation.box((0.05, 0.06, 0.07 + 0.001 * k)).export(meshes / f"box{k}.stl")
    script = f"""
import os, signal, sys, threading, time
from pathlib import Path
from hoprior.cli.entry import main
{TWO_NODES}
from hoprior.tasks.grasp.many import ManyGrasps
from hoprior.tasks.grasp import many
out, mark, others = {str(tmp_path / "out")!r}, {str(tmp_path / "mark")!r}, {str(tmp_path / "who")!r}
os.mkdir(others)
plain = ManyGrasps.__call__
def dies_once(self, item, folder, made_of):
    open(others + "/" + str(os.getppid()), "w").close()
    if item.name == "box1" and not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    plain(self, item, folder, made_of)
class Dying(ManyGrasps):
    __call__ = dies_once
many.ManyGrasps = Dying
status = main(["run", "grasp", "--mesh", {str(meshes)!r}, "--out", out, "--engine", "ray", *{FLAGS!r}])
print("status", status, "killed", os.path.exists(mark), "nodes at work", len(os.listdir(others)))
"""
    (tmp_path / "script.py").write_text(script)
    with (tmp_path / "said").open("w+") as said, (tmp_path / "err").open("w+") as err:
        command = [sys.executable, str(tmp_path / "script.py")]
        subprocess.run(command, env=of_cluster(), stdout=said, stderr=err, timeout=500)
    text = (tmp_path / "said").read_text()
    assert STARTED in text, (tmp_path / "err").read_text()[-3000:]
    assert "status 1 killed True nodes at work 2" in text, text + (tmp_path / "err").read_text()[-3000:]
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert counts == {"done": 6, "failed": 2, "waiting": 0}
