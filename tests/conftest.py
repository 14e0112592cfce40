"""Fixtures that several test files share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # As of what a shell runs in the background: without it tests of Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (HOPRIOR_TEST_DATA, or ../shared/data beside the repository); skips when absent."""
    folder = Path(os.environ.get("HOPRIOR_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no development data at {folder}: set HOPRIOR_TEST_DATA")
    return folder


@pytest.fixture
def wrong_types() -> Iterator[None]:
    """For tests that call the package with what its annotations rule out: types are not checked meanwhile."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
