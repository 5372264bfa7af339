"""Tests of the rehearsal's own judgment."""
