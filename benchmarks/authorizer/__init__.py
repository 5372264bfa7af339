"""Measures the authorizer against its peers; `make bench-authorizer` runs it."""
