"""Passes a caller's request on to the API in AWS, and the API's response back."""
