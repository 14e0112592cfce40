"""Where results go when nobody says: a folder named after what they were made of and what they are."""

import re
from pathlib import Path

OUT = Path("out")
"""The folder of such folders."""
LONGEST = 40
"""Letters of a name that is made of a text."""


def results_folder(out: Path | None, source: str | Path | None, kind: str) -> Path:
    """`out`, if it is given; else `out/SOURCE_KIND`, so that no task meets another's results.

    Args:
        out: what the user said.
        source: the file or folder that results are made of, or the text that tells what to draw.
        kind: what they are, "grasps".

    Example:
        >>> results_folder(None, Path("demo/mug.obj"), "grasps").as_posix()
        'out/mug_grasps'
        >>> results_folder(None, "A hand, drinking from a mug", "poses").as_posix()
        'out/A_hand_drinking_from_a_mug_poses'
    """
    if out is not None:
        return out
    name = (source.name if source.is_dir() else source.stem) if isinstance(source, Path) else source or ""
    name = re.sub(r"\W+", "_", name).strip("_")
    if len(name) > LONGEST:
        name = name[:LONGEST].rpartition("_")[0] or name[:LONGEST]
    return OUT / f"{name}_{kind}".lstrip("_")
