"""What the record store promises, kept by the fake that other tests put in its place."""

import pytest

from tests.support.fake_record_store import FakeRecordStore
from tests.support.record_store_promises import RecordStorePromises


class TestFakeRecordStore(RecordStorePromises):
    """The fake in memory, so that what is tested over it holds over the real one."""

    @pytest.fixture
    def store(self) -> FakeRecordStore:
        """An empty store."""
        return FakeRecordStore()

    @pytest.fixture
    def other_store(self) -> FakeRecordStore:
        """An empty store with another feed."""
        return FakeRecordStore(feed=bytes(reversed(range(16))))
