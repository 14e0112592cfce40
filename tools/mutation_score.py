"""How many small faults in guidance, geometry and metrics the tests find: mutmut's mutants, a sample drawn by a seed.

usage: pip install mutmut; python tools/mutation_score.py [guidance geometry metrics] [--sample 200] [--show]

Works on a copy of what is committed. Types are not checked at run time there, as mutmut loads the package before pytest
could hook them in: some survivors ("None for a number") would not survive in the suite itself.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hoprior", "models", "tasks", "datasets", "configs", "packages", "tests", "pyproject.toml")
KILLED = (1, 3)
"""Exit statuses of pytest that tell a mutant from the code; mutmut has further ones for time and crashes."""


@dataclass(frozen=True)
class Subject:
    """What is mutated, and the tests that are to notice."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


GEOMETRY = (
    *("camera", "grid", "interaction_grid", "lookup", "ordering", "points", "polygons", "regions", "rest_pose", "rims"),
    *("rotations", "sdf", "skeletal", "state", "surface_parts", "transforms", "units", "whole"),
)
SUBJECTS = {
    "guidance": Subject(("hoprior/priors/guidance.py",), ("tests/priors/test_guidance.py",)),
    "geometry": Subject(
        tuple(f"hoprior/geometry/{name}.py" for name in GEOMETRY),
        ("tests/geometry", "tests/test_gradients.py", "--ignore=tests/geometry/test_mesh_files.py"),
    ),
    "metrics": Subject(("hoprior/metrics/*.py",), ("tests/metrics",)),
}


def main() -> int:
    """A line a subject, and with `--show` the survivors as changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", choices=[*SUBJECTS, []], default=[], help="all without")
    parser.add_argument("--sample", type=int, default=200, help="mutants of each subject")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the survivors")
    given = parser.parse_args()
    for name in given.subjects or SUBJECTS:
        with TemporaryDirectory() as folder:
            _score(name, Path(folder), given.sample, given.seed, given.show)
    return 0


def _score(name: str, place: Path, sample: int, seed: int, show: bool) -> None:
    subject = SUBJECTS[name]
    _copy(place, subject)
    _mutmut(place, "run", "none.of.this.name")  # makes the mutants
    names = sorted(key for path in place.rglob("*.py.meta") for key in _found(path))
    chosen = random.Random(seed).sample(names, min(sample, len(names)))
    _mutmut(place, "run", "--max-children", "1", *chosen)
    found = {key: status for path in place.rglob("*.py.meta") for key, status in _found(path).items() if key in chosen}
    tried = {key: status for key, status in found.items() if status is not None}
    survivors = sorted(key for key, status in tried.items() if status == 0)
    untested = sorted(key for key, status in tried.items() if status in (5, 33))
    killed = len(tried) - len(survivors) - len(untested)
    print(
        f"{name}: {len(names)} mutants, {len(tried)} tried, {killed} found ({killed / max(1, len(tried)):.0%}), "
        f"{len(survivors)} survive, {len(untested)} in what these tests do not run",
        flush=True,
    )
    for key in (*survivors, *untested) if show else ():
        changes = [line for line in _mutmut(place, "show", key).splitlines() if re.match(r"[-+] ", line)]
        print(f"{'untested ' if key in untested else ''}{key}", *changes, sep="\n    ", flush=True)


def _copy(place: Path, subject: Subject) -> None:
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(place, filter="data")
    settings = place / "pyproject.toml"
    lines = settings.read_text().splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if "--jaxtyping-packages" not in line))
    options = {
        "source_paths": ["hoprior"],
        "only_mutate": subject.modules,
        "also_copy": PACKAGES,
        "pytest_add_cli_args_test_selection": subject.tests,
        "pytest_add_cli_args": ["-x", "-q", "-m", "not slow"],
    }
    text = "".join(f"{key}=\n" + "".join(f"    {value}\n" for value in values) for key, values in options.items())
    (place / "setup.cfg").write_text(f"[mutmut]\n{text}")


def _found(path: Path) -> dict[str, int | None]:
    return json.loads(path.read_text())["exit_code_by_key"]  # type: ignore[no-any-return]


def _mutmut(place: Path, *words: str) -> str:
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != ROOT]
    ran = subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        cwd=place,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *others])},
    )
    if "No module named mutmut" in ran.stderr:
        raise SystemExit("mutmut is not installed: pip install mutmut")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
