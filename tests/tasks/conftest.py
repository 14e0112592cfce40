"""A filmed clip that the tests of reconstruction share."""

from pathlib import Path

import pytest
from held_box import film_box

from hoprior.datasets.clips.clip import Clip, read_clip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filmed clip of a right hand with a box."""
    return film_box(tmp_path_factory.mktemp("clips") / "box")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    """The same, read."""
    return read_clip(folder)
