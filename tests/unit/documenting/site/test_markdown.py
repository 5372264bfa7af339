"""Pages that GitHub shows well, made into what Python-Markdown takes."""

import pytest

from documenting.site.markdown import with_links, with_plain_pipes, with_wider_lists


@pytest.mark.parametrize(
    ("page", "ready"),
    [
        (
            "1. Do this:\n\n   ```console\n   $ a\n   ```\n",
            "1.  Do this:\n\n    ```console\n    $ a\n    ```\n",
        ),
        ("- a\n  b\n- c\n", "-   a\n    b\n-   c\n"),
        ("- a\n  - b\n    c\n", "-   a\n    -   b\n        c\n"),
        ("text\n- a\n", "text\n\n-   a\n"),
        ("10. a\n\n    b\n\ntext\n", "10. a\n\n    b\n\ntext\n"),
        (
            "1. a\n   ```\n   - no item\n   1. nor this\n   ```\n2. b\n",
            "1.  a\n\n    ```\n    - no item\n    1. nor this\n    ```\n2.  b\n",
        ),
        ("- [ ] a\n  b\n", "-   [ ] a\n    b\n"),
        ("```text\n- as\n it\n  stands\n```\n", "```text\n- as\n it\n  stands\n```\n"),
        ("- a\n\n| x |\n|---|\n", "-   a\n\n| x |\n|---|\n"),
    ],
)
def test_when_a_page_has_lists_then_they_are_indented_by_four(page: str, ready: str) -> None:
    """And nothing else of the page changes."""
    assert ready == with_wider_lists(page)


def test_when_a_link_is_relative_then_it_is_moved_and_no_other_is() -> None:
    """Code, fences, anchors and addresses keep theirs."""
    page = "[a](b.md#c) [d](#e) [f](https://g.example/h) `[i](j.md)`\n```\n[k](l.md)\n```\n"

    assert page.replace("b.md", "B.MD") == with_links(page, str.upper)


def test_when_code_in_a_table_has_a_bar_then_it_is_no_longer_escaped() -> None:
    """In text it stays escaped, or it would end the cell; outside of tables nothing changes."""
    page = "| `a \\| b` | c \\| d |\n`a \\| b`\n```text\n| `a \\| b` |\n```\n"

    assert page.replace("| `a \\| b` | c", "| `a | b` | c") == with_plain_pipes(page)
