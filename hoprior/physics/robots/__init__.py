"""Robot hands from URDF: what they are made of, how they move, how they hold what a person holds."""
