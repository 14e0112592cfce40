"""Energies, statics and simulators of one hand at one object."""
