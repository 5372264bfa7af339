"""A small Function App with queue triggers and outputs; its functions note each of their runs."""
