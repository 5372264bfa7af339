"""`bridge smoke` on real sockets: each check passes on a good pair, and each fault is seen."""

import asyncio
import json

import pytest

from deployment.smoke.outcome import CheckBlockedError, CheckFailedError, Outcome, SmokeCode
from deployment.smoke.smoke_run import CHECK_IDS
from deployment.smoke.sources import AlarmState, FunctionKeys
from deployment.smoke.target import ProxyCallers
from shared.clock import SystemClock
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    answer,
    close_after_reading,
    drip_body,
    drip_head,
    say_nothing,
    send_garbage,
    truncate,
)
from tests.support.smoke_pair import (
    FUNCTION_KEY,
    MASTER_KEY,
    METADATA,
    PAGE,
    SmokePair,
    caller_token,
    json_answer,
    problem,
    result_of,
    run_report,
    running,
    smoke,
)

CLOCK = SystemClock()
RECORDS = "/prod/v1/records"
NO_RECORD = "/prod/v1/records/bridge-smoke-no-such-record"
START = "POST /admin/functions/sync_timer"
PROXY = "GET /api/aws/v1/records"

OPEN = json_answer(200, PAGE)
GONE = problem(404, "record_not_found")


async def test_when_the_pair_is_good_then_every_check_passes() -> None:
    """In order, each with what came."""
    async with running(SmokePair()) as pair:
        report = await smoke(pair)

    assert {Outcome.PASSED} == {result.outcome for result in report.results}
    assert CHECK_IDS == tuple(result.id for result in report.results)
    assert 0 == report.exit_code


async def test_when_the_pair_is_good_then_nothing_is_written() -> None:
    """No PUT, and a DELETE only of what there is not, on a condition that no record meets."""
    async with running(SmokePair()) as pair:
        await smoke(pair)

    assert {"GET", "DELETE", "POST"} == {each.method for each in pair.server.requests}
    deletes = [each for each in pair.server.requests if each.method == "DELETE"]
    assert {NO_RECORD} == {each.target for each in deletes}
    assert {'"bridge-smoke"'} == {each.values("if-match")[0] for each in deletes}
    assert [START.split()[1]] == [
        each.target for each in pair.server.requests if each.method == "POST"
    ]


@pytest.mark.parametrize(
    ("check", "at", "behavior", "code"),
    [
        ("health", "GET /prod/health", problem(404, "route_unknown"), "route_unknown"),
        ("health", "GET /prod/health", answer(200, b"<html>"), "answer_unexpected"),
        ("health", "GET /prod/health", problem(502, "backend_failed"), "backend_failed"),
        (
            "health",
            "GET /prod/health",
            answer(302, b"", ("Location", "https://elsewhere.example/")),
            "answer_unexpected",
        ),
        ("health", "GET /prod/health", answer(200, b"x" * 5_000_000), "answer_too_large"),
        (
            "health",
            "GET /prod/health",
            answer(200, b"\x1f\x8b", ("Content-Encoding", "gzip")),
            "answer_unreadable",
        ),
        ("health", "GET /prod/health", send_garbage, "answer_unreadable"),
        ("health", "GET /prod/health", truncate, "answer_unreadable"),
        ("health", "GET /prod/health", close_after_reading, "answer_unreadable"),
        ("health", "GET /prod/health", answer(200, b"[" * 100_000), "answer_unexpected"),
        ("metadata", f"GET /prod{METADATA}", problem(404, "route_unknown"), "route_unknown"),
        ("metadata", f"GET /prod{METADATA}", json_answer(200, []), "metadata_differs"),
        ("no-token", f"GET {RECORDS}", problem(500, "authorizer_undecided"), None),
        ("no-token", f"DELETE {NO_RECORD}", problem(404, "route_unknown"), "route_unknown"),
        ("no-token", f"GET {RECORDS}", problem(403, "access_denied"), "access_denied"),
        (
            "no-token",
            f"GET {RECORDS}",
            problem(500, "authorizer_context_missing"),
            "authorizer_context_missing",
        ),
        ("no-token", "GET /prod/v1/shards", problem(401, "token_rejected"), "challenge_differs"),
        ("bad-token", f"GET {RECORDS}", problem(500, "authorizer_undecided"), None),
        ("bad-token", f"GET {RECORDS}", problem(403, "access_denied"), "access_denied"),
        ("wrong-role", f"DELETE {NO_RECORD}", problem(403, "missing_role"), "policy_too_wide"),
        ("wrong-role", f"DELETE {NO_RECORD}", problem(401, "token_rejected"), "token_rejected"),
        ("wrong-role", f"DELETE {NO_RECORD}", problem(500, "authorizer_undecided"), None),
        ("wrong-role", f"DELETE {NO_RECORD}", answer(200, b"{}"), "role_not_enforced"),
        ("read", f"GET {RECORDS}", problem(401, "token_rejected"), "token_rejected"),
        ("read", f"GET {RECORDS}", problem(403, "access_denied"), "access_denied"),
        ("read", f"GET {RECORDS}", problem(503, "feed_importing"), "feed_importing"),
        ("read", f"GET {RECORDS}", problem(418, "teapot"), "teapot"),
        ("read", f"GET {RECORDS}", json_answer(200, {"items": {}}), "answer_unexpected"),
        ("read", f"GET {RECORDS}", json_answer(200, {"items": []}), "answer_unexpected"),
        ("function-health", "GET /api/health", problem(404, "x"), "x"),
        (
            "function-health",
            "GET /api/health",
            json_answer(503, {"status": "degraded", "error_code": "store_unavailable"}),
            "store_unavailable",
        ),
        ("proxy-no-key", PROXY, problem(404, "x"), "x"),
        ("proxy", PROXY, answer(401, b""), "key_refused"),
        ("proxy", PROXY, problem(502, "backend_refused_token"), "backend_refused_token"),
        ("proxy", PROXY, answer(200, b"hello"), "answer_unexpected"),
        ("sync", START, answer(401, b""), "key_refused"),
        ("sync", START, answer(404, b""), "answer_unexpected"),
        ("sync", "GET /api/health", json_answer(200, {}), "answer_unexpected"),
    ],
)
async def test_when_one_thing_is_wrong_then_its_check_fails_with_its_code(
    check: str, at: str, behavior: Behavior, code: str | None
) -> None:
    """With a sentence that says what to change, and loud only where somebody got in."""
    async with running(SmokePair(wrong={at: behavior})) as pair:
        result = await result_of(check, pair)

    assert (Outcome.FAILED, code or "authorizer_undecided") == (result.outcome, result.code)
    assert result.advice
    assert (code == "role_not_enforced") == result.lets_others_in


@pytest.mark.parametrize(
    ("check", "at", "behavior", "code"),
    [
        ("no-token", f"GET {RECORDS}", OPEN, SmokeCode.OPEN_TO_EVERYONE),
        ("no-token", "GET /prod/v1/shards", OPEN, SmokeCode.OPEN_TO_EVERYONE),
        ("no-token", f"DELETE {NO_RECORD}", GONE, SmokeCode.OPEN_TO_EVERYONE),
        ("no-token", f"GET {NO_RECORD}", GONE, SmokeCode.OPEN_TO_EVERYONE),
        ("bad-token", f"GET {RECORDS}", OPEN, SmokeCode.FORGED_TOKEN_ACCEPTED),
        ("wrong-role", f"DELETE {NO_RECORD}", GONE, SmokeCode.ROLE_NOT_ENFORCED),
        (
            "wrong-role",
            f"DELETE {NO_RECORD}",
            problem(412, "precondition_failed"),
            SmokeCode.ROLE_NOT_ENFORCED,
        ),
        ("proxy-no-key", PROXY, OPEN, SmokeCode.PROXY_OPEN_TO_EVERYONE),
        (
            "proxy-no-key",
            PROXY,
            problem(502, "backend_refused_token"),
            SmokeCode.PROXY_OPEN_TO_EVERYONE,
        ),
    ],
)
async def test_when_somebody_gets_in_who_must_not_then_it_is_loud(
    check: str, at: str, behavior: Behavior, code: SmokeCode
) -> None:
    """It fails whatever else is well, and the report and the sentence say that it cannot wait."""
    async with running(SmokePair(wrong={at: behavior})) as pair:
        report = await smoke(pair)

    (result,) = (each for each in report.results if each.id == check)
    assert (Outcome.FAILED, code, True) == (result.outcome, result.code, result.lets_others_in)
    assert "GETS IN" in str(result.advice)
    assert (1, True) == (report.exit_code, report.lets_others_in)


async def test_when_only_a_flipped_signature_opens_the_api_then_it_is_loud() -> None:
    """An authorizer that checks everything but the signature."""
    pair = SmokePair()

    async def checks_no_signature(exchange: Exchange) -> None:
        sent = exchange.request.values("authorization")[0].removeprefix("Bearer ")
        signed = pair.token.rpartition(".")[0]
        is_known = sent.rpartition(".")[0] == signed
        await (OPEN if is_known else problem(401, "token_rejected"))(exchange)

    pair.wrong[f"GET {RECORDS}"] = checks_no_signature
    async with running(pair):
        result = await result_of("bad-token", pair)

    assert SmokeCode.FORGED_TOKEN_ACCEPTED == result.code


@pytest.mark.parametrize(
    ("member", "value", "word"),
    [
        ("resource", "https://another.example/prod", "PublicUrl"),
        ("authorization_servers", ["https://login.microsoftonline.com/other/v2.0"], "Tenant"),
        ("scopes_supported", ["api://other/.default"], "ApiAppIdUri"),
        ("bearer_methods_supported", None, "API"),
    ],
)
async def test_when_the_metadata_names_another_one_then_it_says_which_parameter(
    member: str, value: object, word: str
) -> None:
    """Whoever trusts the metadata would ask the wrong tenant, or for the wrong API."""
    async with running(SmokePair()) as pair:
        pair.wrong[f"GET /prod{METADATA}"] = json_answer(200, pair.metadata(**{member: value}))
        result = await result_of("metadata", pair)

    assert (SmokeCode.METADATA_DIFFERS, True) == (result.code, word in str(result.advice))


@pytest.mark.parametrize(
    "challenge",
    [
        "Basic",
        "Bearer",
        'Bearer resource_metadata="https://other.example/.well-known/oauth-protected-resource"',
    ],
)
async def test_when_the_challenge_names_no_metadata_then_no_token_fails(challenge: str) -> None:
    """Where `PublicUrl` is set, a 401 leads to the metadata (RFC 9728 section 5.1)."""
    refusal = problem(401, "token_rejected", ("WWW-Authenticate", challenge))
    pair = SmokePair(public_url="https://api.example/prod", wrong={f"GET {RECORDS}": refusal})
    async with running(pair):
        result = await result_of("no-token", pair)

    assert (Outcome.FAILED, SmokeCode.CHALLENGE_DIFFERS) == (result.outcome, result.code)


async def test_when_the_public_url_is_set_then_challenge_and_metadata_name_it() -> None:
    """The right ones pass."""
    async with running(SmokePair(public_url="https://api.example/prod")) as pair:
        report = await smoke(pair, "metadata", "no-token")

    assert 0 == report.exit_code


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"ver": "1.0", "iss": "https://sts.windows.net/x/"}, "unaccepted_version"),
        ({"aud": "api://other"}, "wrong_audience"),
        ({"roles": []}, "missing_role"),
        ({"scp": "access"}, "delegated_token"),
    ],
)
async def test_when_the_callers_own_token_is_wrong_then_read_says_what_to_change(
    claims: dict[str, object], code: str
) -> None:
    """The commonest first 401 is a registration that issues v1.0 tokens."""
    pair = SmokePair(token=caller_token(**claims))
    pair.wrong[f"GET {RECORDS}"] = problem(401, "token_rejected")
    async with running(pair):
        result = await result_of("read", pair)

    assert (Outcome.FAILED, code) == (result.outcome, result.code)


async def test_when_the_caller_may_write_then_nothing_is_known_of_others() -> None:
    """A writer's DELETE is let in, and that is right: the check could not be made."""
    pair = SmokePair(token=caller_token(roles=["Records.Read", "Records.Write"]))
    pair.wrong[f"DELETE {NO_RECORD}"] = GONE
    async with running(pair):
        report = await smoke(pair, "wrong-role")

    assert (3, "caller_may_write") == (report.exit_code, report.results[0].code)


@pytest.mark.parametrize("check", ["wrong-role", "read", "bad-token"])
async def test_when_nobody_is_signed_in_then_what_needs_a_token_waits(check: str) -> None:
    """Forged tokens need no sign-in; they are made up."""
    pair = SmokePair()
    pair.sources.given_token = CheckBlockedError(SmokeCode.SIGN_IN_MISSING, "none", "az login")
    async with running(pair):
        report = await smoke(pair, check)

    assert (0 if check == "bad-token" else 3) == report.exit_code


async def test_when_nobody_is_signed_in_then_the_sign_in_is_asked_once() -> None:
    """Three checks want a token, and each try would cost seconds."""
    pair = SmokePair()
    pair.sources.given_token = CheckBlockedError(SmokeCode.SIGN_IN_MISSING, "none", "az login")
    async with running(pair):
        await smoke(pair, "bad-token", "wrong-role", "read")

    assert 1 == len(pair.sources.asked)


@pytest.mark.parametrize("check", ["function-health", "proxy-no-key", "proxy", "sync"])
async def test_when_there_is_no_function_app_then_its_checks_wait(check: str) -> None:
    """They have not passed: who has only the authorizer leaves them out by name."""
    async with running(SmokePair(has_functions=False)) as pair:
        report = await smoke(pair, check)

    assert (3, "target_incomplete") == (report.exit_code, report.results[0].code)


@pytest.mark.parametrize(
    "keys",
    [
        CheckBlockedError(SmokeCode.KEYS_NOT_READABLE, "none", "az login"),
        FunctionKeys(None, None),
    ],
)
async def test_when_there_is_no_key_then_the_proxy_waits(
    keys: FunctionKeys | CheckBlockedError,
) -> None:
    """It says which right is missing."""
    pair = SmokePair()
    pair.sources.given_keys = keys
    async with running(pair):
        report = await smoke(pair, "proxy")

    assert (3, "keys_not_readable") == (report.exit_code, report.results[0].code)


async def test_when_app_service_signs_callers_in_then_the_proxy_gets_a_token_and_no_key() -> None:
    """The host's own API gets both: the platform stands before it too."""
    async with running(SmokePair(proxy_callers=ProxyCallers.EASY_AUTH)) as pair:
        report = await smoke(pair, "proxy-no-key", "proxy", "sync")

    assert 0 == report.exit_code
    proxied = [each for each in pair.server.requests if each.target.startswith("/api/aws")]
    assert [[], []] == [each.values("x-functions-key") for each in proxied]
    (start,) = (each for each in pair.server.requests if each.method == "POST")
    assert ([MASTER_KEY], [f"Bearer {pair.token}"]) == (
        start.values("x-functions-key"),
        start.values("authorization"),
    )


async def test_when_the_host_checks_nobody_then_that_is_said_and_nothing_claimed() -> None:
    """A host on a laptop; the check has not passed."""
    async with running(SmokePair(proxy_callers=ProxyCallers.UNCHECKED)) as pair:
        result = await result_of("proxy-no-key", pair)

    assert Outcome.NOT_APPLICABLE is result.outcome
    assert [] == pair.server.requests


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (run_report("failed", error_code="store_unavailable"), "store_unavailable"),
        (run_report("failed", error_code="who_knows"), "sync_failed"),
        (run_report("held", error_code=None), "deletions_held"),
        (run_report("held", error_code="deletions_held"), "deletions_held"),
        (run_report("failed", shard=3), "sync_failed"),
        (run_report("odd"), "answer_unexpected"),
    ],
)
async def test_when_the_run_does_not_end_well_then_the_sync_fails(
    report: dict[str, object], code: str
) -> None:
    """With the advice of the troubleshooting page."""
    async with running(SmokePair(statuses=[report])) as pair:
        result = await result_of("sync", pair)

    assert (Outcome.FAILED, code) == (result.outcome, result.code)


@pytest.mark.parametrize("status", ["paused", "superseded"])
async def test_when_every_run_is_paused_then_the_sync_is_not_finished(status: str) -> None:
    """It is started again while there is time, and is not called complete."""
    pair = SmokePair(statuses=[run_report(status, run_id=str(number)) for number in range(500)])
    async with running(pair):
        result = await result_of("sync", pair, total_seconds=1.5)

    assert (Outcome.FAILED, SmokeCode.SYNC_NOT_FINISHED) == (result.outcome, result.code)
    assert 1 < pair.runs


async def test_when_a_paused_run_is_followed_by_a_complete_one_then_the_sync_passes() -> None:
    """A first load takes several runs; a shard's end is not the feed's."""
    reports = [
        *(run_report("paused", run_id=str(number)) for number in range(8)),
        run_report("complete", run_id="shard", shard=0),
        run_report("complete", run_id="last"),
    ]
    async with running(SmokePair(statuses=reports)) as pair:
        result = await result_of("sync", pair)

    assert Outcome.PASSED is result.outcome
    assert [] == pair.statuses[1:]


async def test_when_a_run_leaves_no_report_then_the_sync_is_not_finished() -> None:
    """The report that was there before is none of this run."""
    old = {"status": "ok", "last_sync": run_report("complete")}
    async with running(SmokePair(wrong={"GET /api/health": json_answer(200, old)})) as pair:
        result = await result_of("sync", pair, total_seconds=0.5)

    assert (Outcome.FAILED, SmokeCode.SYNC_NOT_FINISHED) == (result.outcome, result.code)


async def test_when_there_is_no_master_key_then_the_timer_is_waited_for() -> None:
    """The timer's next run will do."""
    pair = SmokePair()
    pair.sources.given_keys = FunctionKeys(FUNCTION_KEY, None)
    async with running(pair):
        waiting = asyncio.create_task(result_of("sync", pair))
        while len(pair.server.requests) < 3:  # noqa: ASYNC110 - a server's list has no event
            await asyncio.sleep(0.01)
        pair.runs = 1
        result = await waiting

    assert Outcome.PASSED is result.outcome
    assert all(each.method == "GET" for each in pair.server.requests)


async def test_when_there_is_no_master_key_and_no_timer_then_the_sync_waits() -> None:
    """It says which right is missing."""
    pair = SmokePair()
    pair.sources.given_keys = FunctionKeys(FUNCTION_KEY, None)
    async with running(pair):
        report = await smoke(pair, "sync", total_seconds=0.5)

    assert (3, "timer_not_seen") == (report.exit_code, report.results[0].code)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (AlarmState.ALARM, "undecided_alarm"),
        (AlarmState.INSUFFICIENT_DATA, "alarm_undetermined"),
        (CheckFailedError(SmokeCode.ALARM_MISSING, "none", "deploy"), "alarm_missing"),
    ],
)
async def test_when_the_alarm_is_not_quiet_then_alarms_fails(
    state: AlarmState | CheckFailedError, code: str
) -> None:
    """Also if it has looked at nothing: what is not known is not quiet."""
    pair = SmokePair()
    pair.sources.states = [state]
    async with running(pair):
        result = await result_of("alarms", pair, total_seconds=0.4)

    assert (Outcome.FAILED, code) == (result.outcome, result.code)


async def test_when_the_alarm_is_new_then_its_first_evaluation_is_waited_for() -> None:
    """As after a first deployment."""
    pair = SmokePair()
    pair.sources.states = [AlarmState.INSUFFICIENT_DATA, AlarmState.OK]
    async with running(pair):
        result = await result_of("alarms", pair)

    assert Outcome.PASSED is result.outcome


@pytest.mark.parametrize("behavior", [say_nothing, drip_head, drip_body])
async def test_when_a_peer_never_ends_then_the_check_does(behavior: Behavior) -> None:
    """Neither silence nor a drop now and then prolongs it."""
    async with running(SmokePair(wrong={"GET /prod/health": behavior})) as pair:
        began = CLOCK.monotonic()
        result = await result_of("health", pair, check_seconds=0.4)

    assert (Outcome.FAILED, SmokeCode.NO_ANSWER_IN_TIME) == (result.outcome, result.code)
    assert CLOCK.monotonic() - began < 3


async def test_when_no_peer_ever_answers_then_the_whole_round_is_over_in_time() -> None:
    """What there was no time for has not passed."""
    async with running(SmokePair(everything=say_nothing)) as pair:
        began = CLOCK.monotonic()
        report = await smoke(pair, total_seconds=1.0, check_seconds=0.3)

    assert CLOCK.monotonic() - began < 4
    assert 1 == report.exit_code
    assert set() == {each.id for each in report.results if each.outcome is Outcome.PASSED} - {
        "alarms"
    }


async def test_when_nobody_listens_then_it_says_where() -> None:
    """A refused connection is no answer."""
    pair = SmokePair()
    async with running(pair):
        pass
    result = await result_of("health", pair)

    assert (Outcome.FAILED, SmokeCode.UNREACHABLE) == (result.outcome, result.code)


async def test_when_a_peer_sends_back_what_it_was_sent_then_no_report_shows_it() -> None:
    """Neither token nor key, whichever member or header a peer puts them into."""

    async def echo(exchange: Exchange) -> None:
        request = exchange.request
        sent = [*request.values("authorization"), *request.values("x-functions-key"), "nothing"]
        secret = sent[0]
        document = {
            "code": secret,
            "status": secret,
            "credential": secret,
            "error_code": secret,
            "last_sync": {"status": secret, "run_id": secret, "error_code": secret},
            "items": secret,
        }
        body = json.dumps(document).encode()
        fields = (("x-amzn-errortype", secret), ("WWW-Authenticate", secret))
        await answer(418, body, *fields)(exchange)

    async with running(SmokePair(everything=echo)) as pair:
        report = await smoke(pair, total_seconds=5, check_seconds=1)
    shown = report.to_json() + str(report) + str(pair.steps.texts)

    assert 5 < len(pair.server.requests)
    for secret in (pair.token, pair.token[:60], FUNCTION_KEY, MASTER_KEY):
        assert secret not in shown


async def test_when_health_sends_back_a_key_then_it_is_redacted() -> None:
    """A text that is shown may be one that was handed in a moment before."""
    echo = json_answer(200, {"status": "ok", "credential": MASTER_KEY, "last_sync": None})
    pair = SmokePair(wrong={"GET /api/health": echo})
    async with running(pair):
        report = await smoke(pair, "function-health", "proxy")

    assert MASTER_KEY not in report.to_json()
    assert "[redacted]" in report.to_json()


async def test_when_a_check_is_asked_for_that_there_is_not_then_it_is_refused() -> None:
    """A misspelled name must not pass for a round without a fault."""
    async with running(SmokePair()) as pair:
        with pytest.raises(ValueError, match="heatlh"):
            await smoke(pair, "heatlh")
