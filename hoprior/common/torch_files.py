"""Files that `torch.save` wrote, read without running what is in them and without unpacking more than they are."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from hoprior.common.array_files import check_archive
from hoprior.common.reading import FRESH_COPY, reason_of
from hoprior.errors import HopriorError

SLACK = 1 << 20
"""Bytes that an archive of torch may unpack to beyond its own size: it does not pack its tensors."""


def read_torch_file(path: str | Path, in_place: bool = False) -> Any:
    """Tensors and plain values of a file, on the CPU.

    Args:
        in_place: tensors stay on the disk until somebody looks at them; the file must not change before.

    Raises:
        HopriorError: there is no such file, it is damaged, or holds anything else than tensors and plain values.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_archive = zipfile.is_zipfile(file)
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                check_archive(archive, path, path.stat().st_size + SLACK)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=in_place and is_archive)
    except HopriorError:
        raise
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror or error}): {FRESH_COPY}") from error
    except Exception as error:  # a damaged file raises whatever its bytes stumble over
        raise HopriorError(
            f"{path}: is no whole file of tensors and plain values ({reason_of(error)}): {FRESH_COPY}"
        ) from error
