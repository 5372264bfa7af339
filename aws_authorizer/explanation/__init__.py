"""Explains what the authorizer makes of a token, for `bridge explain`. Lambda gets none of it."""
