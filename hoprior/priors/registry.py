"""Priors by name: the shipped ones, files, classes, and what other installed packages register.

A package registers a prior in its `pyproject.toml`; the value is a class (or a function) that needs no arguments:

    [project.entry-points."hoprior.priors"]
    my_prior = "my_package.priors:MyPrior"
"""

import importlib
import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import torch

from hoprior.common.compute import inference_dtype
from hoprior.errors import HopriorError
from hoprior.moved import current_class_path
from hoprior.priors.pretrained import ENTRY_POINT_GROUP, load_checkpoint, load_safetensors, read_header
from hoprior.priors.protocols import (
    AnyPrior,
    DenoisesHandPoses,
    EnergyPrior,
    GenerativePrior,
    SamplesInteractions,
    info_of,
    is_prior,
)
from hoprior.priors.usable import check_usable, judges_interactions

logger = logging.getLogger(__name__)

SHIPPED_FOLDER = Path(str(files("hoprior"))) / "assets" / "priors"
MYODM = "Apache-2.0; trained on MyoDM, whose motion was retargeted from GRAB (for non-commercial research)"
OWN = "Apache-2.0; trained on data that hoprior makes"
SHIPPED_LICENCES = {
    "contrastive": MYODM,
    "grasp_type": OWN,
    "grid": MYODM,
    "parts": OWN,
    "pose": MYODM,
    "shape_completion": OWN,
    "text_match": MYODM,
}
"""Of the embedded weights; docs/priors.md has their model cards."""
JUDGING = ("grasp", "reconstruct")
"""Tasks that draw nothing from a prior: there its networks may compute less precisely."""
OLD_NAMES = {"kinds": "grasp_type", "shape": "shape_completion", "words": "text_match"}
"""What embedded priors were called; the old names go in the next version."""


class InteractionDenoiser(GenerativePrior[Any, Any], SamplesInteractions[Any], Protocol):
    """A denoiser of hands at objects that can be sampled, as `load_prior("grid")` gives."""


def available_priors() -> dict[str, str]:
    """Name -> class path of every prior that `load_prior` knows by name, shipped ones first."""
    shipped = {path.stem: current_class_path(read_header(path).get("class_path", "?")) for path in _shipped_files()}
    return shipped | {name: entry.value for name, entry in _registered().items() if name not in shipped}


@overload
def load_prior(name_or_path: Literal["grid"], device: str | torch.device = "cpu") -> "InteractionDenoiser": ...
@overload
def load_prior(name_or_path: Literal["pose"], device: str | torch.device = "cpu") -> DenoisesHandPoses: ...
@overload
def load_prior(
    name_or_path: Literal["contrastive", "grasp_type", "parts", "shape_completion", "text_match"],
    device: str | torch.device = "cpu",
) -> EnergyPrior: ...
@overload
def load_prior(name_or_path: str | Path, device: str | torch.device = "cpu") -> AnyPrior: ...
def load_prior(name_or_path: str | Path, device: str | torch.device = "cpu") -> Any:
    """A prior, ready for use: frozen, in evaluation mode, on its device.

    Args:
        name_or_path: a shipped name (`contrastive`, `grid`, `pose` ...), a name registered by another package, a file
            (`.safetensors` or Lightning's `.ckpt`), or the dotted path of a class that needs no arguments.
        device: where to put it.

    Returns:
        An object of one of the two kinds (`hoprior.priors.ScorePrior`, `EnergyPrior`), or one that can be sampled.

    Raises:
        HopriorError: there is no such prior, its file does not load, or what is loaded is no prior.

    Example:
        >>> prior = load_prior("contrastive")
        >>> tasks_for(prior)
        ('grasp', 'refine', 'reconstruct')
    """
    prior = _find(str(name_or_path))
    if not is_prior(prior):
        raise HopriorError(
            f"{name_or_path}: is a {type(prior).__name__}, not a prior: it needs `energy`, or `encode`,"
            " `predict_noise` and `alphas_cumprod`"
        )
    if isinstance(prior, torch.nn.Module):
        prior.to(device).eval().requires_grad_(False)
    return prior


def prior_on(prior: str | AnyPrior, device: torch.device, task: str, judges_too: bool = False) -> Any:
    """A prior on a device for a task: one of one's own, or a named one, which computes as precisely as judging needs.

    With `judges_too`, a prior that judges hands at objects is taken for any task. A module of the caller's own that is
    on another device is copied, and stays where it is.

    Raises:
        HopriorError: there is no such prior, its file does not load, or the task cannot use it.
    """
    name = prior if isinstance(prior, str) else type(prior).__name__
    if isinstance(prior, str):
        prior = load_prior(prior, device)
        if hasattr(prior, "compute_dtype") and task in JUDGING:
            prior.compute_dtype = inference_dtype(device)
    if not (judges_too and judges_interactions(prior)):
        check_usable(prior, name, task)
    if isinstance(prior, torch.nn.Module):
        there = {tensor.device for tensor in (*prior.parameters(), *prior.buffers())}
        return (prior if there <= {device} else deepcopy(prior).to(device)).eval()
    return prior


def _find(name: str) -> Any:
    shipped = {path.stem: path for path in _shipped_files()}
    if name in OLD_NAMES and name not in _registered():
        logger.warning("prior '%s' is '%s' now; the old name goes in the next version", name, OLD_NAMES[name])
        name = OLD_NAMES[name]
    if name in shipped:
        prior: Any = load_safetensors(shipped[name])
        prior.info = replace(info_of(prior), licence=SHIPPED_LICENCES.get(name, "not stated"))
        return prior
    if name in _registered():
        return _made(name, lambda: _registered()[name].load()())
    if name.endswith(".safetensors"):
        return load_safetensors(name)
    if name.endswith(".ckpt"):
        return load_checkpoint(name)
    module_name, _, class_name = current_class_path(name).rpartition(".")
    if not module_name or "/" in name:
        known = ", ".join(available_priors()) or "none"
        raise HopriorError(
            f"prior '{name}' is unknown: use one of those installed ({known}), a .safetensors or .ckpt file, or the"
            " dotted path of a class"
        )
    made = _made(name, lambda: getattr(importlib.import_module(module_name), class_name)())
    for known, class_path in available_priors().items():
        if known in shipped and class_path == current_class_path(name):
            logger.warning("%s: its weights are untrained; load_prior('%s') has the trained ones", name, known)
    return made


def _made(name: str, make: Callable[[], Any]) -> Any:
    """What somebody else's code makes, or one sentence."""
    try:
        return make()
    except Exception as error:  # whatever that code raises is no fault of the caller's
        reason = " ".join(str(error).split())[:200]
        raise HopriorError(f"prior '{name}': cannot be made ({type(error).__name__}: {reason})") from error


def _shipped_files() -> list[Path]:
    return sorted(SHIPPED_FOLDER.glob("*.safetensors"))


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
