"""The site: it builds without a warning, no link of it is broken, and it shows every public name."""

import importlib
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PUBLIC = json.loads((ROOT / "tests" / "api_surface.json").read_text(encoding="utf-8"))
SHOWN = re.findall(r"^::: ([\w.]+)$", "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md")), re.MULTILINE)
LINKS = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")


def _thing(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("mkdocstrings") is None,
    reason="mkdocs-material and mkdocstrings are not installed: pip install -e '.[docs]'",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`strict` makes an error of every warning, and links and anchors that are not there are warnings (mkdocs.yml)."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    for shown in SHOWN:
        assert any(f'id="{shown}"' in page.read_text() for page in (tmp_path / "site" / "api").glob("*.html")), shown


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_name_is_on_a_page(module: str) -> None:
    shown = [_thing(path) for path in SHOWN]
    public = {name: getattr(importlib.import_module(module), name) for name in PUBLIC[module]}
    assert not [name for name, thing in public.items() if not any(thing is one for one in shown)]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem
)
def test_links_lead_to_files(page: Path) -> None:
    """Without mkdocs too, and in the pages that are read on the repository alone; anchors are mkdocs's to check."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in (a or b for a, b in LINKS.findall(text)):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), target


TASK_PAGES = ("grasping", "generation", "refine", "reconstruct", "evaluate")
FORM = ("What goes in", "What comes out", "Options that matter", "Example", "How good it is", "When it fails")


@pytest.mark.parametrize("name", TASK_PAGES)
def test_pages_of_tasks_are_of_one_form(name: str) -> None:
    """What goes in, what comes out, what to say, a program with a picture, how good, and what to do when it fails."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^## (.*)$", text, flags=re.MULTILINE)[: len(FORM)]) == FORM
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    assert all("\n|---|" in sections[title] for title in FORM if title not in ("Example", "How good it is"))
    assert "```python\n" in sections["Example"] and "](images/" in sections["Example"]
    assert "evaluate.md" in sections["How good it is"] or "metrics.md" in sections["How good it is"]
    assert re.search(r"^    hoprior (run|eval) ", text[: text.index("## What goes in")], flags=re.MULTILINE)
