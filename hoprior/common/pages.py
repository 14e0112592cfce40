"""Pages that lie beside the file they show, and know whether it has changed since."""

import hashlib
import re
from html import unescape
from pathlib import Path

PAGE_VERSION = 1
"""Of what pages can do: one of another version is made again before it is looked at."""
_STAMP = re.compile(r'<meta name="hoprior-report" content="(\d+) ([^"/]+) ([0-9a-f]{64})">')
_HEAD, _END = 1000, "</html>"


def stamp_of(index: Path) -> str:
    """What a page says of the file that it shows: its name, and the hash of its content.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "grasps.json").write_text("{}")
        ...     stamp_of(Path(folder) / "grasps.json")[:20]
        '1 grasps.json 44136f'
    """
    return f"{PAGE_VERSION} {index.name} {hashlib.sha256(index.read_bytes()).hexdigest()}"


def is_page(path: Path) -> bool:
    """Whether a file is a page that hoprior wrote, of any version."""
    return path.is_file() and 'name="hoprior-report"' in _head(path)


def is_current(path: Path) -> bool:
    """Whether a page is whole, of this version, and of the file that lies beside it now."""
    if not path.is_file():
        return False
    found = _STAMP.search(_head(path))
    if found is None or int(found[1]) != PAGE_VERSION:
        return False
    index = path.parent / unescape(found[2])
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(_END) - 2, 0))
        whole = file.read().decode(errors="replace").rstrip().endswith(_END)
    return whole and index.is_file() and stamp_of(index) == f"{found[1]} {index.name} {found[3]}"


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode(errors="replace")
