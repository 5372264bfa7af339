"""A Functions host's front door around Microsoft's own Python worker library.

Runs in the environment that the Function App ships with, and nothing else: this package imports
the standard library, aiohttp, azure-functions-runtime and the project's own `shared`.
"""
