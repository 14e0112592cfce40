"""The `hoprior` command: the only room that knows all others, and that none of them imports."""

from hoprior.cli.entry import main

__all__ = ["main"]
