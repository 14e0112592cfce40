"""Hooks of the site (mkdocs.yml): what its tools cannot read as it lies, and links that leave docs/."""

import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "build" / "site_sources"
EXAMPLE = re.compile(r"^( +)Example:$", re.MULTILINE)
LINK = re.compile(r"(\]\()(\.\./[^)#\s]+)")


def on_startup(**_: Any) -> None:
    """Copies the sources for mkdocstrings: it finds no package in a linked folder without `__init__.py`, and runs of
    `>>>` are code to it only under "Examples".
    """
    shutil.rmtree(SOURCES, ignore_errors=True)
    shutil.copytree(ROOT / "hoprior", SOURCES / "hoprior", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    for folder in (path for path in (SOURCES / "hoprior").rglob("*") if path.is_dir()):
        (folder / "__init__.py").touch()
    for module in (SOURCES / "hoprior").rglob("*.py"):
        module.write_text(EXAMPLE.sub(r"\1Examples:", module.read_text(encoding="utf-8")), encoding="utf-8")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """`](../examples/01_grasp_a_mug.py)` as an address in the repository: pages are all that the site has."""

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[2]))
        if target.startswith("docs/"):
            return match[0]
        return f"{match[1]}{config['repo_url'].rstrip('/')}/blob/main/{target}"

    return LINK.sub(rewritten, markdown)
