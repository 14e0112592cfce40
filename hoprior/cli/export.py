"""`hoprior export`: grasps or a hand for simulators; or, of a training checkpoint, its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import notes_console
from hoprior.errors import ArgumentError, HopriorError

HAND = "hand"
USAGE = (
    "hoprior export: say what, and for which simulator: hoprior export OUT --to mjcf, hoprior export hand --to mjcf;"
    " or hoprior export CHECKPOINT.ckpt OUT.safetensors"
)


def export(
    what: Path,
    to: str,
    out: Path | None = None,
    side: str = "right",
    up: str | None = None,
    mass: float = 0.3,
    lift: bool = False,
) -> dict[str, Any]:
    """Grasps with their object, or a hand alone, as files that simulators load.

    Args:
        what: folder that `hoprior run grasp` wrote; or "hand", for the hand alone.
        to: mjcf (MuJoCo), urdf (pybullet, ROS, Isaac, Drake) or usd (Isaac, Omniverse, Blender; needs the extra "usd").
        out: folder for the files; without it, beside the grasps: OUT_mjcf.
        side: of a hand alone: right or left.
        up: which way up the object stands: auto, any, x, y, z, -x, -y or -z; without it, as the grasps were made.
        mass: of the object, kg.
        lift: also lift the object by each grasp, in MuJoCo (mjcf) or pybullet (urdf), and say which hold.

    Example:
        hoprior export out/mug_grasps --to mjcf --lift
        hoprior export hand --to urdf --out hand
        hoprior export out/training/last.ckpt mine.safetensors
    """
    from hoprior.physics.simulation.lift import LIFTS
    from hoprior.results.grasps import GraspResults
    from hoprior.results.simulators import export_grasps, export_hand

    console = notes_console()
    folder = out or Path(f"{what}_{to}")
    if str(what) == HAND:
        export_hand(folder, to, side)
        console.print(f"the {side} hand in {folder}", highlight=False, markup=False)
        return {"out": folder}
    if lift and to not in LIFTS:
        raise ArgumentError("lift", None, f"cannot be done in files for {to}: use one of {', '.join(LIFTS)}")
    results = GraspResults.load(what)
    export_grasps(results, folder, to, up, mass)
    console.print(f"{len(results)} grasps in {folder}", highlight=False, markup=False)
    made: dict[str, Any] = {"out": folder, "grasps": len(results)}
    if lift:
        lifted = [LIFTS[to](folder, f"grasp_{rank:03d}") for rank in range(len(results))]
        for rank, found in enumerate(lifted):
            console.print(f"grasp_{rank:03d}: {'held' if found.held else 'dropped'}", highlight=False, markup=False)
        console.print(f"{sum(found.held for found in lifted)} of {len(lifted)} are held", highlight=False, markup=False)
        made["held"] = [found.held for found in lifted]
    return made


def main(args: Sequence[str]) -> Any:
    """`export OUT --to mjcf`, or `export CHECKPOINT.ckpt OUT.safetensors` as it has always been."""
    given = list(args)
    if len(given) == 2 and not any(argument.startswith("-") for argument in given):
        from hoprior.cli.fit import export_checkpoint

        export_checkpoint(*given)
        return {"out": given[1]}
    if not given or (not given[0].startswith("-") and not any(a == "--to" or a.startswith("--to=") for a in given)):
        raise HopriorError(USAGE)
    if not given[0].startswith("-"):
        given = ["--what", *given]
    return call_with_arguments(export, "hoprior export", given)
