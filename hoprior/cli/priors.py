"""`hoprior priors`: the priors that are installed, and what each is for."""

import argparse
from collections.abc import Sequence

import torch

from hoprior.errors import HopriorError
from hoprior.priors.protocols import info_of, text_encoder_of
from hoprior.priors.registry import SHIPPED_FOLDER, InstalledPrior, installed_priors, load_prior
from hoprior.priors.usable import BESIDE, TASKS, tasks_for, use_of

MB = 1e6


def main(args: Sequence[str]) -> None:
    """`hoprior priors`: the tasks, text encoder, size, licence and class of each, by name."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    parser = argparse.ArgumentParser(prog="hoprior priors", description="List the installed priors.")
    parser.add_argument("--tasks", action="store_true", help="print which task uses which of them, as Markdown")
    asked = parser.parse_args(list(args))
    priors = installed_priors()
    if not priors:
        raise HopriorError(f"no prior is installed: {SHIPPED_FOLDER} holds none, and no package registers one")
    if asked.tasks:
        print(task_table([prior.name for prior in priors if prior.problem is None]))
        return
    table = Table("name", "what it is", box=None, header_style="bold", padding=(0, 2, 1, 0))
    for prior in priors:
        try:
            about, style = describe(prior), ""
        except HopriorError as error:
            about, style = f"cannot be loaded: {error}", "red"
        table.add_row(Text(prior.name), Text(f"{about}\n{prior.class_path}, of {prior.package}", style))
    Console().print(table)


def task_table(names: Sequence[str]) -> str:
    """Which task uses which prior, as a table in Markdown; below it why one is refused, a line each.

    Raises:
        HopriorError: one cannot be loaded.
    """
    rows, refused = [f"| prior | {' | '.join(TASKS)} |", "|---" * (1 + len(TASKS)) + "|"], []
    for name in names:
        prior, cells = load_prior(name), []
        for task in TASKS:
            use = use_of(prior, name, task)
            if use not in ("works", BESIDE):
                refused.append(use)
                use = f"no ({len(refused)})"
            cells.append(use)
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*rows, "", *(f"{number}. {reason}" for number, reason in enumerate(refused, start=1))])


def describe(installed: InstalledPrior) -> str:
    """What a prior serves, hears and weighs, and what one may do with it, on two lines.

    Raises:
        HopriorError: it cannot be loaded.
    """
    if installed.problem is not None:
        raise HopriorError(installed.problem)
    prior = load_prior(installed.name)
    tasks = ", ".join(tasks_for(prior)) or "no task"
    encoder = text_encoder_of(prior)
    hears = "hears no text" if encoder is None else f"hears {encoder}"
    size = sum(tensor.nbytes for tensor in prior.state_dict().values()) if isinstance(prior, torch.nn.Module) else 0
    if installed.path is not None:
        size = installed.path.stat().st_size
    weighs = f"{size / MB:.1f} MB of weights" if size else "no weights"
    return f"{tasks}; {hears}; {weighs}\nlicence: {info_of(prior).licence}"
