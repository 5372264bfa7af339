"""Bicep as it is written, before it is evaluated."""
