"""The file that the Functions host indexes; everything is in `azure_function_app`."""

from azure_function_app.app import app

__all__ = ["app"]
