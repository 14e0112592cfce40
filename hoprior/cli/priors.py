"""`hoprior priors`: the priors that are installed."""

import argparse
from collections.abc import Sequence

from hoprior.errors import HopriorError
from hoprior.priors.registry import SHIPPED_FOLDER, available_priors


def main(args: Sequence[str]) -> None:
    """`hoprior priors`: the table of installed priors."""
    from rich.console import Console
    from rich.table import Table

    argparse.ArgumentParser(prog="hoprior priors", description="List the installed priors.").parse_args(list(args))
    priors = available_priors()
    if not priors:
        raise HopriorError(f"no prior is installed: {SHIPPED_FOLDER} holds none, and no package registers one")
    table = Table("name", "class", box=None, header_style="bold")
    for name, class_path in priors.items():
        table.add_row(name, class_path)
    Console().print(table)
