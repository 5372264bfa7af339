"""Each thing that can be wrong in a built site is found."""

from pathlib import Path

import pytest

from documenting.site.checks import problems_of


def site(folder: Path, body: str) -> list[str]:
    """What is wrong in a site of two pages, of which one has this body."""
    (folder / "a.html").write_text(f"<html><body><article>{body}</article></body></html>")
    (folder / "b.html").write_text("<article><h1 id='here'>x</h1></article>")
    (folder / "p.svg").touch()
    return list(problems_of(folder))


@pytest.mark.parametrize(
    "body",
    [
        "<a href='b.html#here'>x</a>",
        "<a href='./b.html'>x</a>",
        "<a href='https://learn.microsoft.com/azure#x'>x</a>",
        "<img src='p.svg'>",
        "<picture><source srcset='p.svg 2x, p.svg'></picture>",
        "<p id='y'>x</p><a href='#y'>x</a>",
        "<code>| a | b | ```</code>",
        "a | b",
    ],
)
def test_when_a_page_is_good_then_nothing_is_found(tmp_path: Path, body: str) -> None:
    """Else nobody would believe what is found."""
    assert [] == site(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<a href='c.html'>x</a>", "leads to no file"),
        ("<a href='../b.html'>x</a>", "leads to no file"),
        ("<a href='b.html#there'>x</a>", "leads to no heading"),
        ("<a href='#there'>x</a>", "leads to no heading"),
        ("<a href='/b.html'>x</a>", "host's root"),
        ("<a href='https://x'>x</a>", "is no address"),
        ("<a href='htps://learn.microsoft.com/'>x</a>", "is no address"),
        ("<img src='q.svg'>", "is not there"),
        ("<source srcset='p.svg, q.svg 2x'>", "is not there"),
        ("<img src='https://img.example/p.svg'>", "fetched from elsewhere"),
        ("<script src='//cdn.example/x.js'></script>", "fetched from elsewhere"),
        ("<link href='https://fonts.example/x.css'>", "fetched from elsewhere"),
        ("<p>| a | b |</p>", "was not understood"),
        ("<p>1. ```console</p>", "was not understood"),
        ("<p>see [a](b.md)</p>", "was not understood"),
    ],
)
def test_when_something_is_wrong_then_it_is_found(tmp_path: Path, body: str, told: str) -> None:
    """One thing, one sentence, with the page's name."""
    (problem,) = site(tmp_path, body)

    assert problem.startswith("a.html: ")
    assert told in problem
