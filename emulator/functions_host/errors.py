"""What keeps the host from starting."""


class FunctionsHostError(Exception):
    """The host cannot start; the message is one sentence that says what to change."""

    code = "functions_host_unavailable"
