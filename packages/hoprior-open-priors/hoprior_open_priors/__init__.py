"""Priors of hoprior that learnt from nothing but data that anyone may use; see the README."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoprior.priors.pretrained import load_safetensors
from hoprior.priors.protocols import info_of

LICENCE = "Apache-2.0; trained on nothing but data that anyone may use"


def _loaded(name: str) -> Any:
    prior: Any = load_safetensors(Path(str(files(__name__))) / "weights" / f"{name}.safetensors")
    prior.info = replace(info_of(prior), licence=LICENCE)
    return prior


def contrastive_open() -> Any:
    """Where a hand goes."""
    return _loaded("contrastive-open")


def grid_open() -> Any:
    """Hands together with objects."""
    return _loaded("grid-open")


def interaction_open() -> Any:
    """Whole objects, and hands for them."""
    return _loaded("interaction-open")


def pose_open() -> Any:
    """How a hand is bent, from a sentence."""
    return _loaded("pose-open")


def text_match_open() -> Any:
    """What a sentence says of a grasp."""
    return _loaded("text_match-open")
