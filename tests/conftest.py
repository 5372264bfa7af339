"""What holds for all tests."""

import pytest

pytest.register_assert_rewrite(
    "tests.support.one_transaction_promises",
    "tests.support.record_store_promises",
    "tests.support.record_view_promises",
    "tests.support.sync_store_promises",
)
