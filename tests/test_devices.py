"""Commands on a device of their own: what would stop at the first GPU stops here, where there is none."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from held_box import HAND, held_box
from needs import PRETEND_DEVICE
from training_settings import CONFIGS, QUIET, SMALL_PRIOR, SMALL_VQVAE

import hoprior
from hoprior.cli.configurations import main
from hoprior.cli.fit import export_checkpoint
from hoprior.datasets.clips.film import FilmConfig, film

MUG = Path(hoprior.__file__).parent / "assets" / "meshes" / "mug.obj"
pytestmark = PRETEND_DEVICE
HERE = Path(__file__).parent
ON_DEVICE = [sys.executable, str(HERE / "pretend_device.py")]


def run(*command: object) -> str:
    """Runs a command line on the pretended device; returns what it says, and fails with it."""
    done = subprocess.run([*ON_DEVICE, *map(str, command)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def counts(told: str) -> dict[str, int]:
    """What `count` says that the device was given to do."""
    return {name: int(count) for count, name in re.findall(r"(\d+) (launches|waits|uploads|kernels)", told)}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of three frames."""
    place = tmp_path / "clip"
    place.mkdir()
    film(held_box(3), HAND, place, FilmConfig(size=96))
    return place


def test_the_device_refuses_what_a_gpu_refuses() -> None:
    told = subprocess.run([*ON_DEVICE, "check"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == ["added", "drawn", "indexed", "numpy"]


def test_steps_that_are_repeated_go_where_the_same_steps_go_one_by_one() -> None:
    """A step costs a launch and waits for nothing; so does asking a prior that says it may be repeated, and can be."""
    done = subprocess.run([sys.executable, HERE / "repeated_descents.py"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for found in told.values():
        assert found["same"] and found["off"] < 1e-5 < 0.01 < found["moved"]
    # Of four more steps, in which a prior is asked twice.
    costs = {name: (found["more"]["launches"], found["more"]["waits"]) for name, found in told.items()}
    assert costs["flesh"] == (4, 0) and costs["contact"] == (4 + 2, 0)
    assert costs["waits"][0] > 100 and costs["waits"][1] == 2
    assert costs["counts"][0] > 100 and costs["counts"][1] == 0
    assert not any(found["more"]["uploads"] for found in told.values())


def test_grasps(tmp_path: Path) -> None:
    """All embedded priors are asked, for a part and a kind; walls are guarded; a left hand is mirrored.

    What the device is given to do is held: a constant that is made in a step, or a wait in a loop, is found here.
    """
    few = ["--config.pool", "48", "--config.guiding.steps", "2", "--config.refining.steps", "2"]
    few += ["--text", "a lateral grasp of a mug by its handle"]
    told = run("count", "run", "grasp", "--mesh", MUG, "--num", 1, "--side", "left", "--device", "pretend",
        "--simulate", "false", "--no-report", "--out", tmp_path / "out", *few)  # fmt: skip
    assert (tmp_path / "out" / "grasps.json").is_file()
    found = counts(told)
    assert found["launches"] < 31_000 and found["waits"] < 140 and found["uploads"] < 730, told


@pytest.mark.slow
def test_ten_grasps_of_a_mug_are_few_launches_and_waits(tmp_path: Path) -> None:
    """docs/performance.md has what they were before."""
    told = run("count", "run", "grasp", "--mesh", MUG, "--num", 10, "--device", "pretend", "--simulate", "false",
        "--no-report", "--out", tmp_path / "out")  # fmt: skip
    found = counts(told)
    assert found["launches"] <= 41_000 and found["waits"] <= 200 and found["uploads"] <= 800, told


def test_reconstruction(clip: Path, tmp_path: Path) -> None:
    counts = {"hand_steps": 2, "steps": 4, "rounds": 1, "register_steps": 2, "frames": 2, "rays": 16}
    few = " ".join(f"--config.{name} {count}" for name, count in counts.items())
    run("run", "reconstruct", "--clip", clip, "--device", "pretend", "--out", tmp_path / "out",
        "--no-report", "--config.resolution", 24, *few.split())  # fmt: skip
    assert (tmp_path / "out" / "object.ply").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["grid", "pose"])
def test_samples(prior: str, tmp_path: Path) -> None:
    run("run", "generate", "--prior", prior, "--text", "a mug", "--num", 1, "--steps", 10, "--device", "pretend",
        "--out", tmp_path / "out")  # fmt: skip
    assert list((tmp_path / "out").glob("*.png"))


@pytest.mark.slow
def test_a_photo_is_refined(shared_data: Path, tmp_path: Path) -> None:
    photo = shared_data / "images" / "hamer_test1.jpg"
    run("run", "refine", "--image", photo, "--device", "pretend", "--out", tmp_path / "out")
    assert list((tmp_path / "out").glob("*.png"))


@pytest.mark.slow
def test_a_set_is_made_there_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    run("data", "synthesize", "--families", "apple", "--num", 1, "--device", "pretend", "--out", tmp_path / "set")
    assert '"device": "pretend' in (tmp_path / "set" / "manifest.json").read_text()


@pytest.mark.slow
def test_both_stages_are_trained(tmp_path: Path) -> None:
    strategy = "pytorch_lightning.strategies.SingleDeviceStrategy"
    where = ["--trainer.accelerator=pretend", f"--trainer.strategy={strategy}", "--trainer.strategy.device=pretend:0"]
    few = ["--data=training_balls.BallData", "--data.batch_size=4", *QUIET, "--trainer.max_steps=2"]
    first, second = (f"--config={CONFIGS / name}.yaml" for name in ("vqvae", "grid_prior"))
    run("fit", first, *SMALL_VQVAE, *few, *where, f"--out={tmp_path / 'there'}")
    main(["fit", first, *SMALL_VQVAE, *few, f"--out={tmp_path / 'here'}"])
    vqvae = tmp_path / "vqvae.safetensors"
    export_checkpoint(tmp_path / "here" / "last.ckpt", vqvae)
    run("fit", second, f"--model.vqvae={vqvae}", *SMALL_PRIOR, *few, *where, f"--out={tmp_path / 'prior'}")
    for folder in ("there", "prior"):
        assert (tmp_path / folder / "last.ckpt").is_file()
