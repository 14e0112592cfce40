"""`hoprior eval prior`: how good an interaction-grid prior is, as tables, as JSON and as CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.compute import inference_dtype, torch_device
from hoprior.common.console import answers_console, notes_console
from hoprior.common.io import check_place
from hoprior.datasets.benchmarks.recorded_grids import read_recorded
from hoprior.errors import HopriorError
from hoprior.evaluation.drawn_grids import DrawsInteractions
from hoprior.evaluation.finished_draws import finished_sampler
from hoprior.evaluation.heavy_pages import prior_metrics_page
from hoprior.evaluation.prior import TABLES, PriorEvaluation, evaluate, object_sampler, sampler, save, table_title
from hoprior.evaluation.prior_quality import MEAN, Row, Truth
from hoprior.hand import load_hand
from hoprior.models.base import TrainedPrior
from hoprior.priors.protocols import SamplesObjects, info_of
from hoprior.priors.registry import load_prior
from hoprior.results.report.tables import write_page_beside
from hoprior.tasks.generate.request import GenerateConfig


def evaluate_prior(
    cache: Path,
    prior: str = "grid",
    split: Literal["val", "train"] = "val",
    num: int = 256,
    seed: int = 0,
    steps: int = 50,
    guidance_scale: float | None = None,
    val_fraction: float = 0.1,
    finished: bool = False,
    device: str = "auto",
    out: Path = Path("prior_eval.json"),
    no_report: bool = False,
) -> dict[str, Any]:
    """Measure a prior that draws hands with objects: its samples, how they follow the text, and its VQ-VAE.

    Args:
        cache: folder of grasps, made by `hoprior data prepare`.
        prior: name or file of the prior, as for `hoprior run grasp --prior`.
        split: whose recorded grasps the samples are compared with: of held-out or of training objects.
        num: samples of each kind: for comparing, for families, objects alone, and half as many pairs of small and
            large.
        seed: of everything random.
        steps: of the sampler.
        guidance_scale: of classifier-free guidance; without it the prior's own, or 3.
        val_fraction: share of the objects that training held out.
        finished: measure draws as `hoprior run generate` gives them: brought together by contact, and drawn again
            where they are broken. Takes seconds a draw.
        device: where the networks run.
        out: file of the results; a .csv of the tables is written beside it.
        no_report: leave out the page of the tables, the same name with .html.

    Example:
        hoprior eval prior --cache cache/procedural --prior grid --num 16
    """
    if num < 2:
        raise HopriorError(f"--num {num}: give at least 2; a comparison that says something takes 64 or more")
    if out.suffix != ".json" or out.is_dir():
        raise HopriorError(f"--out {out}: give the name of a .json file")
    check_place(out.absolute().parent)
    where = torch_device(device)
    loaded = load_prior(prior, where)
    if not isinstance(loaded, DrawsInteractions):
        raise HopriorError(
            f"--prior {prior}: is a {type(loaded).__name__}; only priors that draw hands with objects, as grid and"
            " interaction do, have samples to measure"
        )
    if isinstance(loaded, TrainedPrior):
        loaded.compute_dtype = inference_dtype(where)
    guidance_scale = guidance_scale or info_of(loaded).guidance_scale or 3.0
    grasps = read_recorded(cache, loaded.spec, val_fraction)
    truth = Truth(grasps, split, load_hand(grasps[split].hand))

    alone = loaded if isinstance(loaded, SamplesObjects) else None

    from rich.progress import Progress

    with Progress(console=notes_console(), transient=True) as bar:
        task = bar.add_task("", total=(2 if alone is None else 3) * num + 2 * (num // 2))

        def heard(count: int) -> None:
            bar.update(task, advance=count)

        sample = (
            finished_sampler(loaded, load_hand(), GenerateConfig(steps=steps), guidance_scale, where, heard)
            if finished
            else sampler(loaded, steps, guidance_scale, heard)
        )
        found = evaluate(
            loaded,
            truth,
            sample,
            num,
            seed,
            lambda stage: bar.update(task, description=stage),
            None if alone is None else object_sampler(alone, steps, guidance_scale, heard),
        )
    settings = {"prior": prior, "cache": str(cache), "num": num, "steps": steps, "guidance_scale": guidance_scale}
    settings |= {"finished": finished, "val_fraction": val_fraction, "device": str(where)}
    save(found, out, settings)
    page = write_page_beside(out, None if no_report else prior_metrics_page(found, settings))
    console = answers_console()
    show(found, console)
    names = ", ".join(path.name for path in (out.with_suffix(".csv"), page) if path)
    console.print(f"{out}, {names}", highlight=False, markup=False, soft_wrap=True)
    return {"out": out, "page": page}


def show(found: PriorEvaluation, console: Any) -> None:
    """Prints the tables, with the columns that have a value."""
    from rich.table import Table

    for name, title, columns in TABLES:
        rows: dict[str, Row] = getattr(found, name)
        if not rows:
            continue
        shown = [field for field in columns if any(row.get(field) is not None for row in rows.values())]
        console.print(table_title(found, title), style="bold", highlight=False, markup=False)
        table = Table(box=None, header_style="bold", padding=(0, 1))
        table.add_column("")
        for field in shown:
            table.add_column(columns[field][0], justify="right")
        for label, row in rows.items():
            values = [row.get(field) for field in shown]
            cells = ["-" if v is None else columns[f][1].format(v) for f, v in zip(shown, values, strict=True)]
            table.add_row(label, *cells, style="bold" if label in (MEAN, "generated") else "")
        console.print(table, end="\n\n")


def main(args: Sequence[str]) -> Any:
    """The command line of `hoprior eval prior`."""
    return call_with_arguments(evaluate_prior, "hoprior eval prior", args)
