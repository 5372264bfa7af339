"""The access log of the local gateway."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from emulator.aws.access_log import AccessLog, GatewayRequest, render
from emulator.aws.template import load_template

TEMPLATE = load_template(Path(__file__).parents[3] / "infra" / "aws" / "template.yaml")
FORMAT: str = TEMPLATE["Resources"]["Api"]["Properties"]["AccessLogSetting"]["Format"]


def request(**changes: object) -> GatewayRequest:
    """A request that the authorizer let in, unless a test bends it."""
    members: dict[str, object] = {
        "id": "gw-1",
        "trace_header": "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=1;Sampled=1",
        "began": 1_700_000_000.5,
        "method": "GET",
        "source_ip": "127.0.0.1",
        "route": "/v1/records",
        "status": 200,
        "milliseconds": 12,
        "authorizer_request_id": "au-1",
        "authorizer_context": {"decision_id": "au-1", "roles": "a b"},
    }
    return GatewayRequest(**(members | changes))  # type: ignore[arg-type] # a test's own members


def test_when_a_request_is_rendered_then_each_variable_has_its_value_or_a_dash() -> None:
    """In the template's own format, which is JSON and one line."""
    line = render(FORMAT, request().variables())

    members = json.loads(line)
    assert "\n" not in line
    assert 1_700_000_000_500 == members["time"]
    assert ("gw-1", "Root=1-0af76519-16cd43dd8448eb211c80319c", "200", "12") == tuple(
        members[name] for name in ("request_id", "trace", "status", "latency_ms")
    )
    assert ("au-1", "au-1", "a b", "-", "-") == tuple(
        members[name]
        for name in (
            "authorizer_request_id",
            "decision_id",
            "roles",
            "gateway_error",
            "integration_status",
        )
    )


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers()))
def test_when_a_value_is_any_text_then_it_ends_neither_itself_nor_the_line(
    route: str, context: dict[str, object]
) -> None:
    """A caller chooses the method, and a token's claims come back in the context."""
    line = render(FORMAT, request(route=route, authorizer_context=context).variables())

    assert 1 == len(line.splitlines())
    assert route == json.loads(line)["route"]
    assert json.loads(line).keys() == json.loads(render(FORMAT, request().variables())).keys()


def test_when_the_context_names_the_gateways_own_variable_then_the_gateways_counts() -> None:
    """An authorizer cannot pass as another call of it."""
    line = render(FORMAT, request(authorizer_context={"requestId": "forged"}).variables())

    assert "au-1" == json.loads(line)["authorizer_request_id"]


def test_when_a_format_has_a_variable_that_is_not_known_then_it_is_a_dash() -> None:
    """As API Gateway writes it."""
    assert "- x GET" == render("$context.waf.status x $context.httpMethod", request().variables())


def test_when_many_write_at_once_then_each_line_is_whole(tmp_path: Path) -> None:
    """And a log that was emptied meanwhile goes on at its new beginning."""
    path = tmp_path / "access.log"
    log = AccessLog(path)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: log.write(f"{number:04d}" * 100), range(400)))
    written = path.read_text().splitlines()
    path.write_text("")
    log.write("after")

    assert {f"{number:04d}" * 100 for number in range(400)} == set(written)
    assert "after\n" == path.read_text()
