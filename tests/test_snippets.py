"""What README, docs and examples show: it runs, it is typed, and the docs show what the examples do."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hoprior.priors import protocols

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EXTENDING = ROOT / "docs" / "extending.md"
STRICT = ("--no-error-summary", "--disallow-untyped-calls", "--untyped-calls-exclude=torch", "--follow-imports=silent")


def _blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_there_are_snippets() -> None:
    assert len(_blocks(ROOT / "README.md")) >= 2 and len(_blocks(EXTENDING)) >= 5


@pytest.mark.slow
def test_snippets_and_examples_pass_mypy(tmp_path: Path) -> None:
    """The snippets of a page are one program, as they are read: later ones know the names of earlier ones."""
    files = []
    for page in PAGES:
        if blocks := _blocks(page):
            files.append(tmp_path / f"page_{page.stem.lower()}.py")
            files[-1].write_text("\n".join(blocks))
    for example in EXAMPLES:
        files.append(tmp_path / f"example_{example.name}")
        files[-1].write_text(example.read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--allow-redefinition"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *STRICT, *map(str, files)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", range(len(_blocks(EXTENDING))))
def test_the_page_shows_what_the_examples_run(number: int) -> None:
    block = _blocks(EXTENDING)[number]
    name = re.match(r"# (examples/\w+\.py)\n", block)
    assert name is not None, "a snippet begins with the file that it is from"
    example = (ROOT / name[1]).read_text(encoding="utf-8")
    assert len(block.splitlines()) <= 40
    for statement in ast.parse(block).body:
        text = ast.get_source_segment(block, statement)
        assert text is not None and text in example


def test_the_page_shows_all_of_the_socket() -> None:
    page = EXTENDING.read_text(encoding="utf-8")
    capabilities = [
        name
        for name, thing in inspect.getmembers(protocols, inspect.isclass)
        if getattr(thing, "_is_runtime_protocol", False) and thing.__module__ == protocols.__name__
    ]
    assert len(capabilities) > 10
    assert not [name for name in capabilities if f"`{name}`" not in page]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    arguments = []
    if "reconstruct" in example.stem:
        from held_box import film_box

        arguments = [str(film_box(tmp_path / "clip")), "0.3"]
    if "mujoco" in example.stem:
        pytest.importorskip("mujoco")
    if "train" in example.stem or "loop" in example.stem:
        arguments = ["2"]  # steps
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(example), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(ROOT / "examples" / "12_a_tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without what it showed"
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
