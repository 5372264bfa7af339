"""The backend Lambdas: the records API, its public metadata, and health."""
