"""Makes a release: its version, its artifacts built twice, and the lists of what is in them."""
