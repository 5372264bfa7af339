"""A local Entra ID: one tenant that issues verifiable tokens, and its managed identity endpoint.

`LocalEntra.start` in `local_entra` runs it. Nothing here belongs into a cloud.
"""
