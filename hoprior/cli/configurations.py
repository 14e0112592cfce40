"""`hoprior fit|validate|test|predict`: names of shipped configurations, known before Lightning is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.options import underscored
from hoprior.common.optional import OPTIONAL
from hoprior.errors import HopriorError

CONFIG_FLAGS = ("--config", "-c")
CONFIGURATIONS = Path(__file__).resolve().parent.parent / "configs"
LOGGERS = {"WandbLogger": "wandb", "TensorBoardLogger": "tensorboard"}
"""Lightning's that need a package of ours' extras, by the module that they import."""


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
        raise HopriorError(f"--config {given}: neither a file nor a shipped configuration, which are {_known()}")
    return folder / f"{name}.yaml"


def refuse_unconfigured(args: Sequence[str]) -> None:
    """Lightning would answer with all of its usage, and never names the option that is missing.

    Raises:
        HopriorError: there is no configuration, nor a model by its class, or none follows `--config`.
    """
    asks = any(argument in ("-h", "--help", "--print_config") for argument in args)
    for argument, following in zip(args, [*args[1:], "-"], strict=True):
        if argument in CONFIG_FLAGS and following.startswith("-"):
            raise HopriorError(f"{argument}: give a YAML file, or a shipped configuration, which are {_known()}")
    if not asks and not any(a.partition("=")[0] in CONFIG_FLAGS or a.startswith("--model") for a in args):
        raise HopriorError(
            f"hoprior {args[0]}: give --config with a YAML file, or with a shipped configuration, which are {_known()}"
        )


def _known() -> str:
    """Those that can be trained; those of mixtures are for `--data.mixture`."""
    names = (str(path.relative_to(CONFIGURATIONS).with_suffix("")) for path in CONFIGURATIONS.rglob("*.yaml"))
    return ", ".join(sorted(name for name in names if not name.startswith("mixtures")))


def refuse_missing_logger(args: Sequence[str]) -> None:
    """Before Lightning is loaded, which would take its time and then tell the whole of its settings.

    Raises:
        HopriorError: `--trainer.logger` names one whose package is not installed.
    """
    for argument, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        module = LOGGERS.get((value if equals else following).rpartition(".")[2])
        if name in ("--trainer.logger", "--trainer.logger.class_path") and module is not None:
            for known in OPTIONAL:
                if known.module == module and known.version is None:
                    raise HopriorError(
                        f"{name} {value or following}: {known.package} is not installed: pip install"
                        f" 'hoprior[{known.extra}]', or leave it out, and curves are kept in CSV files"
                    )


def main(args: list[str]) -> dict[str, Any]:
    """The command lines of Lightning, with configurations by name."""
    refuse_unconfigured(args)
    args = with_configurations([args[0], *map(underscored, args[1:])])
    refuse_missing_logger(args)
    from hoprior.cli.fit import train

    return train(args)
