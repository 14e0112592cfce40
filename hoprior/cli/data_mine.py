"""`hoprior data mine`: adds to a cache the negatives that a contrastive prior would choose itself."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import counting_bar, saying
from hoprior.common.staging import remove_leftovers, staging_folder
from hoprior.datasets.training.hard_negatives import MiningConfig, mine_round
from hoprior.errors import HopriorError
from hoprior.priors.protocols import ScoresPlacements

CONTRASTIVE = Path(str(files("hoprior"))) / "configs" / "contrastive.yaml"

JUDGES = "priors"
"""What the folder is for in which a fold's prior is trained; it is gone afterwards."""


def mine(
    cache: Path,
    out: Path,
    prior_config: Path = CONTRASTIVE,
    rounds: int = 1,
    folds: int = 3,
    steps: int = 350,
    num: int = 160,
    pool: int = 4096,
    sources: list[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Add hard negatives to a cache: placements that a prior trained on other objects likes; kept where they are there.

    Args:
        cache: made by `hoprior data prepare`.
        out: folder of the result; round r is the cache OUT/round<r>, the last is the one to train on.
        prior_config: of the prior, as for `hoprior fit --config`.
        rounds: the priors of each round have learnt from the negatives of those before.
        folds: parts of the objects; an object is judged by a prior that has not seen it.
        steps: of training each of these priors, which have one member.
        num: placements to keep of an object.
        pool: random placements to choose them from.
        sources: whose objects get negatives, as [myodm]; those of all by default.
        seed: of everything random.

    Example:
        hoprior data mine --cache cache/procedural --out cache/mined --rounds 2
    """
    if rounds < 1:
        raise HopriorError(f"--rounds is {rounds}: at least one")
    if not prior_config.is_file():
        raise HopriorError(f"{prior_config}: no such configuration: give the one that the prior is trained with")
    mining = MiningConfig(folds, pool, num, sources=None if sources is None else tuple(sources), seed=seed)

    def train_without(folder: Path, objects: Sequence[str]) -> Any:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out, JUDGES)
        # A fold's prior judges that fold and nothing else: what it learnt, when and where, is no part of the result.
        with staging_folder(out, JUDGES) as place:
            return trained_prior(prior_config, folder, objects, steps, place)

    training = {"the prior's configuration": prior_config.read_bytes(), "the steps": steps}
    with counting_bar() as bar:
        for number in range(1, rounds + 1):
            task = bar.add_task(f"round {number}", total=None)
            folder, name, say = out / f"round{number}", f"mined {number}", saying(bar.console, f"round {number}: ")
            for step in mine_round(cache, folder, train_without, mining, name, training, say):
                what = f"round {number}: {step.object_key}{' (kept)' * step.reused}"
                bar.update(task, completed=step.done, total=step.total, description=what)
            cache = folder
        bar.console.print(f"{cache}: ready; train with --data.init_args.cache {cache}")
    return {"out": out, "cache": cache}


def trained_prior(config: Path, cache: Path, without: Sequence[str], steps: int, out: Path) -> Any:
    """The prior of a configuration, trained for some steps on a cache without some objects; ready to judge."""
    # Lightning is slow to import, and this module is read for --help.
    from hoprior.cli.configurations import main
    from hoprior.common.compute import inference_dtype
    from hoprior.priors.pretrained import load_checkpoint

    options = {
        "model.init_args.members": 1,
        "data.init_args.cache": cache,
        "data.init_args.without": json.dumps(list(without)),
        "trainer.max_steps": steps,
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "out": out,
    }
    main(["fit", "--config", str(config), *(f"--{name}={value}" for name, value in options.items())])
    loaded: Any = load_checkpoint(out / "last.ckpt")
    loaded.eval().requires_grad_(False).compute_dtype = inference_dtype(next(loaded.parameters()).device)
    if not isinstance(loaded, ScoresPlacements):
        raise HopriorError(f"{config}: describes a {type(loaded).__name__}, which does not judge placements")
    return loaded


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data mine`."""
    return call_with_arguments(mine, "hoprior data mine", args)
