"""Fixtures that several test files share."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # As of what a shell runs in the background: without it tests of Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


LONG = ("tasks/test_reconstruct", "tasks/test_grasp", "priors/test_laws", "tasks/test_known", "vision/test_photos")
LONG += (
    "tasks/test_refine_video",
    "test_devices",
    "priors/test_foreign",
    "datasets/test_recordings",
    "tasks/",
    "models/",
)
"""Where tests take longest, the longest first: these begin first, so that no worker is left with one at the end."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files that have the most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(REPOSITORY / "tests").as_posix()
        return next((k for k, name in enumerate(LONG) if place.startswith(name)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (HOPRIOR_TEST_DATA, or ../shared/data beside the repository); skips when absent."""
    folder = Path(os.environ.get("HOPRIOR_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no development data at {folder}: set HOPRIOR_TEST_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for later processes is kept away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch has, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def wrong_types() -> Iterator[None]:
    """For tests that call the package with what its annotations rule out: types are not checked meanwhile."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
