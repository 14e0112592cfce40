"""`hoprior priors`: the priors that are installed, and what each is for."""

from collections.abc import Sequence
from typing import Any

import torch

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import answers_console
from hoprior.errors import HopriorError
from hoprior.priors.protocols import info_of, text_encoder_of
from hoprior.priors.registry import SHIPPED_FOLDER, InstalledPrior, installed_priors, load_prior
from hoprior.priors.usable import BESIDE, TASKS, tasks_for, use_of

MB = 1e6


def list_priors(tasks: bool = False) -> list[dict[str, str]]:
    """The priors that are installed: the tasks, text encoder, size, licence and class of each, by name.

    Args:
        tasks: print which task uses which of them instead, as a table in Markdown.

    Example:
        hoprior priors
    """
    from rich.table import Table
    from rich.text import Text

    priors = installed_priors()
    if not priors:
        raise HopriorError(f"no prior is installed: {SHIPPED_FOLDER} holds none, and no package registers one")
    if tasks:
        markdown = task_table([prior.name for prior in priors if prior.problem is None])
        answers_console().print(markdown, markup=False, highlight=False, soft_wrap=True)
        return [{"table": markdown}]
    found = []
    table = Table("name", "what it is", box=None, header_style="bold", padding=(0, 2, 1, 0))
    for prior in priors:
        try:
            about, style = describe(prior), ""
        except HopriorError as error:
            about, style = f"cannot be loaded: {error}", "red"
        found.append({"name": prior.name, "about": about, "class": prior.class_path, "package": prior.package})
        table.add_row(Text(prior.name), Text(f"{about}\n{prior.class_path}, of {prior.package}", style))
    answers_console().print(table)
    return found


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior priors`."""
    return call_with_arguments(list_priors, "hoprior priors", args)


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
