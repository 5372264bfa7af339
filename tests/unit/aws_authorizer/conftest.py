"""Every token that is verified here is explained too, and both must say the same."""

from collections.abc import Iterator

import pytest

from tests.support.explained_alike import explaining_every_token


@pytest.fixture(autouse=True, scope="module")
def _explained_alike() -> Iterator[None]:
    """The tests of this folder are the corpus of bad tokens that an explanation must know."""
    with explaining_every_token():
        yield
