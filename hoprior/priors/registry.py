"""Priors by name: the shipped ones, files, classes, and what other installed packages register.

A package registers a prior in its `pyproject.toml`; the value is a class (or a function) that needs no arguments:

    [project.entry-points."hoprior.priors"]
    my_prior = "my_package.priors:MyPrior"
"""

import argparse
import importlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from hoprior.common.compute import inference_dtype
from hoprior.errors import HopriorError
from hoprior.priors.base import Prior
from hoprior.priors.pretrained import ENTRY_POINT_GROUP, load_checkpoint, load_safetensors, read_header

SHIPPED_FOLDER = Path(str(files("hoprior"))) / "assets" / "priors"


def available_priors() -> dict[str, str]:
    """Name -> class path of every prior that `load_prior` knows by name, shipped ones first."""
    shipped = {path.stem: read_header(path).get("class_path", "?") for path in _shipped_files()}
    return shipped | {name: entry.value for name, entry in _registered().items() if name not in shipped}


def load_prior(name_or_path: str | Path, device: str | torch.device = "cpu") -> Prior:
    """A prior, ready for use: frozen, in evaluation mode, on its device.

    Args:
        name_or_path: a shipped name (`contrastive`, `grid`, `shape` ...), a name registered by another package, a file
            (`.safetensors` or Lightning's `.ckpt`), or the dotted path of a class that needs no arguments.
        device: where to put it.

    Raises:
        HopriorError: there is no such prior, or its file does not load.
    """
    prior = _find(str(name_or_path))
    if not isinstance(prior, Prior):
        raise HopriorError(f"{name_or_path}: is a {type(prior).__name__}, not a prior")
    if isinstance(prior, torch.nn.Module):
        prior.to(device).eval().requires_grad_(False)
    return prior


def prior_on(prior: str | Any, device: torch.device) -> Any:
    """A prior on a device: one of one's own, or a named one, which then computes as precisely as judging needs.

    Raises:
        HopriorError: there is no such prior, or its file does not load.
    """
    if isinstance(prior, str):
        prior = load_prior(prior, device)
        if hasattr(prior, "compute_dtype"):
            prior.compute_dtype = inference_dtype(device)
    elif isinstance(prior, torch.nn.Module):
        prior.to(device)
    return prior


def _find(name: str) -> Any:
    shipped = {path.stem: path for path in _shipped_files()}
    if name in shipped:
        return load_safetensors(shipped[name])
    if name in _registered():
        return _registered()[name].load()()
    if name.endswith(".safetensors"):
        return load_safetensors(name)
    if name.endswith(".ckpt"):
        return load_checkpoint(name)
    module_name, _, class_name = name.rpartition(".")
    if not module_name or "/" in name:
        known = ", ".join(available_priors()) or "none"
        raise HopriorError(
            f"prior '{name}' is unknown: use one of those installed ({known}), a .safetensors or .ckpt file, or the"
            " dotted path of a class"
        )
    try:
        return getattr(importlib.import_module(module_name), class_name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise HopriorError(f"prior '{name}': cannot be made from its class path ({error})") from error


def _shipped_files() -> list[Path]:
    return sorted(SHIPPED_FOLDER.glob("*.safetensors"))


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


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
