"""One call through every part, put together from the local stack's logs."""
