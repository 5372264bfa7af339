"""Puts the bridge on both clouds, and tries what stands there; or the same on the laptop."""
