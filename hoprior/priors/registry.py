"""Priors by name: the shipped ones, files, classes, and what other installed packages register."""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol, overload, runtime_checkable

import torch

from hoprior.common.compute import inference_dtype
from hoprior.errors import HopriorError
from hoprior.moved import current_class_path
from hoprior.priors.installed import (
    COMPANION_PACKAGE,
    COMPANIONS,
    OLD_NAMES,
    SHIPPED_FOLDER,
    SHIPPED_LICENCES,
    InstalledPrior,
    available_priors,
    entry_of,
    first_line,
    installed_priors,
    shipped_files,
)
from hoprior.priors.pretrained import load_checkpoint, load_safetensors, read_header, registered_priors
from hoprior.priors.protocols import (
    AnyPrior,
    DenoisesHandPoses,
    EnergyPrior,
    GenerativePrior,
    SamplesInteractions,
    info_of,
    is_prior,
)
from hoprior.priors.shipped_things import SHIPPED_THINGS
from hoprior.priors.usable import check_usable, judges_interactions

__all__ = [
    "OLD_NAMES",
    "SHIPPED_FOLDER",
    "SHIPPED_LICENCES",
    "InstalledPrior",
    "InteractionDenoiser",
    "available_priors",
    "installed_priors",
    "load_prior",
    "prior_on",
]

logger = logging.getLogger(__name__)

JUDGING = ("grasp", "reconstruct")
"""Tasks that draw nothing from a prior: there its networks may compute less precisely."""


_kept: dict[tuple[str, str, str], Any] | None = None


@contextmanager
def kept_priors() -> Iterator[None]:
    """Inside, `prior_on` loads a prior of a name once for each device and task: for what is done many times."""
    global _kept
    before, _kept = _kept, {} if _kept is None else _kept
    try:
        yield
    finally:
        _kept = before


def keep_priors() -> None:
    """The same from now on, in a process that does nothing else."""
    global _kept
    _kept = {} if _kept is None else _kept


METHODS = ("energy", "predict_noise", "sample_interactions", "sample_objects", "sample_hand_poses", "complete")
"""Of which a prior has one at least."""


@runtime_checkable
class InteractionDenoiser(GenerativePrior[Any, Any], SamplesInteractions[Any], Protocol):
    """A denoiser of hands at objects that can be sampled, as "grid" and "interaction" are."""


@overload
def load_prior(
    name_or_path: Literal["grid", "interaction"], device: str | torch.device = "cpu"
) -> "InteractionDenoiser": ...
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
        An object of one of the two kinds (`hoprior.priors.ScorePrior`, `EnergyPrior`), or one that draws or completes.

    Raises:
        HopriorError: there is no such prior, its file does not load, or what is loaded is no prior.

    Example:
        >>> from hoprior.priors import tasks_for
        >>> prior = load_prior("contrastive")
        >>> tasks_for(prior)
        ('grasp', 'refine', 'reconstruct')
    """
    prior = _find(str(name_or_path))
    if not is_prior(prior):
        raise HopriorError(
            f"{name_or_path}: is a {type(prior).__name__}, not a prior: it needs `energy`, or `encode`,"
            " `predict_noise` and `alphas_cumprod`, or something to draw or to complete with"
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

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> prior_on(Low(), torch.device("cpu"), "grasp").energy.__name__
        'energy'
    """
    name = prior if isinstance(prior, str) else type(prior).__name__
    if isinstance(prior, str):
        key = (prior, str(device), task)
        prior = _kept[key] if _kept is not None and key in _kept else _loaded_for(prior, device, task)
        if _kept is not None:
            _kept[key] = prior
    if not (judges_too and judges_interactions(prior)):
        check_usable(prior, name, task)
    if isinstance(prior, torch.nn.Module):
        there = {tensor.device for tensor in (*prior.parameters(), *prior.buffers())}
        return (prior if there <= {device} else deepcopy(prior).to(device)).eval()
    return prior


def _loaded_for(name: str, device: torch.device, task: str) -> Any:
    prior: Any = load_prior(name, device)
    if hasattr(prior, "compute_dtype") and task in JUDGING:
        prior.compute_dtype = inference_dtype(device)
    return prior


def _find(name: str) -> Any:
    shipped, entry = shipped_files(), entry_of(name)
    if name in OLD_NAMES and entry is None:
        logger.warning("prior '%s' is '%s' now; the old name goes in the next version", name, OLD_NAMES[name])
        name = OLD_NAMES[name]
    if name in shipped:
        if any(registered.name == name for registered in registered_priors()):
            logger.warning(
                "prior '%s' is hoprior's own; `hoprior priors` says how to load the other of that name", name
            )
        prior: Any = load_safetensors(shipped[name])
        licence, things = SHIPPED_LICENCES.get(name, "not stated"), SHIPPED_THINGS.get(name, frozenset())
        prior.info = replace(info_of(prior), licence=licence, things=things)
        return prior
    if entry is not None:
        return _made(name, lambda: entry.load()())
    if name.endswith(".safetensors"):
        return load_safetensors(name)
    if name.endswith(".ckpt"):
        return load_checkpoint(name)
    if name in COMPANIONS:
        raise HopriorError(
            f"prior '{name}' is in a package of its own, of weights that learnt from nothing but open data:"
            f" pip install {COMPANION_PACKAGE}, or build it (tools/build_open_priors.py)"
        )
    module_name, _, class_name = current_class_path(name).rpartition(".")
    if not module_name or "/" in name:
        known = ", ".join(available_priors()) or "none"
        raise HopriorError(
            f"prior '{name}' is unknown: use one of those installed ({known}), a .safetensors or .ckpt file, or the"
            " dotted path of a class"
        )
    made = _made(name, lambda: _class(module_name, class_name)())
    for known, path in shipped.items():
        if current_class_path(read_header(path).get("class_path", "")) == current_class_path(name):
            logger.warning("%s: its weights are untrained; load_prior('%s') has the trained ones", name, known)
    return made


def _class(module_name: str, class_name: str) -> Callable[[], Any]:
    """A class that can be a prior's, by what it has; anything else that has the name is not called."""
    found = getattr(importlib.import_module(module_name), class_name)
    if not isinstance(found, type) or not any(hasattr(found, method) for method in METHODS):
        raise TypeError(f"{class_name} is no class of a prior: none has {', '.join(METHODS)}")
    return found


def _made(name: str, make: Callable[[], Any]) -> Any:
    """What somebody else's code makes, or one sentence."""
    try:
        return make()
    except Exception as error:  # whatever that code raises is no fault of the caller's
        raise HopriorError(f"prior '{name}': cannot be made ({first_line(error)})") from error
