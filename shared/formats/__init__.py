"""Formats that several parts read and write, each in one place."""
