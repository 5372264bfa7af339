"""The table: every way to set the two sides up wrong that is tried."""

from typing import Final

from tests.misconfigurations.api_rows import API_ROWS
from tests.misconfigurations.misconfiguration import Misconfiguration
from tests.misconfigurations.storage_rows import STORAGE_ROWS
from tests.misconfigurations.token_rows import TOKEN_ROWS

ROWS: Final[tuple[Misconfiguration, ...]] = (*TOKEN_ROWS, *API_ROWS, *STORAGE_ROWS)
