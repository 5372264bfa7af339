"""The `bridge` command: runs the whole system on a laptop."""
