"""A hand of hoprior as rigid bodies on hinges, and its files for simulators: MJCF, URDF and USD."""
