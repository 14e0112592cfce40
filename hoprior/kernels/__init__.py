"""Compiled loops at the same mathematics as the torch code, which stays the reference; see docs/performance.md."""
