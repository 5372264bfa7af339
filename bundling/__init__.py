"""Builds what ships to both clouds, from the checkout and its locks."""
