"""Looks at the app's surroundings as the app itself does, each probe within its own time."""
