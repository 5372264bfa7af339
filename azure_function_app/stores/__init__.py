"""The places that keep records and checkpoints."""
