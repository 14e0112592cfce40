"""Where and how precisely tensors are computed."""

from contextlib import AbstractContextManager, nullcontext

import torch

from hoprior.errors import ArgumentError


def torch_device(name: str) -> torch.device:
    """The device of a name; "auto" is the first GPU, if there is one that works here.

    Raises:
        ArgumentError: an unknown device, or one that this machine or this build of torch does not have.

    Example:
        >>> torch_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError("device", name, f"cannot be used here ({reason}): use auto or cpu") from error
    return device


def inference_dtype(device: torch.device) -> torch.dtype:
    """What priors' networks judge and guide in: bfloat16 where the hardware multiplies it faster, else float32.

    Recent GPUs do, and CPUs with AMX or AVX512-BF16.

    Example:
        >>> inference_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
        True
    """
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_fast_bfloat16()
    return torch.bfloat16 if device.type in ("cuda", "cpu") and fast else torch.float32


def network_precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """The precision of a network's layers; float32 leaves it to the caller, as Lightning needs when it trains."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _cpu_has_fast_bfloat16() -> bool:
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(check() for check in checks if check is not None)
