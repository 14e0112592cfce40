"""Fixtures of the tests of priors."""

import importlib
import sys
from collections.abc import Iterator

import pytest
from installing import PACKAGES, install_packages


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The packages of tests/foreign, installed for as long as the tests run."""
    target = tmp_path_factory.mktemp("site")
    install_packages(target, tmp_path_factory.mktemp("build"))
    sys.path.insert(0, str(target))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(target))
    for package in PACKAGES.iterdir():
        sys.modules.pop(package.name, None)
