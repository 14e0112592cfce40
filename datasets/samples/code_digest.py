"""A digest of what code does, for caches of what it made."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache
def code_digest(*places: Path) -> str:
    """Of some modules, and of all in some folders: their syntax trees, without comments, layout and docstrings.

    Raises:
        FileNotFoundError: there is no module at one of the places.
    """
    digest = hashlib.sha256()
    modules = [[place] if place.is_file() else sorted(place.glob("*.py")) for place in places]
    for place, found in zip(places, modules, strict=True):
        if not found:
            raise FileNotFoundError(f"{place}: no module, and no folder of any")
    for path in (path for found in modules for path in found):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()
