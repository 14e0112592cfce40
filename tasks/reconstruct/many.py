"""Reconstructions of many clips: `hoprior.reconstruct_many(...)` and `hoprior run reconstruct --clip CLIPS`."""

import glob
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from hoprior.common.run_key import RunKey
from hoprior.datasets.clips.clip import MAX_FRAMES, read_clip
from hoprior.errors import HopriorError
from hoprior.results.reconstructions import CHECKPOINT, INDEX, check_writable
from hoprior.tasks.many import MADE_OF, Outcome, Work, check_settings, gpus_for, key_of, run_many
from hoprior.tasks.many_items import Item, file_digest, names_for, text_for
from hoprior.tasks.reconstruct.task import reconstruct

Clips: TypeAlias = str | Path | Sequence[str | Path]
PICTURES = "image"
"""The folder of pictures that makes a folder a clip."""
OF_EACH = ("clip", "text", "progress", "report", "checkpoint", "say")
"""Arguments of `reconstruct` that are not the same for all."""


def is_clip(folder: Path) -> bool:
    """Whether a folder looks like a clip."""
    return (folder / PICTURES).is_dir()


def are_clips(clip: str | Path) -> bool:
    """Whether a word for a clip means many: a folder with clips in it, or a pattern.

    Example:
        >>> are_clips("clips/*"), are_clips("clips/mug")
        (True, False)
    """
    path = Path(clip)
    if path.is_dir():
        return not is_clip(path) and any(path.rglob(PICTURES))
    return glob.has_magic(str(clip)) and not path.exists()


def clip_items(clips: Clips) -> list[Item]:
    """The clips that are meant, each with a name that no other has.

    Args:
        clips: a folder, which is searched with all below it; a pattern of folders, "clips/2024*"; or a sequence.

    Raises:
        HopriorError: there are none.
    """
    root: Path | None = None
    if not isinstance(clips, str | Path):
        found = [Path(clip) for clip in clips]
        if not found:
            raise HopriorError("there are no clips: give one at least")
    elif Path(clips).is_dir():
        root = Path(clips)
        found = sorted(folder.parent for folder in root.rglob(PICTURES) if folder.is_dir())
        found = [clip for clip in found if not any(part.startswith(".") for part in clip.relative_to(root).parts)]
        if not found:
            raise HopriorError(f"{clips}: no clips in it, folders with {PICTURES}/: name another folder")
    elif glob.has_magic(str(clips)):
        found = sorted(Path(path) for path in glob.glob(str(clips), recursive=True) if Path(path).is_dir())
        if not found:
            raise HopriorError(f"{clips}: no folder is called so: look at the pattern, and at the folder you are in")
    else:
        found = [Path(clips)]
    # A folder's name has no ending: what follows a point in it belongs to it.
    names = names_for([_without_points(clip.relative_to(root) if root else clip) for clip in found])
    # Resolved, so that workers find them from wherever they run.
    return [Item(name, str(clip.absolute())) for name, clip in zip(names, found, strict=True)]


@dataclass(frozen=True)
class ManyReconstructions:
    """What is done with each of many clips.

    Attributes:
        max_frames: of each; more are thinned out.
        settings: of all, as `reconstruct` takes them.
    """

    text: str | None
    max_frames: int
    settings: Mapping[str, Any]

    def __call__(self, item: Item, folder: Path, made_of: Mapping[str, str]) -> None:
        """The reconstruction of one clip, in its folder; one that was stopped goes on from its checkpoint."""
        check_writable(folder)
        clip = read_clip(item.source, self.max_frames, self.settings.get("hand"), side=self.settings.get("side"))
        result = reconstruct(clip, text_for(item, self.text), checkpoint=folder / CHECKPOINT, **self.settings)
        replace(result, config={**result.config, MADE_OF: dict(made_of)}).save(folder)

    def key(self, item: Item) -> RunKey:
        """What the result follows from: not the device, nor where the clip lies.

        Raises:
            HopriorError: the clip or another file cannot be read.
        """
        settings = {**self.settings, "max_frames": self.max_frames}
        return key_of("the clip", clip_digest(Path(item.source)), text_for(item, self.text), settings, self.settings)


def reconstruct_many(
    clips: Clips,
    out: str | Path,
    text: str | None = None,
    *,
    max_frames: int = MAX_FRAMES,
    workers: int = 1,
    engine: str = "local",
    cluster: str = "auto",
    report: bool = False,
    tell: Callable[[str], object] | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Object and hand of many clips: each in a folder of its own below `out`, whole or not at all.

    What an earlier call has done from the same clip with the same settings is kept, one that was stopped within a clip
    goes on where it was, and a clip that cannot be used is told and keeps no other from being done. `out/manifest.json`
    says what came of each. Clips are done as their outcomes are asked for.

    Args:
        clips: a folder with clip folders in it and below; a pattern of them ("clips/2024*"); or a sequence of paths.
        out: the folder of all results.
        text: what the objects are; in it "{name}" is what each clip is called. The clips' own texts if None.
        max_frames: of each clip; more are thinned out evenly.
        workers: processes, of one thread each where they are several; with one it is this process. (In a script,
            several want `if __name__ == "__main__":`.)
        engine: "local", or "ray" for a cluster whose machines find the clips and `out` at the same paths.
        cluster: address of that; "auto" is the one that this machine belongs to.
        report: whether each folder gets report.html.
        tell: told in a sentence what is there already.
        settings: any other argument of `hoprior.reconstruct`.

    Yields:
        What came of each clip, as they end: first of those that are kept.

    Raises:
        HopriorError: there are no clips, nothing can be written in `out`, or the disk is full.

    Example:
        >>> for outcome in hoprior.reconstruct_many("clips", "out", preset="fast"):  # doctest: +SKIP
        ...     print(outcome.name, outcome.status, outcome.error)
    """
    check_settings(settings, reconstruct_many, reconstruct, OF_EACH)
    out = Path(out)
    if any((out / name).exists() for name in (INDEX, CHECKPOINT)):
        raise HopriorError(f"{out}: holds a reconstruction of one clip: choose another folder for those of many")
    many = ManyReconstructions(text, max_frames, settings)
    work = Work("reconstruct", INDEX, many, many.key, report)
    return run_many(
        clip_items(clips), work, out, workers=workers, engine=engine, cluster=cluster, gpus=gpus_for(settings), say=tell
    )


def clip_digest(folder: Path) -> str:
    """Of the names and bytes of all files in a clip's folder and below it, but for hidden ones.

    Raises:
        HopriorError: there is no such folder, or a file cannot be read.
    """
    if not folder.is_dir():
        raise HopriorError(f"{folder}: there is no such folder")
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            found.update(f"{name.as_posix()} {file_digest(path)}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _without_points(path: Path) -> Path:
    return path.with_name(path.name.replace(".", "_")) if path.name else path
