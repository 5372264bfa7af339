"""Pictures for light and dark pages, as the site must have them.

On GitHub `<picture>` follows the reader's theme. The site has a switch of its own, which a media
query does not know: there, mkdocs-material shows one of two images, by the ends of their addresses.
"""

import re
from typing import Final

_PICTURE: Final = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]*)" src="(?P<light>[^"]+)"(?P<size>(?: width="\d+")?)>\s*</picture>'
)


class PictureFormError(Exception):
    """A picture on a page is written in another form than the others."""


def for_the_site(page: str) -> str:
    """Return the page with two images for each picture, of which the site's theme shows one.

    Raises:
        PictureFormError: a picture would be left as it is.

    """
    found = _PICTURE.sub(
        lambda picture: " ".join(
            f'<img alt="{picture["alt"]}" src="{picture[mode]}#only-{mode}"{picture["size"]}>'
            for mode in ("light", "dark")
        ),
        page,
    )
    if "<picture" in found:
        raise PictureFormError("write each picture as the others are, a dark source and an img")
    return found
