"""Ratios that must not fall: kernels against torch, measured side by side, far below what they usually are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUICK = ["GroupNorm,", "object on", "38,400", "picture of"]


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.bench", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_kernels_are_quicker_than_what_they_stand_for(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    done = run("--only", *QUICK, "--rounds", 3, "--check", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pairs = json.loads((tmp_path / "bench.json").read_text())["pairs"]
    assert len(pairs) == len(QUICK) and all(pair["lower"] <= pair["ratio"] <= pair["upper"] for pair in pairs)
    table, picture = ((tmp_path / f"bench.{ending}").read_text() for ending in ("md", "svg"))
    assert table.count("\n") == 2 + len(QUICK) and picture.count("<rect") == 1 + len(QUICK)


def test_a_ratio_that_fell_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import bench

    sleeps = bench.Pair("nothing", "slow", "quick", lambda: (lambda: sum(range(10**6)), lambda: None), 1.0)
    monkeypatch.setattr(bench, "PAIRS", [sleeps])
    monkeypatch.setattr(sys, "argv", ["bench", "--check", "--rounds", "2"])
    with pytest.raises(SystemExit, match="slower than is allowed: nothing"):
        bench.main()


def test_cost_that_grows_faster_than_the_work_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import growth

    even = growth.Growth("even", "sums", (1, 2, 4), lambda n: lambda: sum(range(n * 10**6)))
    steep = growth.Growth("steep", "cubes", (1, 2, 4), lambda n: lambda: sum(range(n**3 * 10**6)))
    monkeypatch.setattr(growth, "GROWTHS", [even, steep])
    monkeypatch.setattr(sys, "argv", ["growth", "--check", "--only", "steep", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="than what there is to do: steep"):
        growth.main()
    (row,) = json.loads((tmp_path / "growth.json").read_text())
    assert row["ratio"] > 5 and (tmp_path / "growth.md").read_text().count("\n") == 3
    monkeypatch.setattr(sys, "argv", ["growth", "--only", "even"])
    growth.main()
    assert "sums" in capsys.readouterr().out
