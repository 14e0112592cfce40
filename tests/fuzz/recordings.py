"""Readers of whole data sets: a folder in each one's layout, of which any one file is spoilt."""

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.making import Reader
from made_up_mano import write_mano_folder
from open_layouts import LAYOUTS
from recording_scenes import make_scene

from hoprior.datasets.recordings.check import check_dataset
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.datasets.recordings.source import Recorded

FRAMES = 2
"""Of each recording: enough to be read."""


def recordings(mano: Path) -> dict[str, Reader]:
    """A reader for each data set, by its name; `mano` is a folder that made-up hands are written to."""
    hands = Hands(write_mano_folder(mano))
    return {name: _reader(name, hands, mano) for name in LAYOUTS}


def _reader(name: str, hands: Hands, mano: Path) -> Reader:
    layout = LAYOUTS[name]
    scene = make_scene(hands, num=FRAMES, side="right", **(layout.scene or {}))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        layout.write(root, scene, **layout.options[0])
        files = sorted(path for path in root.rglob("*") if path.is_file())
        content = tuple((path.relative_to(root).as_posix(), path.read_bytes()) for path in files)
    return Reader("", (), (), partial(_read, name=name, mano=mano), content, weight=0.03)


def _read(root: Path, name: str, mano: Path) -> None:
    """What `data check` and `data prepare` do with a copy; nothing is kept from one to the next."""
    with TemporaryDirectory() as cache:
        os.environ["HOPRIOR_CACHE_DIR"] = cache
        report = check_dataset(open_dataset(name, root, mano), num=FRAMES)
        if not all(reason for _, reason in report.damaged):
            raise AssertionError("a damaged frame without a reason")
        source = Recorded(name, root, None, mano_dir=mano)
        for info in source.objects():
            source.fingerprint(info)
