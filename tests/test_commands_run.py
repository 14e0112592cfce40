"""Every command and every Python block that README and docs show runs, small, in one folder; or a table says why not.

A command that is shown twice runs once. All of them see what earlier ones wrote, as a reader's folder would have it.
"""

import argparse
import re
import runpy
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_mano import write_mano_folder
from readers_folder import Speaker, Workshop
from shown_commands import PAGES, RENAMED, ROOT, Shown, python_blocks, shown_commands

import hoprior
from hoprior.cli import main
from hoprior.cli.view import page_at
from hoprior.hand.placement import LocalSearchConfig
from hoprior.tasks.grasp import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights

NOT_RUN = (
    (r"^pip install", "installs from the network; tools/check_release.sh and tools/newcomer.sh install the wheel"),
    (
        r"^make (demo|test|coverage|test-oldest|test-newest|docs|bench)",
        "makes an environment, runs these very tests, or takes minutes",
    ),
    (r"^tensorboard ", "a server of another package"),
    (r"^(FREE=\S+ )?bash tools/", "hours of training; its steps are tried in tests/priors/test_train_open_priors.py"),
    (r"^python (benchmarks|tools)/|^python -m tests", "minutes to hours, or data of development: a figure, not a use"),
    (r"--local-vision", "downloads a model of 16 GB"),
    (r"--judge ", "asks a model that sees; tests/evaluation/test_judging.py has a server in its place"),
    (r"fit --config configs/", "hours, on data that take minutes to make; tests/cli/test_fit_tries.py starts them"),
    (
        r"export out/(contrastive|vqvae|grid_prior|parts|kinds|shape|words|pose|pose_words)/",
        "what those trainings made",
    ),
    (r"--free ", "a file of free poses that is not ours to ship; tests/datasets/test_poses.py makes one up"),
    (r"--root HOGRASPNET", "a dataset that is asked for; tests/evaluation/test_refinement.py reads a made-up one"),
    (r"run reconstruct --video clip", "masks that SAM 2 draws, whose weights are a download"),
    (r"--(mesh|object-mesh|to)$|--video \.\.\.", "an option that a sentence speaks of, not a command"),
)
"""What is parsed alone, and why."""
QUICK = (
    r"describe (--category|--image \S+ --hand-box)|priors|completion|data list|data check|eval grasp out/mug|"
    r"export (hand|out/mug_grasps --to mjcf$)|view |--help|^python -c|print_config"
)
"""Seconds at most: these run by default, all others with the slow tests."""
COMMANDS = shown_commands()


def reason(shown: Shown) -> str | None:
    """Why it is not run; None where it is."""
    return next((why for pattern, why in NOT_RUN if re.search(pattern, shown.line)), None)


RUN = [shown for shown in COMMANDS if reason(shown) is None]
PARSED = [shown for shown in COMMANDS if reason(shown) is not None]


def is_quick(shown: Shown) -> bool:
    return re.search(QUICK, shown.line) is not None


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "mano").mkdir()
    write_mano_folder(folder / "mano")
    model = Speaker()
    threading.Thread(target=model.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOPRIOR_MANO_DIR", str(folder / "mano"))
        patch.setenv("HOPRIOR_CACHE_DIR", str(folder / "caches"))
        patch.setenv("WANDB_MODE", "offline")
        yield Workshop(folder, model)
    model.shutdown()


@pytest.mark.parametrize(
    "shown", [pytest.param(shown, marks=() if is_quick(shown) else pytest.mark.slow, id=shown.line) for shown in RUN]
)
def test_it_runs(shown: Shown, workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    for words, package in (("WandbLogger", "wandb"), ("TensorBoardLogger", "tensorboard"), ("urdf", "mujoco")):
        if words in shown.line:
            pytest.importorskip(package)
    argv = workshop.small(shown)
    workshop.needs(shown.line + " " + " ".join(argv))
    if argv[:2] == ["hoprior", "view"]:
        assert "<html" in page_at(Path(argv[2]))
    elif argv[0] == "hoprior":
        try:
            code = main(argv[1:])
        except SystemExit as stop:  # Lightning's --print_config
            code = int(stop.code or 0)
        assert code == 0, f"{shown.page.name}: {shlex.join(argv)}\n{capsys.readouterr().err}"
    else:
        done = subprocess.run([sys.executable, *argv[1:]], cwd=workshop.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class Understood(Exception):
    """A program has read its arguments, and would begin."""


PROGRAMS = [shown for shown in PARSED if shown.argv[0].startswith("python")]


@pytest.mark.parametrize("shown", PROGRAMS, ids=lambda shown: shown.line)
def test_a_program_that_is_not_run_takes_these_arguments(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own parser reads them; those without one take what lies in `sys.argv`, and are only looked for."""
    argv = [re.sub(r"(\w+)\|.*", r"\1", word) for word in shown.argv]
    script = ROOT / ("tests/fuzz/__main__.py" if argv[1] == "-m" else argv[1])
    assert script.is_file(), script
    if "parse_args" not in script.read_text(encoding="utf-8"):
        return
    read = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        read(self, *given, **named)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", [str(script), *argv[3 if argv[1] == "-m" else 2 :]])
    monkeypatch.syspath_prepend(str(script.parent))
    with pytest.raises(Understood):
        runpy.run_path(str(script), run_name="__main__")


def test_scripts_and_targets_are_there() -> None:
    """Shell scripts are whole as bash reads them, and `make` has each target."""
    others = [shown.argv for shown in PARSED if shown.argv[0] in ("bash", "make")]
    assert len(others) >= 8
    for program, *arguments in others:
        command = ["bash", "-n", arguments[0]] if program == "bash" else ["make", "-n", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_figures_in_reliability_are_these() -> None:
    """How many run, and how many are only parsed, to within ten; and no line of a table is left over."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    stated = re.search(r"Of (\d+) commands .*, (\d+) are run \((\d+) of them by .*\), (\d+) are only parsed", page)
    now = (len(COMMANDS), len(RUN), sum(map(is_quick, RUN)), len(PARSED))
    assert stated is not None
    assert all(abs(int(then) - count) <= 10 for then, count in zip(stated.groups(), now, strict=True)), now
    for table in (NOT_RUN, RENAMED):
        idle = [pattern for pattern, _ in table if not any(re.search(pattern, shown.line) for shown in COMMANDS)]
        assert not idle


BLOCKS_NOT_RUN = {
    "extending": "each is of a file in examples/, which tests/test_snippets.py compares and runs",
    "refine": "its writer for HaMeR wants HaMeR; tests/tasks/test_refine.py reads such a file",
}
SMALL_CALLS = (
    (r"hoprior\.grasp\(", "small.grasp("),
    (r"hoprior\.grasp_many\(", "small.grasp_many("),
    (r"num=\d+", "num=1"),
    (r'indices\("test"\)', 'indices("train")'),  # of one sequence, which is one subject's
    (r'sample.image\("depth"\)', "sample.image"),  # which the made-up recording has not
    (r'preset="fast"', 'preset="fast", minutes=0.3'),
    (r"sample_interactions\(None, 4, steps=50", "sample_interactions(None, 2, steps=2"),
    (r"http://localhost:\d+/v1", "URL"),
)


class SmallCalls:
    """The calls that take minutes, with the least of everything."""

    config = GraspConfig(
        pool=64,
        local_search=LocalSearchConfig(0),
        spare=0.0,
        guiding=DescentConfig(3),
        refining=DescentConfig(6),
        faults=FaultWeights(simulate=False),
    )

    def grasp(self, *given: Any, **named: Any) -> Any:
        return hoprior.grasp(*given, **{"num": 1, **named}, config=self.config)

    def grasp_many(self, *given: Any, **named: Any) -> Any:
        return hoprior.grasp_many(*given, **named, config=self.config)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_python_of_a_page_runs(page: Path, workshop: Workshop) -> None:
    """Its blocks are one program, as they are read."""
    if page.stem in BLOCKS_NOT_RUN:
        pytest.skip(BLOCKS_NOT_RUN[page.stem])
    names: dict[str, Any] = {"small": SmallCalls()}
    for block in python_blocks(page):
        workshop.needs(block)
        for pattern, instead in SMALL_CALLS:
            block = re.sub(pattern, workshop.model.url if instead == "URL" else instead, block)
        exec(compile(block, str(page), "exec"), names)
