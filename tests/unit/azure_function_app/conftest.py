"""What several rooms' tests start from."""

import pytest
from pytest_httpx import HTTPXMock

from tests.support.canned_api import CannedApi


@pytest.fixture
def api(httpx_mock: HTTPXMock) -> CannedApi:
    """The API client, over responses that the test makes up."""
    return CannedApi(httpx_mock)
