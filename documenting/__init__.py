"""Development only: what the docs show that the code and real runs know, written into `docs/`."""
