"""`hoprior run generate`: hands with objects, or hands alone, drawn from a text."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.places import results_folder
from hoprior.common.console import notes_console, progress_bar
from hoprior.errors import HopriorError
from hoprior.priors.protocols import SamplesInteractions
from hoprior.priors.registry import load_prior
from hoprior.priors.usable import draws_poses
from hoprior.results.interactions import SAMPLES, InteractionSamples
from hoprior.results.objects import OBJECTS, ObjectSamples
from hoprior.results.poses import POSES, PoseSamples
from hoprior.tasks.generate import GenerateConfig, generate, generate_objects, generate_poses

DEFAULT_CONFIG = GenerateConfig()
RENAMED = {"draw": "config", "guidance": "config.guidance_scale", "steps": "config.steps"}


def run_generate(
    text: str,
    num: int = 8,
    prior: str | None = None,
    hand_only: bool = False,
    object_only: bool = False,
    partial: Path | None = None,
    show_rejected: bool = False,
    hand: str = "open",
    side: str = "right",
    hand_length: str | None = None,
    betas: str | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    no_report: bool = False,
    config: GenerateConfig = DEFAULT_CONFIG,
) -> dict[str, Any]:
    """Hands holding objects, or either alone, drawn from a text: GLBs, parameters, a contact sheet, and the settings.

    Args:
        text: what to draw: "a hand holding a hammer by the handle".
        num: how many samples.
        prior: what draws: interaction or grid (hands with objects), pose (hands alone), or the name or file of another
            such prior; priors that judge may follow and order what is drawn: interaction:1,contrastive:0.5. Without
            it interaction draws objects, and pose hands alone.
        hand_only: hands without objects.
        object_only: objects without hands.
        partial: a part of an object, a mesh or points in metres, +z up, that the objects are to have; with object-only.
        show_rejected: also show what was thrown away, and why: samples_rejected.png.
        hand: open (embedded) or mano (your own MANO files, in HOPRIOR_MANO_DIR).
        side: right or left.
        hand_length: whose hand it is, from the wrist to the middle finger's tip: 16.5cm; an average hand has 18.7cm.
        betas: or its shape in the hand model's own coefficients, up to ten: 1,-0.5.
        seed: the same seed gives the same samples.
        device: auto, cpu, cuda, mps.
        out: folder for the results; without it out/a_hand_holding_samples or out/a_hand_holding_poses, by the text.
        no_report: leave out report.html, the page to look at the results.
        config: how draws are made and judged.

    Example:
        hoprior run generate --text "a hand holding a hammer by the handle" --num 8
        hoprior run generate --object-only --text "a teapot"
        hoprior run generate --prior pose --text "A right hand holding a large ball, with a power sphere grasp."
    """

    from hoprior.results.report import write_report

    if hand_only and object_only:
        raise HopriorError("--hand-only --object-only: leave nothing to draw: give one of them, or neither for both")
    if partial is not None and not object_only:
        raise HopriorError("--partial: completes objects without hands: give --object-only too")
    priors = parse_priors(prior or ("pose" if hand_only else "interaction"))
    loaded = [load_prior(name) for _, name in priors]
    with_objects = any(isinstance(one, SamplesInteractions) for one in loaded)
    hands_alone = hand_only or (not object_only and not with_objects and any(draws_poses(one) for one in loaded))
    files = OBJECTS if object_only else POSES if hands_alone else SAMPLES
    out = results_folder(out, text, f"{files.item}s")
    files.check_writable(out)
    config = replace(config, show_rejected=config.show_rejected or show_rejected)
    console = notes_console()
    samples: PoseSamples | InteractionSamples | ObjectSamples
    with progress_bar(console) as progress:
        common: dict[str, Any] = {"priors": priors, "seed": seed, "device": device, "config": config}
        common["progress"] = progress
        if object_only:
            samples = generate_objects(text, num, partial=partial, **common)
        else:
            draw = generate_poses if hands_alone else generate
            samples = draw(text, num, hand=hand, side=side, hand_length=hand_length, betas=betas, **common)
        progress("writing", 1.0)
        samples.save(out)
        seen = files.sheet_name if no_report else write_report(out).name
    if len(samples) < num:
        console.print(f"fewer than asked: {samples.summary()}", style="yellow", highlight=False)
    else:
        console.print(samples.summary(), style="dim", highlight=False)
    console.print(f"{len(samples)} samples in {out}: look at {out / seen}", highlight=False)
    return {"out": out, "index": out / files.index_name, "samples": len(samples)}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior run generate`."""
    return call_with_arguments(run_generate, "hoprior run generate", args, RENAMED)
