import pytest

from documenting.theme_pictures import PictureFormError, for_the_site

PICTURE = """before
<picture>
  <source media="(prefers-color-scheme: dark)" srcset="pictures/demo-dark.svg">
  <img alt="A &quot;demo&quot;." src="pictures/demo-light.svg">
</picture>
after
"""


def test_when_a_page_has_a_picture_then_the_site_shows_one_of_two_images() -> None:
    """mkdocs-material hides the one whose address ends in the other theme."""
    assert (
        "before\n"
        '<img alt="A &quot;demo&quot;." src="pictures/demo-light.svg#only-light"> '
        '<img alt="A &quot;demo&quot;." src="pictures/demo-dark.svg#only-dark">\n'
        "after\n"
    ) == for_the_site(PICTURE)


def test_when_a_picture_has_a_width_then_both_images_have_it() -> None:
    """The size is the same in both."""
    sized = PICTURE.replace('light.svg">', 'light.svg" width="830">')

    assert 2 == for_the_site(sized).count('width="830"')


def test_when_a_page_has_no_picture_then_it_stays_as_it_is() -> None:
    """Nothing else is touched."""
    assert "# Title\n\ntext\n" == for_the_site("# Title\n\ntext\n")


def test_when_a_picture_is_written_otherwise_then_it_is_not_left_behind() -> None:
    """It would follow the machine and not the site's switch."""
    with pytest.raises(PictureFormError):
        for_the_site('<picture><img src="a.svg" alt="a"></picture>')
