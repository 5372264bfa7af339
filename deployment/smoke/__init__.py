"""Tries a deployed pair from outside, or the local one: lets the right ones in, and nobody else."""
