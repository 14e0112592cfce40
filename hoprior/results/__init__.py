"""What the tasks give back: as Python objects, and as folders of files that other programs read."""
