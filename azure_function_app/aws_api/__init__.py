"""Calls the API in AWS: one client, and the layers that each call goes through."""
