"""What a long run was made of, part by part, so that a later one knows whether it may go on from what is there.

A run that goes on from another run's state gives a result that belongs to neither. So whatever is kept on disk to go on
from carries the digests of all that it follows from, each under the name that a person has for it, and a run that
cannot go on says which of them differ.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor, nn

from hoprior.common.reading import parse_json
from hoprior.errors import HopriorError

DIGITS = 12
"""Of a key's digest, in names of files that are made once for each key."""


@dataclass(frozen=True)
class RunKey:
    """Digests of everything that a result follows from, by name: "the hands", "the text" ...

    `RunKey.of({"the hands": pose, "the seed": 3})` takes tensors, arrays, meshes, modules with their weights, plain
    values, paths (as names: give a file's bytes if they matter), dataclasses and collections of all of these.

    Example:
        >>> before, now = (RunKey.of({"the hands": torch.zeros(2), "the seed": seed}) for seed in (0, 1))
        >>> now.differing(before), now.differing(now)
        ('the seed differs', '')
    """

    parts: Mapping[str, str]

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> "RunKey":
        """The key of named inputs."""
        return cls({name: digest(value) for name, value in parts.items()})

    @classmethod
    def read(cls, written: Any) -> "RunKey | None":
        """The key that `plain` or `text` gave; None if it is anything else, such as an earlier version's."""
        if isinstance(written, str):
            try:
                written = parse_json(written, "the key")
            except HopriorError:
                return None
        if not isinstance(written, Mapping) or not all(
            isinstance(part, str) for pair in written.items() for part in pair
        ):
            return None
        return cls(dict(written))

    def plain(self) -> dict[str, str]:
        """For files: names and digests."""
        return dict(self.parts)

    def text(self) -> str:
        """The same as JSON, alike for equal keys."""
        return json.dumps(self.plain(), sort_keys=True)

    def differing(self, earlier: "RunKey | None") -> str:
        """Which parts differ from an earlier run's: "the hands and the text differ"; nothing if none does."""
        if earlier is None:
            return "another version wrote what is there"
        names = list(dict.fromkeys([*self.parts, *earlier.parts]))
        others = [name for name in names if self.parts.get(name) != earlier.parts.get(name)]
        if not others:
            return ""
        # "The seed differs", but "the hands differ" and "the seed and the text differ".
        verb = "differ" if len(others) > 1 or others[0].endswith("s") else "differs"
        return f"{' and '.join(filter(None, [', '.join(others[:-1]), others[-1]]))} {verb}"


def say_start(
    say: Callable[[str], object], kept: int, total: int | None, reasons: Mapping[str, int], what: str
) -> None:
    """Says what a run of many steps finds: resumed, or started anew and why; nothing of a run that finds nothing.

    Args:
        say: told a sentence.
        kept: of `total` steps (None if nobody knows yet), how many are done and stay.
        reasons: how many have to be done, by what differs from when they were done (`reason`): "" for new ones.
        what: "objects".

    Example:
        >>> say_start(print, kept=3, total=5, reasons={"": 1, "the seed differs": 1}, what="objects")
        resumed: 3 of 5 objects are there; 1 are made anew, because the seed differs
    """
    counts = {why: count for why, count in reasons.items() if why}
    if kept:
        of = "" if total is None else f" of {total}"
        anew = "".join(
            f"; {'others' if total is None else n} are made anew, because {why}" for why, n in counts.items()
        )
        say(f"resumed: {kept}{of} {what} are there{anew}")
    elif counts:
        say(f"started anew, because {'; '.join(counts)}")


def reason(key: RunKey, earlier: Iterable[Path], read: Callable[[Path], Any]) -> str:
    """Why something is made again: what differs from the newest of the earlier files; nothing if there are none.

    Args:
        read: what a file says that it was made of, for `RunKey.read`.
    """
    newest = max(earlier, key=lambda path: path.stat().st_mtime_ns, default=None)
    return "" if newest is None else key.differing(RunKey.read(read(newest)))


def files_of_keys(folder: Path, name: str, suffix: str) -> list[Path]:
    """The files in a folder that are called `name`, a dash and the first digits of whatever key's digest."""
    return list(folder.glob(f"{name}-{'[0-9a-f]' * DIGITS}{suffix}"))


def digest(value: Any) -> str:
    """A digest of a value's content; see `RunKey`. Of objects of unknown kinds it knows their class and attributes.

    Example:
        >>> digest(torch.zeros(2)) == digest(torch.zeros(2)), digest(torch.zeros(2)) == digest(torch.zeros(3))
        (True, False)
    """
    state = hashlib.blake2b(digest_size=16)
    _add(state, value, frozenset())
    return state.hexdigest()


def _add(state: Any, value: Any, above: frozenset[int]) -> None:
    """Everything is preceded by its kind and size, so that no two values are written alike."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | Path | torch.dtype):
        text = value if isinstance(value, bytes) else str(value).encode()
        kind = "path" if isinstance(value, Path) else type(value).__name__
        state.update(f"{kind} {len(text)} ".encode() + text)
    elif isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        state.update(f"tensor {tensor.dtype} {tuple(tensor.shape)} ".encode())
        # Numpy has no bfloat16, but its bytes; no bytes can be seen of a tensor without an axis.
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        state.update(f"array {array.dtype} {array.shape} ".encode())
        if array.dtype.hasobject:
            _add(state, array.tolist(), above)
        else:
            state.update(array.tobytes())
    elif id(value) in above:
        state.update(b"itself ")
    else:
        _add_compound(state, value, above | {id(value)})


def _add_compound(state: Any, value: Any, above: frozenset[int]) -> None:
    if isinstance(value, Mapping):
        state.update(f"mapping {len(value)} ".encode())
        for name in sorted(value, key=str):
            _add(state, [name, value[name]], above)
    elif isinstance(value, set | frozenset):
        _add(state, ["set", *sorted(digest(item) for item in value)], above)
    elif isinstance(value, Sequence):
        state.update(f"sequence {len(value)} ".encode())
        for item in value:
            _add(state, item, above)
    elif isinstance(value, trimesh.Trimesh):
        _add(state, ["mesh", np.asarray(value.vertices), np.asarray(value.faces)], above)
    elif isinstance(value, nn.Module):
        _add(state, [_name_of(type(value)), _of_module(value)], above)
    elif isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        _add(state, _name_of(value), above)
    elif is_dataclass(value):
        _add(state, [_name_of(type(value)), {item.name: getattr(value, item.name) for item in fields(value)}], above)
    else:
        _add(state, [_name_of(type(value)), getattr(value, "__dict__", {})], above)


def _of_module(module: nn.Module) -> dict[str, Any]:
    """Weights, all buffers (a hand's are in no state_dict) and settings: those that it names itself, or plain ones."""
    config = getattr(module, "config", None)
    if callable(config):
        settings = config()
    else:
        settings = {
            f"{path}.{name}": setting
            for path, part in module.named_modules()
            for name, setting in vars(part).items()
            if isinstance(setting, bool | int | float | str) and name != "training" and not name.startswith("_")
        }
    return {"tensors": {**dict(module.named_parameters()), **dict(module.named_buffers())}, "settings": settings}


def _name_of(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
