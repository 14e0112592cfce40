"""Where and how precisely tensors are computed."""

from contextlib import AbstractContextManager, nullcontext

import torch

from hoprior.errors import HopriorError


def torch_device(name: str) -> torch.device:
    """The device of a name; "auto" is the first GPU, if there is one that works here.

    Raises:
        HopriorError: an unknown device, or one that this machine or this build of torch does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise HopriorError(f"--device '{name}' cannot be used here ({reason}): use auto or cpu") from error
    return device


def inference_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the hardware multiplies it faster than float32 (recent GPUs, CPUs with AMX); else as it is.

    For judging many candidates, where only differences count; optimisation stays in float32.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and _cpu_has_fast_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def _cpu_has_fast_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check and check())
