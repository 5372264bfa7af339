"""Brings the changes of the API's feed into a record store."""
