"""Why nothing can be explained."""


class ExplainError(Exception):
    """There is nothing to explain, or nothing to explain it against; `code` is stable."""

    def __init__(self, code: str, *sentences: str) -> None:
        """Take the code, and sentences for a person that hold nothing of a token."""
        super().__init__(" ".join(sentences))
        self.code = code
        self.sentences = sentences
