"""Some spoilt files for every reader; `python -m tests.fuzz --minutes 60` reads many more."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.more_readers import more_readers
from fuzz.readers import readers
from fuzz.recordings import recordings
from fuzz.running import TooSlow, try_files

READERS = readers() | more_readers()
INPUTS = 25
"""For each reader; heavy ones get fewer."""


@pytest.fixture
def alarmed(wrong_types: None) -> Iterator[None]:
    """A file that takes too long ends; types are not checked, as in life."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGPROF, signal.SIGALRM)}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("alarmed")
def test_a_right_file_is_read(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Else nothing would be tested below."""
    reader = READERS[name]
    reader.put(tmp_path)
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


@pytest.mark.slow
@pytest.mark.usefixtures("alarmed")
def test_a_data_set_with_a_spoilt_file_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    faults = {name: try_files(reader, range(6)).faults for name, reader in recordings(tmp_path).items()}
    assert not {name: found for name, found in faults.items() if found}
