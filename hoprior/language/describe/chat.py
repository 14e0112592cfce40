"""Asking a model until its answer can be used, and keeping the answers on disk."""

import hashlib
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from PIL import Image

from hoprior.common.io import strict_json, write_atomically
from hoprior.common.reading import read_json
from hoprior.errors import HopriorError
from hoprior.language.schema import Json

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

TRIES = 3
"""How often a question is asked before the model is given up."""


@runtime_checkable
class Chat(Protocol):
    """A model that answers one message, with or without an image."""

    @property
    def name(self) -> str:
        """Which model, where: answers of different names are different."""
        ...

    def answer(self, prompt: str, image: Image.Image | None = None, schema: Json | None = None) -> str:
        """Its answer, as it comes; JSON of a schema where one is given and the model can be held to it.

        Raises:
            HopriorError: there is no answer to be had.
        """
        ...


class AnswerCache:
    """Answers that could be used, one file each, in a folder; a damaged one is asked for again.

    `kept` answers were there already, `asked` ones were not.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.kept = self.asked = 0

    def path(self, chat: Chat, prompt: str, image: Image.Image | None, schema: Json | None) -> Path:
        """The file of the answer to a question; the name depends on all of it, the model and its weights too."""
        digest = hashlib.sha256(json.dumps([chat.name, prompt, schema], sort_keys=True).encode())
        # Of a server nobody knows what weights it has.
        digest.update(getattr(chat, "weights", "").encode())
        if image is not None:
            digest.update(f"{image.size} {image.mode}".encode() + image.tobytes())
        return self.folder / f"{digest.hexdigest()[:32]}.json"

    def get(self, path: Path) -> str | None:
        """The answer in a file, if it is there and whole."""
        try:
            kept = read_json(path)
        except HopriorError:
            return None
        answer = kept.get("answer") if isinstance(kept, dict) else None
        return answer if isinstance(answer, str) else None

    def put(self, path: Path, chat: Chat, answer: str) -> None:
        """Keeps an answer; a folder that cannot be written costs the question again and nothing else."""
        content = strict_json({"model": chat.name, "answer": answer})
        try:
            write_atomically(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))
        except HopriorError as error:
            logger.warning("%s", error)


def ask(
    chat: Chat,
    prompt: str,
    read: Callable[[str], Read],
    image: Image.Image | None = None,
    schema: Json | None = None,
    cache: AnswerCache | None = None,
    advice: str = "try another model, or give the elements as labels",
) -> Read:
    """What `read` makes of a model's answer. An answer that it refuses is asked for again, with the reason.

    Raises:
        HopriorError: the model does not answer, or not one of `TRIES` answers could be used.

    Example:
        >>> class Model:  # says better what it is told to say better
        ...     name = "a model"
        ...     def answer(self, prompt, image=None, schema=None):
        ...         return "10,20,200,220" if "could not be used" in prompt else "top left"
        >>> from hoprior.vision.boxes import read_box
        >>> ask(Model(), "Where is the hand?", read_box)
        (10.0, 20.0, 200.0, 220.0)
    """
    path = None if cache is None else cache.path(chat, prompt, image, schema)
    if cache is not None and path is not None and (kept := cache.get(path)) is not None:
        try:
            value = read(kept)
            cache.kept += 1
            return value
        except HopriorError as error:
            logger.warning("%s: asked again (%s)", path, error)
    remark = ""
    for _ in range(TRIES):
        text = chat.answer(prompt + remark, image, schema)
        try:
            value = read(text)
        except HopriorError as error:
            fault = error
            remark = f"\n\nYour last answer could not be used: {error}. Answer again."
            continue
        if cache is not None and path is not None:
            cache.put(path, chat, text)
            cache.asked += 1
        return value
    raise HopriorError(f"{chat.name}: none of {TRIES} answers could be used, the last because {fault}: {advice}")


def image_bytes(image: Image.Image) -> bytes:
    """An image as JPEG, which is what endpoints take."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()
