"""Which objects are kept for validation: the same ones whatever else there is."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)


def held_out(keys: Sequence[str], fraction: float) -> set[str]:
    """The objects kept for validation: the first `fraction` of all, sorted by a hash of their names.

    An object's place does not depend on what else is in the cache beyond the share that is taken.
    """
    ranked = shuffled(keys)
    return set(ranked[: round(fraction * len(ranked))])


def warn_none_held_out(what: str | Path, val_fraction: float) -> None:
    """Warns that a validation is on training objects, since no other is there."""
    logger.warning(
        "%s: no object is held out at a val_fraction of %g, so validation is on the training objects and says nothing"
        " of new ones: raise val_fraction, or give more objects",
        what,
        val_fraction,
    )


def shuffled(keys: Iterable[str]) -> list[str]:
    """Names without repetitions in an order that only they determine, each by its hash."""
    return sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).hexdigest())
