"""hoprior: generative priors of hands holding objects, and the tasks they are for.

    import hoprior
    results = hoprior.grasp("mug.obj", text="a mug", num=10)
    results.save("out")

Names are loaded when they are first used, so that `import hoprior` is quick. The table of names and where they live is
`__init__.pyi`, which type checkers and editors read as well.
"""

import ast
import importlib
import pkgutil
from typing import Any

from hoprior import moved

_HOME = {
    alias.name: str(node.module)
    for node in ast.parse(pkgutil.get_data(__name__, "__init__.pyi") or b"").body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}

__all__ = sorted(_HOME)

moved.install()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hoprior' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
