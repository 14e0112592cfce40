"""A second device, for machines that have none: its tensors lie in the CPU's memory and mix with no other.

    python tests/pretend_device.py run grasp --mesh mug.ply --out out --device pretend
    python tests/pretend_device.py count run grasp ...      (tells what the device was given to do, too)
    python tests/pretend_device.py check      (what it refuses)

Runs a command line of hoprior where the device `pretend` exists. As on a GPU, an operation on tensors of two devices
fails, a random generator belongs to one device, and NumPy sees nothing of what is not on the CPU. What a GPU allows is
allowed: numbers (tensors without dimensions) and indices may be the CPU's. Registering a device is for good, so this is
a program of its own.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from pretend_counts import COUNTS, INDEXES, MOVES, Operation
from pretend_graphs import CUDAGraph, Graphs, refuse_to_wait
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretend"


class PretendTensor(torch.Tensor):
    """A tensor that says it is on the device, around the one of the CPU that holds its values."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> "PretendTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def tolist(self) -> Any:
        given(Operation(1, waits=1))
        return self.raw.tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{NAME}:{self.raw!r}"


class PretendGenerator(torch.Generator):
    """A generator that knows which device it is of."""

    def __new__(cls, device: torch.device | str = "cpu") -> "PretendGenerator":
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.place


class PretendDevice(TorchDispatchMode):
    """While it is entered, tensors can be made on the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class PretendBackend(Graphs, _DummyBackendModule):
    """What torch asks a backend for."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation, computed by the CPU; its results are where its arguments are, or where `device` says."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, PretendTensor)]
    here = [x for x in tensors if not isinstance(x, PretendTensor)]
    away = bool(there)
    name = func._schema.name
    if away and name not in MOVES:
        refuse_a_mixture(name, args, tensors)
    if kwargs.get("device") is not None:
        away = torch.device(kwargs["device"]).type == NAME
        kwargs = kwargs | {"device": torch.device("cpu")}
    operation = Operation()
    if there or away:
        into = args[1 if name == "aten::_copy_from" else 0] if name in MOVES[1:] else None
        operation = Operation.of(func, args, here, stays=away if into is None else isinstance(into, PretendTensor))
        given(operation)
    generator = kwargs.get("generator")
    if generator is not None and (generator.device.type == NAME) != away:
        raise RuntimeError(f"{name}: a generator of {generator.device} draws for another device")
    wrapped = {id(x.raw): x for x in tensors if isinstance(x, PretendTensor)}
    raw_args, raw_kwargs = tree_map(unwrapped, args), tree_map(unwrapped, kwargs)
    recorded = CUDAGraph.recording if there or away else None
    if recorded is not None:
        recorded.spare(func, raw_args, raw_kwargs)
    out = func(*raw_args, **raw_kwargs)
    if recorded is not None:
        recorded.keep(func, raw_args, raw_kwargs, out, operation)
    if name == "aten::copy_":
        return args[0]

    def placed(x: Any) -> Any:
        # Operations in place return their argument.
        known = wrapped.get(id(x)) if isinstance(x, torch.Tensor) else None
        if known is not None:
            return known
        return PretendTensor(x) if away and isinstance(x, torch.Tensor) and not isinstance(x, PretendTensor) else x

    return tree_map(placed, out)


def given(operation: Operation) -> None:
    """Tells what the device was given to do, or that it cannot be now."""
    refuse_to_wait(operation)
    if CUDAGraph.recording is None:
        COUNTS.add(operation)


def refuse_a_mixture(name: str, args: tuple[Any, ...], tensors: list[torch.Tensor]) -> None:
    """Fails where a GPU would."""
    free = [x for x in tree_leaves(args[1]) if isinstance(x, torch.Tensor)] if name in INDEXES else []
    if free and not isinstance(args[0], PretendTensor):
        raise RuntimeError(f"{name}: a tensor of the CPU is indexed by indices of {NAME}")
    for x in tensors:
        if x.dim() and not isinstance(x, PretendTensor) and not any(x is one for one in free):
            raise RuntimeError(
                f"{name}: tensors of two devices: {[(one.device.type, tuple(one.shape)) for one in tensors]}"
            )


def unwrapped(x: Any) -> Any:
    return x.raw if isinstance(x, PretendTensor) else x


def placed_afterwards(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`torch.tensor` and the like, whose way to a device is no operation that could be seen."""

    def made(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        here = make(*args, **kwargs)
        return here if device is None else here.to(device)

    return made


def install() -> torch.library.Library:
    """Makes the device known to torch; the library must be kept as long as it is used."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=PretendBackend())
    torch.Generator = PretendGenerator  # type: ignore[misc]
    torch.tensor = placed_afterwards(torch.tensor)
    torch.as_tensor = placed_afterwards(torch.as_tensor)
    # Lists as indices become tensors where neither the mode nor the class are asked.
    library = torch.library.Library("aten", "IMPL")

    def empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> torch.Tensor:
        return PretendTensor(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))

    def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        stays = isinstance(target, PretendTensor)
        given(Operation(1, int(not stays), int(stays and not isinstance(source, PretendTensor))))
        unwrapped(target).copy_(unwrapped(source))
        return target

    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return library


def register_accelerator() -> None:
    """Makes the device known to Lightning."""
    from pytorch_lightning.accelerators import Accelerator, AcceleratorRegistry

    class PretendAccelerator(Accelerator):
        def setup_device(self, device: torch.device) -> None: ...

        def teardown(self) -> None: ...

        def get_device_stats(self, device: Any) -> dict[str, Any]:
            return {}

        @staticmethod
        def parse_devices(devices: Any) -> Any:
            return devices

        @staticmethod
        def get_parallel_devices(devices: Any) -> list[torch.device]:
            return [torch.device(NAME, 0)]

        @staticmethod
        def auto_device_count() -> int:
            return 1

        @staticmethod
        def is_available() -> bool:
            return True

        @staticmethod
        def name() -> str:
            return NAME

    AcceleratorRegistry.register(NAME, PretendAccelerator)


def refused() -> list[str]:
    """What fails of all that would fail on a GPU."""
    here, away = torch.ones(3), torch.ones(3, device=NAME)
    tries: dict[str, Callable[[], object]] = {
        "added": lambda: here + away,
        "drawn": lambda: torch.rand(2, generator=torch.Generator(), device=NAME),
        "indexed": lambda: here[torch.tensor([0], device=NAME)],
        "numpy": lambda: away.numpy(),
        "twice": lambda: (away * torch.tensor(2.0))[torch.tensor([0])].cpu().numpy(),
    }
    failed = []
    for name, trial in tries.items():
        try:
            trial()
        except RuntimeError:
            failed.append(name)
    return failed


if __name__ == "__main__":
    kept = install()
    if sys.argv[1:] == ["check"]:
        with PretendDevice():
            sys.exit(print(*refused()))
    counted = sys.argv[1:2] == ["count"]
    if counted:
        del sys.argv[1]
    if sys.argv[1:2] == ["fit"]:
        register_accelerator()
    from hoprior.cli.entry import main

    with PretendDevice():
        failed = main(sys.argv[1:])
    if counted:
        print(COUNTS.told())
    sys.exit(failed)
