"""Runs the clouds' own command lines, and tells their refusals apart."""
