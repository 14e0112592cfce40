"""Weights that travel as one file: tensors, the class they belong to, and the settings that make it again.

Reading such a file runs no code of the file's choosing: its class must be one of hoprior's, or one that an installed
package has registered by an entry point in the group `hoprior.priors`.
"""

import importlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hoprior.common.io import write_atomically
from hoprior.common.reading import UNEXPECTED, expect, interpreting, parse_json
from hoprior.common.torch_files import read_torch_file
from hoprior.errors import HopriorError
from hoprior.moved import current_class_path

ENTRY_POINT_GROUP = "hoprior.priors"
CHECKPOINT_KEY = "hoprior"
FLOAT16_MAX = 65504.0
TINIEST_HALF = 6e-8
"""About the least number above 0 that half precision has."""
MOST_STEPS, STEP = 127, ".step"
"""Of weights in bytes, and what the name of their steps ends in."""
MOST_LACKING = 10_000_000
"""Numbers that a file may lack of those that its settings speak of, for the sentence to name what is missing."""
FILLED = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
COUNTED = (torch.eye, torch.arange, torch.linspace, torch.logspace, torch.randperm)
"""Functions that make as many numbers as they are told: by a shape, or by a count."""
Module = TypeVar("Module", bound="PretrainedMixin")


class PretrainedMixin(ABC):
    """For modules whose weights are shared; name it before `nn.Module` or `LightningModule` among the bases.

    The file is safetensors with half-precision numbers, and in its header the metadata `class_path` and `config`
    (JSON). Lightning's checkpoints carry the same two under `hoprior`, at full precision.

    Attributes:
        in_bytes: weights of layers are written as whole multiples, -127 to 127, of a step of each output's own: half
            the size. For networks whose answers that leaves as they are.
    """

    in_bytes = False

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments of `__init__`, as JSON has them."""

    @classmethod
    def from_config(cls: type[Module], config: dict[str, Any]) -> Module:
        """The module that `config()` describes, not yet with its weights."""
        return cls(**config)

    def save_safetensors(self, path: str | Path, metadata: dict[str, str] | None = None) -> None:
        """Writes the weights, all or nothing; `metadata` goes into the header beside `class_path` and `config`.

        Raises:
            HopriorError: a weight that half precision cannot hold, or a file that cannot be written.
        """
        from safetensors.torch import save

        path = Path(path)
        tensors: dict[str, Tensor] = {}
        for name, tensor in _module(self).state_dict().items():
            if self.in_bytes and name.endswith(".weight") and tensor.ndim > 1:
                tensors |= _in_bytes(name, tensor)
            else:
                tensors[name] = _halved(name, tensor)
        header = {**(metadata or {}), "class_path": class_path_of(type(self)), "config": json.dumps(self.config())}
        content = save(tensors, header)
        write_atomically(path, lambda temporary: temporary.write_bytes(content))

    @classmethod
    def from_safetensors(cls: type[Module], path: str | Path) -> Module:
        """The module of a file that `save_safetensors` wrote, in single precision, on the CPU, in evaluation mode.

        Raises:
            HopriorError: no such file, not of this class, or weights and settings that do not fit it.
        """
        tensors, header = read_safetensors(path)
        if current_class_path(header.get("class_path", "")) != class_path_of(cls):
            raise HopriorError(f"{path}: holds a {header.get('class_path')}, not a {class_path_of(cls)}")
        return build(cls, _parse_config(path, header), tensors, path)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: lets the checkpoint say what it is of."""
        super().on_save_checkpoint(checkpoint)  # type: ignore[misc]
        checkpoint[CHECKPOINT_KEY] = {"class_path": class_path_of(type(self)), "config": json.dumps(self.config())}


def load_safetensors(path: str | Path) -> PretrainedMixin:
    """The module in a safetensors file, of whichever class the file names; see `from_safetensors`.

    Raises:
        HopriorError: as there, and if the class is neither hoprior's nor registered.
    """
    tensors, header = read_safetensors(path)
    return build(trusted_class(header.get("class_path", ""), path), _parse_config(path, header), tensors, path)


def load_checkpoint(path: str | Path) -> PretrainedMixin:
    """The module in one of Lightning's checkpoints: its averaged weights, where training averaged them.

    Raises:
        HopriorError: no such file, or not a checkpoint of a module of hoprior's.
    """
    if not Path(path).is_file():
        raise HopriorError(f"{path}: there is no such file")
    advice, what = "give one that hoprior fit has written", "not a checkpoint that hoprior fit has written"
    checkpoint = read_torch_file(path)
    with interpreting(path, advice, what):
        header, tensors = checkpoint[CHECKPOINT_KEY], checkpoint["state_dict"]
        expect(header, {"class_path": str, "config": str})
        if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise TypeError("its weights are no tensors by name")
    return build(trusted_class(header.get("class_path", ""), path), _parse_config(path, header), tensors, path)


def build(cls: type[PretrainedMixin], config: dict[str, Any], tensors: dict[str, Tensor], path: str | Path) -> Any:
    """A module of a class, its settings and its weights, in evaluation mode."""
    try:
        most = 3 * sum(tensor.numel() for tensor in tensors.values()) + MOST_LACKING
        # The caller's random numbers must not depend on what is loaded.
        with torch.random.fork_rng(devices=[]), _Bounded(most):
            module = cls.from_config(config)
        _module(module).load_state_dict(_single(tensors))
    except (*UNEXPECTED, AssertionError) as error:  # torch's own modules assert what settings must be
        raise HopriorError(
            f"{path}: does not fit this version's {cls.__name__} ({_first_line(error)}): it is damaged or from another"
            " version"
        ) from error
    return _module(module).eval()


class _Bounded(TorchFunctionMode):
    """Settings of a few bytes may describe a network that no machine holds: making it ends before it is that large.

    It counts the numbers that torch is asked for. Torch's "meta" device would do, but loads sympy, which takes seconds.
    Numbers that `torch.nn.init` would draw are left out: the file's own come in their place, all of them or none.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.asked = most, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in FILLED:
            size = kwargs.get("size", args) if kwargs else args
            size = size[0] if size and isinstance(size[0], (tuple, list)) else size
            self._take(abs(math.prod(n for n in size if isinstance(n, int))))
        elif func in COUNTED:
            numbers = [float(n) for n in args if isinstance(n, (int, float))]
            self._take(int(max(map(abs, numbers), default=0)) ** (2 if func is torch.eye else 1))
        elif func is Tensor.clone:
            self._take(args[0].numel())
        elif getattr(func, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))

    def _take(self, numbers: int) -> None:
        self.asked += numbers
        if self.asked > self.most:
            raise ValueError(f"its settings are of more than {self.asked:,} numbers, and it has far fewer")


def trusted_class(class_path: str, path: str | Path) -> type[PretrainedMixin]:
    """The class that a data file names, if it is hoprior's own or registered by an entry point; nothing else is run.

    Example:
        >>> try:
        ...     trusted_class("os.system", "pose.safetensors")
        ... except HopriorError as error:
        ...     print(str(error).partition(",")[0])
        pose.safetensors: names the class 'os.system'
    """
    module_name, _, name = current_class_path(class_path).rpartition(".")
    # All installed packages are looked through for what is registered: not for hoprior's own.
    if not module_name.startswith("hoprior.") and class_path not in {
        entry.value.replace(":", ".") for entry in registered_priors()
    }:
        raise HopriorError(
            f"{path}: names the class '{class_path}', which is neither hoprior's nor registered as an entry point in"
            f" the group {ENTRY_POINT_GROUP}: a data file does not choose what code is run"
        )
    try:
        cls = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise HopriorError(f"{path}: names the class '{class_path}', which this version does not have") from error
    except Exception as error:  # whatever a registered package raises while it is imported is no fault of the file's
        raise HopriorError(
            f"{path}: names the class '{class_path}', whose module cannot be imported"
            f" ({type(error).__name__}: {_first_line(error)})"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, PretrainedMixin)):
        raise HopriorError(f"{path}: names the class '{class_path}', which does not load from files")
    return cls


def registered_priors() -> list[EntryPoint]:
    """What installed packages have registered in the group `hoprior.priors`, each name and class once, by name."""
    entries = {(entry.name, entry.value): entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return [entries[key] for key in sorted(entries)]


def class_path_of(cls: type) -> str:
    """`hoprior.models.grid_prior.GridPrior`.

    Example:
        >>> class_path_of(torch.nn.Linear)
        'torch.nn.modules.linear.Linear'
    """
    return f"{cls.__module__}.{cls.__qualname__}"


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header's metadata of a file.

    Raises:
        HopriorError: no such file, or not a whole one.
    """
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_header(path: str | Path) -> dict[str, str]:
    """The header's metadata alone; raises as `read_safetensors` does.

    Example:
        >>> from hoprior.priors.installed import shipped_files
        >>> read_header(shipped_files()["pose"])["class_path"]
        'hoprior.models.pose_prior.PosePrior'
    """
    with _open(path) as file:
        return file.metadata() or {}


def _open(path: str | Path) -> Any:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise HopriorError(f"{path}: there is no such file")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise HopriorError(f"{path}: not a whole safetensors file ({_first_line(error)})") from error


def _parse_config(path: str | Path, header: dict[str, str]) -> dict[str, Any]:
    config = parse_json(
        header.get("config", ""), f"{path}: its header's config", "it was not written by save_safetensors"
    )
    if not isinstance(config, dict):
        raise HopriorError(f"{path}: the config in its header is no mapping: it was not written by save_safetensors")
    return config


def _module(mixed: PretrainedMixin) -> nn.Module:
    assert isinstance(mixed, nn.Module), f"{type(mixed).__name__} is no nn.Module"
    return mixed


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    if not bool((tensor.abs() <= FLOAT16_MAX).all()):
        raise HopriorError(f"weight '{name}' holds numbers that half precision cannot: did the training diverge?")
    return tensor.half().contiguous()


def _in_bytes(name: str, weight: Tensor) -> dict[str, Tensor]:
    """A layer's weights as multiples of a step, and the step of each output."""
    step = _halved(name, weight.flatten(1).abs().amax(dim=1) / MOST_STEPS).clamp(min=TINIEST_HALF)
    multiples = weight / step.float().view(-1, *[1] * (weight.ndim - 1))
    return {name: multiples.round().clamp(-MOST_STEPS, MOST_STEPS).to(torch.int8).contiguous(), name + STEP: step}


def _single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in single precision, those in bytes as what they stand for."""
    single = {}
    for name, tensor in tensors.items():
        step = tensors.get(name + STEP)
        if step is not None:
            single[name] = tensor.float() * step.float().view(-1, *[1] * (tensor.ndim - 1))
        elif not name.endswith(STEP) or name.removesuffix(STEP) not in tensors:
            single[name] = tensor.float() if tensor.is_floating_point() else tensor
    return single


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
