"""`hoprior run generate`: hands with objects, or hands alone, drawn from a text."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import progress_bar
from hoprior.priors.registry import load_prior
from hoprior.results.interactions import SAMPLES, InteractionSamples
from hoprior.tasks.generate.interactions import GenerateConfig, as_grid_prior, generate

DEFAULT_CONFIG = GenerateConfig()


def run_generate(
    text: str,
    num: int = 8,
    prior: str = "grid",
    guidance: float | None = None,
    steps: int = 50,
    seed: int = 0,
    hand: str = "open",
    side: str = "right",
    device: str = "auto",
    out: Path = Path("out"),
    draw: GenerateConfig = DEFAULT_CONFIG,
) -> None:
    """Hands holding objects, or hands alone, drawn from a text: GLBs, parameters, a contact sheet, and the settings.

    Args:
        text: what to draw: "a hand holding a hammer by the handle".
        num: how many samples.
        prior: grid (hands with objects) or pose (hands alone), or the file of another prior of these kinds.
        guidance: scale of classifier-free guidance, 1 is none; without, 3 of hands with objects and 1 of hands alone.
        steps: of the sampler; must divide the prior's number of timesteps.
        seed: the same seed gives the same samples.
        hand: open (embedded) or mano (your own MANO files, in HOPRIOR_MANO_DIR).
        side: right or left.
        device: auto, cpu, cuda, mps.
        out: folder for the results.
        draw: how draws of hands with objects are made and judged.
    """
    from rich.console import Console

    from hoprior.models.pose_prior import PosePrior
    from hoprior.results.poses import POSES, PoseSamples
    from hoprior.tasks.generate.poses import generate_poses

    loaded = load_prior(prior)
    hands_alone = isinstance(loaded, PosePrior)
    files = POSES if hands_alone else SAMPLES
    files.check_writable(out)
    options: dict[str, Any] = {"steps": steps, "seed": seed, "hand": hand, "side": side, "device": device}
    if guidance is not None:
        options["guidance"] = guidance
    console = Console(stderr=True)
    samples: PoseSamples | InteractionSamples
    with progress_bar(console) as progress:
        if isinstance(loaded, PosePrior):
            samples = generate_poses(text, num, prior=loaded, progress=progress, **options)
        else:
            samples = generate(text, num, prior=as_grid_prior(loaded, prior), config=draw, progress=progress, **options)
        samples = replace(samples, config={**samples.config, "prior": prior})
        progress("writing", 1.0)
        samples.save(out)
    if len(samples) < num:
        console.print(f"fewer than asked: {samples.summary()}", style="yellow", highlight=False)
    else:
        console.print(samples.summary(), style="dim", highlight=False)
    console.print(f"{len(samples)} samples in {out}: look at {out / files.sheet_name}", highlight=False)


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `hoprior run generate`."""
    call_with_arguments(run_generate, "hoprior run generate", args)
