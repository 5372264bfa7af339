"""The Function App: gets an Entra token and calls the API in AWS. Async throughout."""

__version__ = "0.1.0"
