"""The records API as callers meet it: through gateway, authorizer and Lambda, to DynamoDB."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from httpx import Response

from bridge_cli.local_client import LocalClient
from emulator.stack import LocalStack
from tests.support.local_stack import running_stack
from tests.support.openapi import check_described

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

RECORD = "/v1/records/{id}"
METADATA = "/.well-known/oauth-protected-resource"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack for all tests of this module."""
    async with running_stack(tmp_path_factory.mktemp("records-api"), record_limit=30) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def client(stack: LocalStack) -> AsyncIterator[LocalClient]:
    """A client of the stack."""
    async with LocalClient.to(stack) as client:
        yield client


async def call(
    client: LocalClient,
    method: str,
    path: str,
    resource: str,
    *,
    token: str | None,
    body: object = None,
    **headers: str,
) -> Response:
    """The answer, which is as the description says."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.call_api(method, path, token=token, json=body, headers=sent)
    document: Any = answer.json() if answer.content else None
    check_described(method, resource, answer.status_code, answer.headers, document)
    return answer


async def test_when_an_editor_works_on_a_record_then_every_answer_is_as_described(
    client: LocalClient, stack: LocalStack
) -> None:
    """Preconditions reach the backend, ETags and 304 the caller; a repeated PUT is no version."""
    token = await client.token_for(stack.tenant.editor)
    path = "/v1/records/a~b.c-d_e"
    data = {"name": "Zürich ✈", "elevation": 0.0, "runways": [1, None]}

    steps: list[tuple[str, object, dict[str, str], int]] = [
        ("GET", None, {}, 404),
        ("PUT", data, {"if_none_match": "*"}, 201),
        ("PUT", data, {"if_none_match": "*"}, 412),
        ("PUT", data, {}, 200),
        ("GET", None, {}, 200),
        ("GET", None, {"if_none_match": '"1"'}, 304),
        ("PUT", {}, {"if_match": '"1"'}, 200),
        ("PUT", {}, {"if_match": '"1"'}, 412),
        ("PUT", [], {}, 400),
        ("PUT", {}, {"content_type": "text/plain"}, 415),
        ("DELETE", None, {"if_match": '"1"'}, 412),
        ("DELETE", None, {"if_match": '"2"'}, 204),
        ("DELETE", None, {}, 404),
        ("PUT", data, {}, 201),
    ]
    answers = [
        await call(client, method, path, RECORD, token=token, body=body, **headers)
        for method, body, headers, _ in steps
    ]

    assert [status for *_, status in steps] == [answer.status_code for answer in answers]
    assert ('"4"', data) == (answers[-1].headers["ETag"], answers[-1].json()["data"])


async def test_when_a_record_changes_then_a_follower_of_the_feed_sees_it(
    client: LocalClient, stack: LocalStack
) -> None:
    """The last page's cursor goes on from there; a tombstone comes like any change."""
    token = await client.token_for(stack.tenant.editor)
    feed = "/v1/records"

    async def read(cursor: str, limit: int) -> Any:
        answer = await call(
            client, "GET", f"{feed}?cursor={cursor}&limit={limit}", feed, token=token
        )
        return answer.json()

    page = await read("", 20)
    assert (20, True) == (len(page["items"]), page["has_more"])
    while page["has_more"]:
        page = await read(page["next_cursor"], 20)

    await call(client, "PUT", "/v1/records/00AA", RECORD, token=token, body={"closed": True})
    await call(client, "DELETE", "/v1/records/00AK", RECORD, token=token)
    page = await read(page["next_cursor"], 20)

    assert [("00AA", 2, False), ("00AK", 2, True)] == [
        (item["id"], item["version"], item["deleted"]) for item in page["items"]
    ]
    assert not page["has_more"]


async def test_when_the_shards_are_listed_then_a_follower_of_each_sees_every_record(
    client: LocalClient, stack: LocalStack
) -> None:
    """Each shard's start leads to its end, which is the cursor that the listing names."""
    token = await client.token_for(stack.tenant.editor)
    await call(client, "PUT", "/v1/records/shards", RECORD, token=token, body={"n": 1})
    answer = await call(client, "GET", "/v1/shards", "/v1/shards", token=token)
    seen: set[str] = set()
    cursors = []

    for shard in answer.json()["shards"]:
        page = {"next_cursor": shard["start"], "has_more": True}
        while page["has_more"]:
            path = f"/v1/records?cursor={page['next_cursor']}&limit=20"
            page = (await call(client, "GET", path, "/v1/records", token=token)).json()
            seen |= {item["id"] for item in page["items"]}
        cursors.append(page["next_cursor"])

    assert [shard["end"] for shard in answer.json()["shards"]] == cursors
    assert {"00AA", "shards"} <= seen


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/records?limit=0", 400, "limit_invalid"),
        ("/v1/records?cursor=x", 400, "cursor_invalid"),
        ("/v1/records?cursor=&cursor=", 400, "parameter_repeated"),
        ("/v1/records/a%20b", 400, "id_invalid"),
        ("/v1/records/a%252Fb", 400, "id_invalid"),
        ("/v1/records/a%2Bb", 400, "id_invalid"),
    ],
)
async def test_when_a_request_is_wrong_then_the_problem_is_as_described(
    client: LocalClient, stack: LocalStack, path: str, status: int, code: str
) -> None:
    """Percent-encoding makes no second spelling of an ID, decoded by the gateway or not."""
    token = await client.token_for(stack.tenant.editor)
    resource = RECORD if path.startswith("/v1/records/") else "/v1/records"

    answer = await call(client, "GET", path, resource, token=token)

    assert (status, code) == (answer.status_code, answer.json()["code"])


async def test_when_there_is_no_token_then_the_gateways_refusal_is_as_described(
    client: LocalClient,
) -> None:
    """The gateway's problems have the same members as the backend's."""
    answer = await call(client, "GET", "/v1/records", "/v1/records", token=None)

    assert (401, "token_rejected") == (answer.status_code, answer.json()["code"])


async def test_when_a_reader_writes_then_the_gateways_refusal_is_as_described(
    client: LocalClient, stack: LocalStack
) -> None:
    """Reading is allowed and writing is not."""
    token = await client.token_for(stack.tenant.service_principal)

    assert 200 == (await call(client, "GET", "/v1/records/00AL", RECORD, token=token)).status_code
    assert (
        403
        == (await call(client, "PUT", "/v1/records/00AL", RECORD, token=token, body={})).status_code
    )


async def test_when_a_call_is_looked_for_then_one_id_leads_to_its_decision(
    client: LocalClient, stack: LocalStack
) -> None:
    """Also where the gateway had the decision already, and the authorizer was not asked."""
    token = await client.token_for(stack.tenant.editor)
    for record_id in ("00AL", "00AR"):
        await call(client, "GET", f"/v1/records/{record_id}", RECORD, token=token)

    lines = [
        json.loads(line)
        for line in (stack.log_folder / "lambda.log").read_text("utf-8").splitlines()
        if line.startswith("{")
    ]
    served = [line for line in lines if line["event"] == "request" and "decision_id" in line][-2:]
    decisions = [line["request_id"] for line in lines if line["event"] == "decision"]
    assert served[0]["request_id"] != served[1]["request_id"]
    assert served[0]["decision_id"] == served[1]["decision_id"]
    assert 1 == decisions.count(served[0]["decision_id"])


async def test_when_the_public_routes_are_called_then_they_need_no_token(
    client: LocalClient, stack: LocalStack
) -> None:
    """The metadata names the address that was called (RFC 9728 section 3.3)."""
    health = await call(client, "GET", "/health", "/health", token=None)
    metadata = await call(client, "GET", METADATA, METADATA, token=None)

    assert {"status": "ok"} == health.json()
    assert stack.api_url == metadata.json()["resource"]
