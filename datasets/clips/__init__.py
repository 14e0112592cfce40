"""Clips of a hand with an object: read, filmed, taken from videos and from HOI4D."""
