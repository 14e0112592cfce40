"""`hoprior fit|validate|test|predict`: names of shipped configurations, known before Lightning is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.options import underscored
from hoprior.errors import HopriorError

CONFIG_FLAGS = ("--config", "-c")
CONFIGURATIONS = Path(__file__).resolve().parent.parent / "configs"


def with_configurations(args: Sequence[str]) -> list[str]:
    """`--config contrastive`, or `configs/contrastive.yaml`, as the shipped file, where there is no file of that name.

    Raises:
        HopriorError: there is neither.
    """
    found: list[str] = []
    for k, argument in enumerate(args):
        name, equals, value = argument.partition("=")
        if name in CONFIG_FLAGS and equals:
            found.append(f"{name}={_configuration(value)}")
        elif k and args[k - 1] in CONFIG_FLAGS:
            found.append(str(_configuration(argument)))
        else:
            found.append(argument)
    return found


def _configuration(given: str) -> Path:
    if Path(given).is_file():
        return Path(given)
    folder = CONFIGURATIONS
    name = given.removeprefix("configs/").removesuffix(".yaml")
    if not (folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")))
        raise HopriorError(f"--config {given}: neither a file nor a shipped configuration, which are {known}")
    return folder / f"{name}.yaml"


def main(args: list[str]) -> dict[str, Any]:
    """The command lines of Lightning, with configurations by name."""
    args = with_configurations([args[0], *map(underscored, args[1:])])
    from hoprior.cli.fit import train

    return train(args)
