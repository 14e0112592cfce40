"""`hoprior demo`: what every example of the documents needs, made from what is shipped, and grasps of a mug."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.cli.arguments import call_with_arguments
from hoprior.cli.data_render_clip import render_clip
from hoprior.cli.doctor import MUG
from hoprior.cli.run_grasp import run_grasp
from hoprior.common.console import answers_console, notes_console
from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import joint_permutation
from hoprior.hand.landmarks import PALM_CENTRE

AWAY = 0.5
"""Metres from the camera to the drawn hand."""
HIDDEN = tuple(range(13, 21))
"""Joints of the drawn hand that nothing is known of: ring and little finger."""
WORDS = "a hand holding a mug"


MADE = ("mug.obj", "clip", "photo.png", "hand.json", "grasps")
"""What lies in the folder."""


def demo(
    out: Path = Path("demo"), num: int = 3, frames: int = 12, grasps: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Make a mug, a clip, a photo and a drawn hand to try every task with, and grasp the mug.

    What is there already is kept, but for the grasps.

    Args:
        out: folder for all of it.
        num: how many grasps of the mug.
        frames: of the clip.
        grasps: whether to search grasps; --no-grasps makes the inputs alone.
        seed: the same seed gives the same hand and grasps.

    Raises:
        HopriorError: the folder cannot be made, or holds something else.

    Example:
        hoprior demo
    """
    check_place(out)
    foreign = sorted(path.name for path in out.glob("[!.]*") if path.name not in MADE)
    if foreign:
        raise HopriorError(
            f"{out}: holds files that hoprior did not write ({foreign[0]}): choose an empty or a new folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    mug, clip, photo, hand = out / "mug.obj", out / "clip", out / "photo.png", out / "hand.json"
    if not mug.exists():
        shutil.copyfile(MUG, mug)
    if not clip.exists():
        notes_console().print("filming a clip of a hand with a mug", style="dim")
        render_clip(clip, family="mug", frames=frames)
    if not photo.exists():
        shutil.copyfile(min((clip / "image").iterdir()), photo)
    if not hand.exists():
        notes_console().print("drawing a hand, of which two fingers are hidden", style="dim")
        content = strict_json(drawn_hand(seed))
        write_atomically(hand, lambda temporary: temporary.write_text(content, encoding="utf-8"))
    made: dict[str, Any] = {"mug": mug, "clip": clip, "photo": photo, "hand": hand}
    if grasps:
        made["grasps"] = run_grasp(mug, "a mug", num, seed=seed, out=out / "grasps")["out"]
    say = answers_console(highlight=False, soft_wrap=True)
    for line in (
        f'hoprior run grasp --mesh {mug} --text "a mug" --num 10',
        f'hoprior run refine --pose {hand} --text "{WORDS}"',
        f'hoprior run refine --image {photo} --text "{WORDS}"',
        f'hoprior run reconstruct --clip {clip} --text "a mug" --fast',
        f'hoprior run generate --text "{WORDS}" --num 4',
        *([f"hoprior view {out / 'grasps'}"] if grasps else []),
    ):
        say.print(f"try: {line}", markup=False)
    return made


def drawn_hand(seed: int) -> dict[str, Any]:
    """Keypoints of a hand that the pose prior draws, half a metre before a camera, two of its fingers not seen."""
    from hoprior.tasks.generate import generate_poses

    drawn = generate_poses(WORDS, 1, seed=seed)[0].joints_hand - np.asarray(PALM_CENTRE)
    joints = drawn[joint_permutation("mano", "openpose")]
    # Fingers up, the palm towards the camera, whose y is down and whose z is away from it.
    to_camera = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    known = np.ones(21)
    known[list(HIDDEN)] = 0.0
    return {
        "xyz": (joints @ to_camera.T + np.array([0.0, 0.0, AWAY])).tolist(),
        "K": [[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]],
        "confidence": known.tolist(),
        "side": "right",
        "order": "openpose",
        "text": WORDS,
    }


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior demo`."""
    return call_with_arguments(demo, "hoprior demo", args)
