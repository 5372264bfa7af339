"""Puts the bridge on both clouds from one file: what to do, in which order, by whom."""
