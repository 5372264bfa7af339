"""Measures both sides against their peers; `make bench` runs it all."""
