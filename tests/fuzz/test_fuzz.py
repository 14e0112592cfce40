"""Some spoilt files for every reader; `python -m tests.fuzz --minutes 60` reads many more."""

import signal
from collections.abc import Iterator

import pytest
from fuzz.readers import readers
from fuzz.running import TooSlow, try_files

READERS = readers()
INPUTS = 25
"""For each reader; heavy ones get fewer."""


@pytest.fixture
def alarmed(wrong_types: None) -> Iterator[None]:
    """A file that takes too long ends; types are not checked, as in life."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("alarmed")
def test_a_right_file_is_read(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Else nothing would be tested below."""
    reader = READERS[name]
    for other, content in reader.beside:
        (tmp_path / other).write_bytes(content)
    for content in reader.seeds:
        if name not in ("checkpoint",):  # of a class that there is not
            (tmp_path / reader.file).write_bytes(content)
            reader.read(tmp_path / reader.file)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("alarmed")
def test_a_spoilt_file_is_read_or_refused_in_a_sentence(name: str) -> None:
    reader = READERS[name]
    counts = try_files(reader, range(max(3, round(INPUTS * min(1.0, reader.weight)))))
    assert not counts.faults, counts.faults
