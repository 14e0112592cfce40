"""A module's constructor arguments as plain values, so that checkpoints and weight files can make it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def constructor_arguments(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an `__init__` from its `locals()`, taken in its first line.

    Lightning's `save_hyperparameters()` is no substitute: under LightningCLI it records the configuration of the outer
    module in the modules that this one contains, too.
    """
    return {name: _plain(value) for name, value in scope.items() if name not in ("self", "__class__")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
