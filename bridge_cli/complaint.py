"""How a command says what is wrong: one sentence each, on standard error."""

from rich.console import Console
from rich.markup import escape


def complain(sentence: str) -> None:
    """Print the sentence, marked as what went wrong."""
    console = Console(stderr=True)
    # A log gets the sentence on one line; a terminal would break it within words and numbers.
    is_log = not console.is_terminal
    console.print("[bold red]✗[/]", escape(printable(sentence)), highlight=False, soft_wrap=is_log)


def printable(text: str) -> str:
    """Return the text with escapes in place of what would steer a terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )
