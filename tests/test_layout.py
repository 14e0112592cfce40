"""The house: four folders at the top of the repository are packages of hoprior, in every way of installing it."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["models", "tasks", "datasets", "configs"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_link_resolves_and_the_folder_is_a_namespace(folder: str) -> None:
    link = ROOT / "hoprior" / folder
    assert link.is_symlink() and link.resolve() == ROOT / folder
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize(
    "module", ["hoprior.models.contrastive", "hoprior.tasks.grasp", "hoprior.datasets.samples.sample"]
)
def test_modules_are_found_under_the_package(module: str) -> None:
    assert importlib.import_module(module).__name__ == module


def test_public_names_exist() -> None:
    import hoprior

    for name in hoprior.__all__:
        assert getattr(hoprior, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hoprior.no_such_name


def test_dependencies_are_pinned() -> None:
    """Every requirement of pyproject.toml has an exact version in constraints.txt."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    names = {_name(item) for item in wanted} - {project["name"]}
    assert names <= pinned, names - pinned


def _name(requirement: str) -> str:
    for mark in "[<>=~!; ":
        requirement = requirement.split(mark)[0]
    return requirement.lower().replace("_", "-")
