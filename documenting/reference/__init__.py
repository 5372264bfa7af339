"""The reference pages, written from what the code declares: `make docs`."""
