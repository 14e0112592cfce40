"""What SECURITY.md and docs/reliability.md promise has tests behind it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/reliability.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    names = set(re.findall(r"`(test_\w+)`", text))
    written = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    defined = {name for content in written.values() for name in re.findall(r"def (test_\w+)\(", content)}
    assert not {name for name in files if not (ROOT / name).is_file()}
    assert not names - defined
    assert names or files


def test_every_way_in_has_a_line_with_a_test() -> None:
    rows = [
        line.split("|") for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "
    ]
    told = {row[1].strip(): row[3].strip() for row in rows[1:]}
    assert len(told) >= 20
    without = {way for way, test in told.items() if "`test" not in test}
    assert without == {"YAML of `fit` (`class_path`)"}, "a program by design"
