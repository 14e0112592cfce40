"""Recorded datasets, read from their own files into one form: `open_dataset(NAME, ROOT)` in `registry.py`."""
