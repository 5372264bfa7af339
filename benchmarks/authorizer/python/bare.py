"""The least that a Lambda function in Python can be."""


def handler(_event: object, _context: object) -> dict[str, object]:
    """An answer, and nothing done for it."""
    return {}
