"""`bridge explain`: what the authorizer makes of a token, and what to change."""
