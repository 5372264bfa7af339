"""The Lambda entries: each names its operations and how their settings are read."""
