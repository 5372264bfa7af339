"""Ways to set the two sides up wrong, each for real in the local stack, and what puts it right."""
