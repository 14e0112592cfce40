"""Sentences that somebody else wrote for single grasps: a person, or a vision-language model by `hoprior describe`."""

from pathlib import Path
from typing import Any

from hoprior.common.reading import read_json
from hoprior.errors import HopriorError


def read_sentences(path: str | Path | None) -> dict[str, str]:
    """Sentences by name: a JSON mapping of names to sentences, or what `hoprior describe --out` writes.

    Items that could not be described have no sentence.

    Args:
        path: None is no file, and no sentences.

    Raises:
        HopriorError: the file is neither.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "said.json").write_text('{"mug_01": "a hand drinking from a mug"}')
        ...     read_sentences(Path(folder) / "said.json")
        {'mug_01': 'a hand drinking from a mug'}
    """
    if path is None:
        return {}
    content: Any = read_json(path, "give a JSON file of sentences")
    if isinstance(content, dict) and isinstance(described := content.get("descriptions"), dict):
        items = {name: item for name, item in described.items() if not (isinstance(item, dict) and "error" in item)}
        content = {name: item.get("text") if isinstance(item, dict) else None for name, item in items.items()}
    if not isinstance(content, dict) or not all(isinstance(text, str) and text.strip() for text in content.values()):
        raise HopriorError(f"{path}: must map an item's key to its sentence, or be what hoprior describe --out writes")
    return {name: " ".join(text.split()) for name, text in content.items()}
