"""What holds for all tests."""

import pytest

pytest.register_assert_rewrite(
    "tests.support.record_store_promises", "tests.support.sync_store_promises"
)
