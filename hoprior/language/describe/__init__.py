"""Asking vision-language models what a hand does: on this machine, or behind an endpoint."""
