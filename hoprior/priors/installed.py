"""Which priors are there by name: those that ship with hoprior, and what other installed packages register.

A package registers a prior in its `pyproject.toml`; the value is a class (or a function) that needs no arguments:

    [project.entry-points."hoprior.priors"]
    my_prior = "my_package.priors:MyPrior"
"""

import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoprior.errors import HopriorError
from hoprior.moved import current_class_path
from hoprior.priors.pretrained import read_header, registered_priors

logger = logging.getLogger(__name__)

SHIPPED_FOLDER = Path(str(files("hoprior"))) / "assets" / "priors"
MYODM = "Apache-2.0; trained on MyoDM, whose motion was retargeted from GRAB (for non-commercial research)"
OWN = "Apache-2.0; trained on data that hoprior makes"
SHIPPED_LICENCES = {
    "contrastive": MYODM,
    "grasp_type": OWN,
    "grid": MYODM,
    "interaction": MYODM,
    "parts": OWN,
    "pose": MYODM,
    "shape_completion": OWN,
    "text_match": MYODM,
}
"""Of the embedded weights; docs/priors.md has their model cards."""
COMPANION_PACKAGE = "hoprior-open-priors"
COMPANIONS = ("contrastive-open", "grid-open", "interaction-open", "pose-open", "text_match-open")
"""Priors of the companion package: embedded ones, as trained without MyoDM, whose motion is not for everyone."""
OLD_NAMES = {"kinds": "grasp_type", "shape": "shape_completion", "words": "text_match"}
"""What embedded priors were called; the old names go in the next version."""


@dataclass(frozen=True)
class InstalledPrior:
    """A prior that is there by its name.

    Attributes:
        name: what `load_prior` knows it by.
        class_path: `package.module.Class`.
        package: the installed package that it comes with.
        path: the file of its weights; None for registered classes, which bring their own.
        problem: why it cannot be loaded by its name, and what to do; None where it can.
    """

    name: str
    class_path: str
    package: str
    path: Path | None = None
    problem: str | None = None


def installed_priors() -> list[InstalledPrior]:
    """All priors that are there by name, shipped ones first, with what keeps each from being loaded, if anything.

    The modules of registered priors are imported: one that fails spoils no other.

    Example:
        >>> [prior.name for prior in installed_priors() if prior.package == "hoprior"][:2]
        ['contrastive', 'grasp_type']
    """
    return [_shipped(path) for path in shipped_files().values()] + [_registered(e) for e in registered_priors()]


def available_priors() -> dict[str, str]:
    """Name -> class path of every prior that `load_prior` can load by name, shipped ones first.

    What is installed but cannot be loaded is left out, with a warning in the log that says why.

    Example:
        >>> available_priors()["pose"]
        'hoprior.models.pose_prior.PosePrior'
    """
    found = installed_priors()
    for prior in found:
        if prior.problem is not None:
            logger.warning("prior '%s' (%s): %s", prior.name, prior.package, prior.problem)
    return {prior.name: prior.class_path for prior in found if prior.problem is None}


def shipped_files() -> dict[str, Path]:
    """Name -> file of the weights that ship with hoprior.

    Example:
        >>> shipped_files()["pose"].suffix
        '.safetensors'
    """
    return {path.stem: path for path in sorted(SHIPPED_FOLDER.glob("*.safetensors"))}


def entry_of(name: str) -> EntryPoint | None:
    """What is registered under a name; None if nothing is, or if hoprior ships a prior of that name.

    Raises:
        HopriorError: two packages have registered different priors under it.
    """
    if name in shipped_files():
        return None
    entries = [entry for entry in registered_priors() if entry.name == name]
    if not entries:
        return None
    if problem := _taken(entries[0]):
        raise HopriorError(f"prior '{name}': {problem}")
    return entries[0]


def first_line(error: Exception) -> str:
    """What an exception says, short and on one line, with its kind.

    Example:
        >>> first_line(ValueError("no such layer"))
        'ValueError: no such layer'
    """
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _shipped(path: Path) -> InstalledPrior:
    try:
        class_path, problem = current_class_path(read_header(path).get("class_path", "?")), None
    except HopriorError as error:
        class_path, problem = "?", str(error)
    return InstalledPrior(path.stem, class_path, "hoprior", path, problem)


def _registered(entry: EntryPoint) -> InstalledPrior:
    problem = _taken(entry)
    if problem is None:
        try:
            entry.load()
        except Exception as error:  # whatever that package raises is no fault of the others
            problem = f"'{entry.value}' cannot be imported ({first_line(error)}): mend or uninstall {_package(entry)}"
    return InstalledPrior(entry.name, _class_path(entry), _package(entry), None, problem)


def _taken(entry: EntryPoint) -> str | None:
    """Why a registered name does not stand for its prior, if it does not."""
    if entry.name in shipped_files():
        return f"hoprior ships a prior of this name: load this one as '{_class_path(entry)}'"
    same = [other for other in registered_priors() if other.name == entry.name]
    if len(same) < 2:
        return None
    packages = " and ".join(f"{_package(other)} ({_class_path(other)})" for other in same)
    return f"the name is registered by {packages}: load one by its class path, or uninstall the other"


def _class_path(entry: EntryPoint) -> str:
    return entry.value.replace(":", ".")


def _package(entry: Any) -> str:
    return "an unknown package" if entry.dist is None else str(entry.dist.name)
