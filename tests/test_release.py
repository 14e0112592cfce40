"""What is published: metadata that indexes take, a wheel that is whole and small, and sources whose tests can run."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
MEGABYTES = 90
LEFT = ("build", "dist", "out", "packages", "hoprior.egg-info")


def _version(text: str) -> str:
    found = re.search(r"^version(?: =|:) \"?([\d.]+)\"?$", text, flags=re.MULTILINE)
    assert found is not None
    return found[1]


def test_one_version_is_said_everywhere() -> None:
    version = _version((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert _version((ROOT / "CITATION.cff").read_text(encoding="utf-8")) == version
    assert f"{{{version}}}" in (ROOT / "docs" / "citing.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[([^\]]+)\]", CHANGELOG, flags=re.MULTILINE)
    assert released[:2] == ["Unreleased", version]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist, built of a copy; without a network, by this environment's setuptools."""
    pytest.importorskip("build", reason="build is not installed: pip install -e '.[dev]'")
    copy = tmp_path_factory.mktemp("release") / "hoprior"
    ignored = shutil.ignore_patterns(".*", "__pycache__", *LEFT)
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored)
    command = [sys.executable, "-W", "error::DeprecationWarning", "-m", "build", "--no-isolation"]
    done = subprocess.run([*command, "--outdir", "dist"], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not re.search("DeprecationWarning|is absent from the `packages`", done.stdout + done.stderr)
    return copy / "dist"


@pytest.mark.slow
def test_the_wheel_is_whole_and_small(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size < MEGABYTES * 1e6
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        about = Parser().parsestr(archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode())
    for folder in ("hoprior", "models", "tasks", "datasets", "configs"):
        under = "" if folder == "hoprior" else "hoprior/"
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                assert under + path.relative_to(ROOT).as_posix() in names, path
    assert about["License-Expression"] == "Apache-2.0" and len(about.get_all("Project-URL") or []) >= 4
    assert not [line for line in about.get_all("Classifier") or [] if line.startswith("License")]


@pytest.mark.slow
def test_the_sources_have_their_tests_documents_and_examples(built: Path) -> None:
    (sources,) = built.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("tests", "docs", "examples", "benchmarks", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names, path
    assert {"CHANGELOG.md", "SECURITY.md", "CITATION.cff", "constraints.txt", "mkdocs.yml"} <= names


@pytest.mark.slow
def test_indexes_take_them(built: Path) -> None:
    pytest.importorskip("twine", reason="twine is not installed: pip install -e '.[dev]'")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
