"""`hoprior data render-clip`: clips of a moving hand with an object, with everything that is true of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import notes_console, progress_bar
from hoprior.common.io import check_place, write_folder
from hoprior.datasets.clips.film import FilmConfig, film
from hoprior.datasets.clips.scene import myodm_scene, procedural_scene
from hoprior.errors import HopriorError
from hoprior.hand import load_hand

DEFAULT_FILM = FilmConfig()


def render_clip(
    out: Path,
    myodm: Path | None = None,
    sequence: str | None = None,
    family: str | None = None,
    number: int = 1,
    frames: int = 30,
    turn: float = 120.0,
    slip: float = 4.0,
    hand: str = "open",
    side: str = "right",
    film_config: FilmConfig = DEFAULT_FILM,
) -> dict[str, Any]:
    """Film a hand with an object: pictures, masks, cameras, erring estimates and the truth, as a clip folder.

    Args:
        out: the clip's folder; it must not exist.
        myodm: a prepared folder of MyoDM, for recorded motion; with --sequence.
        sequence: one of its sequences, mug_drink3.
        family: or a made object: mug, hammer, bottle and so on; it needs no download.
        number: seed of the made object, its grasp, the hand's shape and the motion; priors were trained on 0.
        frames: how many.
        turn: degrees that a made object turns before the camera.
        slip: degrees that it turns in the hand, and as many half millimetres that it slides.
        hand: open, or mano (your own files).
        side: right or left.
        film_config: picture size, occlusion, camera motion, noise.

    Example:
        hoprior data render-clip --out clips/mug --family mug
    """
    if (sequence is None) == (family is None):
        raise HopriorError("say what to film: --family mug, or --myodm FOLDER --sequence mug_drink3")
    if sequence is not None and myodm is None:
        raise HopriorError("--sequence needs --myodm FOLDER, a prepared folder of MyoDM")
    if frames < 2:
        raise HopriorError(f"--frames is {frames}: a clip has at least 2")
    if out.exists():
        raise HopriorError(f"{out}: is there already: choose another --out, or delete it")
    check_place(out)
    model = load_hand(hand, side)
    right = model if side == "right" else model.mirrored()

    with progress_bar(notes_console()) as progress:
        progress("moving the hand", 0.0)
        if sequence is not None:
            assert myodm is not None
            scene = myodm_scene(myodm, sequence, frames, right)
        else:
            assert family is not None
            scene = procedural_scene(family, number, frames, right, turn, slip)
        write_folder(
            out, lambda folder: film(scene, model, folder, film_config, progress=lambda s: progress("filming", s))
        )
    return {"out": out, "frames": frames}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data render-clip`."""
    return call_with_arguments(render_clip, "hoprior data render-clip", args)
