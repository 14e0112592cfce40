"""A digest of what code does, for caches of what it made."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache
def code_digest(*places: Path) -> str:
    """Of some modules, and of all in some folders: their syntax trees, without comments, layout and docstrings."""
    digest = hashlib.sha256()
    for path in (path for place in places for path in ([place] if place.is_file() else sorted(place.glob("*.py")))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()
