"""Each protected route has an operation behind it, and each operation a route before it."""

from aws_backend.records_api import RecordsApi
from shared.routes import PROTECTED_ROUTES
from tests.support.fake_record_store import FakeRecordStore


def test_when_a_route_is_protected_then_the_records_api_has_its_operation() -> None:
    """A route without one would be let in, and then be answered 404."""
    routes = {(route.method, route.path) for route in PROTECTED_ROUTES}

    assert routes == set(RecordsApi(FakeRecordStore()).operations())
