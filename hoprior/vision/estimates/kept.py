"""Hands that were found in photos, kept on disk as they come, so that a folder of photos need not be searched twice."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.common.io import strict_json, write_atomically
from hoprior.common.reading import UNEXPECTED, read_json
from hoprior.common.run_key import RunKey
from hoprior.errors import HopriorError
from hoprior.vision.sightings import FoundHand

FORMAT = "hoprior-found/1"
FOLDER = "found"
"""Of a folder of results, while they are being made."""


class KeptHands:
    """A folder with a JSON file for each photo that was searched: its hands' landmarks, pixels and metres.

    What was searched in another way, or in another picture of the same name, is not taken for it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def hands(self, photo: Path, how: Any, find: Callable[[], Sequence[FoundHand]]) -> list[FoundHand]:
        """What `find` finds in a photo, or found when this was asked before; `how` says in which way it looks.

        Raises:
            HopriorError: as `find`, this time or before: the photo shows no hand.
        """
        key = RunKey.of({"the photo": hashlib.sha256(photo.read_bytes()).hexdigest(), "how it is searched": how})
        place = self.folder / f"{photo.name}.json"
        known = _read(place, key)
        if known is not None:
            return known
        try:
            found = list(find())
        except HopriorError as error:
            self._write(place, key, {"none": str(error)})
            raise
        self._write(place, key, {"hands": [_plain(hand) for hand in found]})
        return found

    def _write(self, place: Path, key: RunKey, found: dict[str, Any]) -> None:
        content = strict_json({"format": FORMAT, "key": key.plain(), **found})
        write_atomically(place, lambda path: path.write_text(content, encoding="utf-8"))

    def clear(self) -> None:
        """Removes the folder: what is in it stands in the results now."""
        try:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise HopriorError(f"{self.folder}: cannot be removed ({error.strerror}): remove it yourself") from error


def _plain(hand: FoundHand) -> dict[str, Any]:
    return {
        "side": hand.side,
        "side_score": hand.side_score,
        "presence": hand.presence,
        "spread": hand.spread,
        "keypoints": hand.points,
        "world": hand.world,
    }


def _read(place: Path, key: RunKey) -> list[FoundHand] | None:
    """The hands of a file; None where there is none of this key, or one that is damaged: it is then made anew.

    Raises:
        HopriorError: the file says that there was no hand.
    """
    try:
        if not place.is_file():
            return None
        content = read_json(place)
        if content["format"] != FORMAT or RunKey.read(content["key"]) != key:
            return None
        none = content.get("none")
        hands = [
            FoundHand(
                np.array(hand["keypoints"], dtype=float).reshape(21, 2),
                np.array(hand["world"], dtype=float).reshape(21, 3),
                hand["side"],
                hand["side_score"],
                hand["presence"],
                hand["spread"],
            )
            for hand in (() if none else content["hands"])
        ]
    except (HopriorError, *UNEXPECTED):
        return None
    if none:
        raise HopriorError(none)
    return hands
