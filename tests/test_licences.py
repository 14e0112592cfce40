"""The page of licences: every dependency is in it, with the licence that the package states."""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info < (3, 11):
    pytest.skip("reads pyproject.toml with Python 3.11's tomllib", allow_module_level=True)
import tomllib

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
SAME = {
    "Apache-2.0": r"apache",
    "MIT": r"\bMIT\b",
    "MIT-CMU": r"MIT-CMU|HPND",
    "BSD-3-Clause": r"BSD|redistribution and use",
    "BSD-2-Clause": r"BSD",
    "ISC": r"ISC",
    "MPL-2.0": r"MPL|mozilla",
    "PSF-2.0": r"PSF|python software",
    "Zlib": r"zlib",
    "TOST-1.0": r"TOST",
    "research only": r"UNKNOWN",
}
"""Our word for a licence -> what packages write; smplx's states its licence in a file alone."""
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))


def _required() -> dict[str, set[str]]:
    """Package -> "base" or the extras that bring it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, set[str]] = {}
    for extra, requirements in {"base": project["dependencies"], **project["optional-dependencies"]}.items():
        for requirement in requirements:
            name = re.match(r"[\w.-]+", requirement)
            assert name is not None, requirement
            if name[0] != "hoprior":
                found.setdefault(name[0], set()).add(extra)
    return found


def _rows() -> dict[str, tuple[str, set[str]]]:
    _, _, table = PAGE.read_text(encoding="utf-8").rpartition("## What it installs")
    rows = re.findall(r"^\| ([\w.-]+) \| ([^|]+) \| ([^|]+) \|$", table, flags=re.MULTILINE)
    return {name: (licence, set(brings.replace("`", "").split(", "))) for name, licence, brings in rows[1:]}


def test_the_page_has_every_dependency_and_what_brings_it() -> None:
    assert {name: brings for name, (_, brings) in _rows().items()} == _required()


@pytest.mark.parametrize("name", sorted(_required()))
def test_licences_are_what_packages_say(name: str) -> None:
    licence, _ = _rows()[name]
    try:
        about = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    pinned = PINNED.get(canonicalize_name(name))
    if pinned is not None and Version(about["Version"]) < Version(pinned):
        pytest.skip(f"{name} {about['Version']} is older than what the page was read from")
    stated = [about.get("License-Expression") or "", (about.get("License") or "")[:2000]]
    stated += [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
    assert re.search(SAME[licence], " ".join(stated), flags=re.IGNORECASE), (licence, stated)


def test_what_is_for_research_alone_comes_with_no_default_install() -> None:
    for name, (licence, brings) in _rows().items():
        assert licence in SAME
        if licence == "research only":
            assert "base" not in brings, name


def test_what_can_be_done_without_names_its_extra() -> None:
    """`hoprior doctor` and the refusals send people to extras that there are."""
    from hoprior.common.optional import OPTIONAL

    required = _required()
    for item in OPTIONAL:
        assert item.extra in required[item.package], item
