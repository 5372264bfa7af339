"""Says what the evidence means. No I/O: the same evidence is always judged alike."""
