"""`bridge explain` without a stack: its sources, its outcomes, and what it does not show."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typer.testing import CliRunner, Result

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from bridge_cli.explaining import command, contract_source, token_input
from bridge_cli.explaining.errors import ExplainError
from bridge_cli.main import app
from deployment.clouds import Stack
from deployment.errors import NotSignedIn
from shared.clock import SystemClock
from shared.routes import ROUTES
from tests.support.bridge_files import SMALL
from tests.support.fake_clouds import FakeClouds
from tests.support.keys import TENANT_ID, jwk, key_set
from tests.support.tokens import (
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    OBJECT_ID,
    OTHER_ID,
    signed_token,
    valid_claims,
    valid_v1_claims,
)

SETTINGS = {
    "ENTRA_TENANT_ID": TENANT_ID,
    "API_CLIENT_ID": API_CLIENT_ID,
    "API_APP_ID_URI": APP_ID_URI,
    "ALLOWED_CLIENT_IDS": CLIENT_ID,
}
AT = {"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"}
KNOWN = ["--settings", "settings.json", "--key-set", "keys.json"]


def current(**changes: Any) -> dict[str, object]:
    """The claims of a token that is good just now."""
    now = int(SystemClock().now())
    return valid_claims(**({"iat": now - 60, "nbf": now - 60, "exp": now + 3600} | changes))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, a key set and a good token; and no setting in the environment."""
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS), "utf-8")
    (tmp_path / "keys.json").write_bytes(key_set())
    (tmp_path / "token.txt").write_text(signed_token(current()), "utf-8")
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def explain(*arguments: str, typed: str | bytes | None = None) -> Result:
    """What the command ends with; nothing but an exit status comes out of it."""
    result = CliRunner().invoke(app, ["explain", *arguments], input=typed, env=AT)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def explained(*arguments: str, typed: str | bytes | None = None) -> dict[str, Any]:
    """Its one JSON object."""
    (line,) = explain(*arguments, "--json", typed=typed).stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


# --- outcomes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({}, 0, "allowed"),
        ({"aud": OTHER_ID}, 1, "wrong_audience"),
        ({"roles": None}, 3, "missing_role"),
        ({"azp": OTHER_ID}, 3, "unknown_client"),
    ],
)
def test_when_a_token_is_explained_then_the_exit_status_says_the_outcome(
    changes: dict[str, Any], code: int, reason: str
) -> None:
    """Verdict first, fix last, and in JSON the same."""
    token = signed_token(current(**changes))
    shown = explain("-", *KNOWN, typed=token)
    document = explained("-", *KNOWN, typed=token)

    assert (code, "") == (shown.exit_code, shown.stderr)
    assert reason == document["reason"]
    assert " ".join(shown.stdout.split()).startswith(document["sentence"])
    if document["fix"]:
        assert " ".join(shown.stdout.split()).endswith(document["fix"])


def test_when_keys_cannot_be_had_then_it_cannot_tell_and_says_the_rest() -> None:
    """Unit tests have no network, so none can be fetched."""
    document = explained("token.txt", "--settings", "settings.json")
    result = explain("token.txt", "--settings", "settings.json")
    checks = {check["check"]: check for check in document["checks"]}

    assert 4 == result.exit_code
    assert ("undecided", "key_set_unavailable") == (document["verdict"], document["reason"])
    assert ("not_reached", "passed") == (checks["signature"]["status"], checks["role"]["status"])
    assert "The signature was not checked" in " ".join(result.stdout.split())
    assert "found (unverified)" in result.stdout


def test_when_a_signature_is_bad_then_what_the_token_says_is_marked() -> None:
    """It was checked, and says nothing of who wrote the rest."""
    head, claims, signature = signed_token(current()).split(".")
    bent = f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    result = explain("-", *KNOWN, typed=bent)

    assert 1 == result.exit_code
    assert "bad_signature" in result.stdout
    assert "The signature is bad" in result.stdout
    assert "found (unverified)" in result.stdout


def test_when_several_kinds_are_accepted_then_it_says_with_which_it_compares() -> None:
    """With both versions, a v1.0 token is compared with v1.0."""
    both = SETTINGS | {"ACCEPTED_TOKEN_VERSIONS": "1.0,2.0"}
    Path("both.json").write_text(json.dumps({"IsEncrypted": False, "Values": both}), "utf-8")
    times = {name: current()[name] for name in ("iat", "nbf", "exp")}
    token = signed_token(valid_v1_claims(**times, aud=OTHER_ID))
    result = explain("-", "--settings", "both.json", "--key-set", "keys.json", typed=token)

    assert "v1.0 tokens of tenant" in result.stdout
    assert "of 2 accepted kinds" in " ".join(result.stdout.split())


def test_when_the_key_is_another_issuers_then_a_good_signature_verifies_nothing() -> None:
    """A key that is bound to another tenant may sign for that one only."""
    foreign = jwk(issuer=f"https://login.microsoftonline.com/{OTHER_ID}/v2.0")
    Path("foreign.json").write_bytes(key_set(foreign))
    result = explain("token.txt", "--settings", "settings.json", "--key-set", "foreign.json")

    assert 1 == result.exit_code
    assert "foreign_key" in result.stdout
    assert "another issuer's key: what the token says is unverified" in result.stdout


def test_when_the_command_is_stopped_then_it_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Ctrl-C at the question for the token."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "read_token", stop)

    assert 130 == explain("token.txt", *KNOWN).exit_code


# --- routes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "roles", "code", "is_open", "role"),
    [
        ("GET /v1/records", ["Records.Read"], 0, True, "Records.Read"),
        ("get /v1/records?limit=1", ["Records.Read"], 0, True, "Records.Read"),
        ("GET /v1/records/EGLL", ["Records.Read"], 0, True, "Records.Read"),
        ("PUT /v1/records/{id}", ["Records.Read"], 3, False, "Records.Write"),
        ("PUT /v1/records/EGLL", ["Records.Write"], 0, True, "Records.Write"),
        ("GET /v1/records", ["Records.Write"], 3, False, "Records.Read"),
        ("GET /v1/records", None, 3, False, "Records.Read"),
        ("GET /health", ["Records.Read"], 0, True, None),
    ],
)
def test_when_a_route_is_named_then_the_policy_says_whether_it_is_open(
    *, route: str, roles: list[str] | None, code: int, is_open: bool, role: str | None
) -> None:
    """And which role would open it."""
    token = signed_token(current(roles=roles))
    result = explain("-", *KNOWN, "--route", route, typed=token)
    said = explained("-", *KNOWN, "--route", route, typed=token)["route"]

    assert code == result.exit_code
    assert (is_open, role) == (said["is_open"], said["needed_role"])
    assert role is None or role in result.stdout


def test_when_only_the_route_is_closed_then_that_is_the_reason() -> None:
    """No check of the token has failed."""
    document = explained("token.txt", *KNOWN, "--route", "PUT /v1/records/EGLL")

    assert ("allowed", "route_closed", 403) == (
        document["verdict"],
        document["reason"],
        document["http_status"],
    )
    assert "Records.Write" in document["fix"]


def test_when_a_token_is_rejected_then_there_is_no_policy_to_open_a_route() -> None:
    """The role that would is told all the same."""
    token = signed_token(current(aud=OTHER_ID))
    result = explain("-", *KNOWN, "--route", "GET /v1/records", typed=token)

    assert 1 == result.exit_code
    assert "no policy for this token; Records.Read opens GET /v1/records" in result.stdout


def test_when_there_is_no_such_route_then_all_of_them_are_listed() -> None:
    """Wrong usage."""
    result = explain("token.txt", *KNOWN, "--route", "POST /v1/records")
    said = " ".join(result.stderr.replace("│", " ").split())

    assert 2 == result.exit_code
    assert all(f"{route.method} {route.path}" in said for route in ROUTES)


# --- what is pasted -----------------------------------------------------------------------------

TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"


@pytest.mark.parametrize(
    "pasted",
    [
        TOKEN,
        f"  {TOKEN}\r\n",
        f"Bearer {TOKEN}",
        f"bearer   {TOKEN}\n",
        f"Authorization: Bearer {TOKEN}\n",
        f'-H "Authorization: Bearer {TOKEN}"',
        f"'{TOKEN}'",
        f'"Bearer {TOKEN}"',
        f'  "accessToken": "{TOKEN}",\n',
        f"access_token={TOKEN}",
        json.dumps({"accessToken": TOKEN, "expiresOn": "2026-01-01"}, indent=2),
        json.dumps({"token_type": "Bearer", "access_token": TOKEN}),
        f"\ufeff{TOKEN}",
    ],
)
def test_when_a_token_is_pasted_with_what_stands_around_it_then_it_is_found(pasted: str) -> None:
    """As people have it."""
    assert TOKEN == token_input.extract_token(pasted.removeprefix("\ufeff"))
    Path("pasted").write_text(pasted, "utf-8")
    assert TOKEN == token_input.read_token("pasted", None)


def test_when_powershell_has_written_the_file_then_it_is_read() -> None:
    """In UTF-16, with a byte order mark."""
    Path("pasted").write_text(TOKEN, "utf-16")

    assert TOKEN == token_input.read_token("pasted", None)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "no_token"),
        (b" \n", "no_token"),
        (b'""', "no_token"),
        (b"Bearer ", "no_token"),
        (b'{"error": "x"}', "no_token"),
        (b'{"accessToken": 5}', "no_token"),
        (b"\xff\xfe\x00\xd8", "input_not_text"),
        (b"\x89PNG\x00\x01", "input_not_text"),
        (b"a\x00b", "input_not_text"),
        (b"a" * 65_537, "input_too_large"),
    ],
)
def test_when_a_file_holds_no_token_then_it_says_so(content: bytes, code: str) -> None:
    """With a stable code, on standard error and as JSON."""
    Path("input").write_bytes(content)
    result = explain("input", *KNOWN)

    assert (4, "") == (result.exit_code, result.stdout)
    assert f"({code})" in result.stderr
    assert code == explained("-", *KNOWN, typed=content)["reason"]


def test_when_an_input_is_endless_then_it_is_not_read_to_the_end() -> None:
    """A device, or ten megabytes."""
    assert "input_too_large" in explain("/dev/zero", *KNOWN).stderr


def test_when_there_is_no_file_to_read_then_it_says_what_there_is(folder: Path) -> None:
    """Nothing, a folder, or one that this user may not read."""
    closed = folder / "closed"
    closed.touch()
    closed.chmod(0)
    sentences = [explain(name, *KNOWN).stderr for name in ("nope", ".", "closed", "a\x00b")]

    assert all("(input_unreadable)" in sentence for sentence in sentences[:2] + sentences[3:])
    assert "There is no file nope." in sentences[0]
    assert "is a folder" in sentences[1]
    assert stat.S_IMODE(closed.stat().st_mode) == 0
    if os.geteuid():
        assert "may not be read" in sentences[2]


def test_when_standard_input_is_closed_then_it_says_so() -> None:
    """As behind `<&-`."""
    with pytest.raises(ExplainError) as caught:
        token_input.read_token("-", None)

    assert "input_unreadable" == caught.value.code


class Broken:
    """Standard input that cannot be read."""

    closed = False

    def __init__(self) -> None:
        """Its bytes come from itself."""
        self.buffer = self

    def isatty(self) -> bool:
        """It is none."""
        return False

    def read(self, _most: int) -> bytes:
        """Nothing."""
        raise OSError("gone")


def test_when_standard_input_breaks_then_it_says_so() -> None:
    """Without a traceback."""
    broken: Any = Broken()
    with pytest.raises(ExplainError) as caught:
        token_input.read_token("-", broken)

    assert "input_unreadable" == caught.value.code


class Terminal:
    """Standard input that is a terminal."""

    closed = False

    def isatty(self) -> bool:
        """It is."""
        return True


def test_when_nothing_is_typed_then_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-D at the question."""

    def end(*_: object) -> str:
        raise EOFError

    monkeypatch.setattr(token_input, "getpass", end)
    terminal: Any = Terminal()
    with pytest.raises(ExplainError) as caught:
        token_input.read_token("-", terminal)

    assert "no_token" == caught.value.code


@pytest.mark.parametrize(
    ("line", "code"), [(TOKEN, None), ("", "no_token"), ("a" * 4_095, "input_cut")]
)
def test_when_a_token_is_typed_then_it_is_not_shown_and_not_cut(
    monkeypatch: pytest.MonkeyPatch, line: str, code: str | None
) -> None:
    """A terminal hands over no more of one line."""
    monkeypatch.setattr(token_input, "getpass", lambda *_: line)
    terminal: Any = Terminal()
    if code is None:
        assert line == token_input.read_token("-", terminal)
        return
    with pytest.raises(ExplainError) as caught:
        token_input.read_token("-", terminal)

    assert code == caught.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        ("{}",),
        ("--token={}",),
        ("--token", "{}"),
        ("Bearer", "{}"),
        ("Bearer {}",),
        ("--route", "{}"),
        ("--settings", "{}"),
        ("x" * 400,),
    ],
)
def test_when_a_token_stands_on_the_command_line_then_it_is_refused_and_not_repeated(
    arguments: tuple[str, ...],
) -> None:
    """It would stay in the shell's history; the complaint must not put it there twice."""
    token = signed_token(current())
    result = explain(*(argument.format(token) for argument in arguments))

    assert 2 == result.exit_code
    assert "token_on_command_line" in result.output
    assert "eyJ" not in result.output
    assert "xxxx" not in result.output


# --- where the contract and the keys come from --------------------------------------------------


def test_when_nothing_says_the_contract_then_the_environment_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is missing there is named, with the other sources."""
    empty = explain("token.txt", "--key-set", "keys.json")
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    full = explain("token.txt", "--key-set", "keys.json")

    assert (4, 0) == (empty.exit_code, full.exit_code)
    assert "ALLOWED_CLIENT_IDS: is missing" in empty.stderr
    assert "(settings_invalid)" in empty.stderr
    assert "--settings FILE" in " ".join(empty.stderr.split())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"Values": []}', b"\xff", b"x" * 1_048_577, b"[" * 100_000]
)
def test_when_a_settings_file_is_not_usable_then_it_says_so(content: bytes) -> None:
    """No traceback, whatever it holds."""
    Path("odd.json").write_bytes(content)
    result = explain("token.txt", "--settings", "odd.json")

    assert 4 == result.exit_code
    assert "(settings_file_invalid)" in result.stderr


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "key_set_malformed"),
        (b'{"keys": []}', "key_set_malformed"),
        (b" " * 300_000, "key_set_malformed"),
        (None, "key_set_unreadable"),
    ],
)
def test_when_a_key_set_is_not_usable_then_it_says_so(content: bytes | None, code: str) -> None:
    """A file of keys is no one else's to blame."""
    if content is not None:
        Path("odd.json").write_bytes(content)
    result = explain("token.txt", "--settings", "settings.json", "--key-set", "odd.json")

    assert 4 == result.exit_code
    assert f"({code})" in result.stderr


@pytest.fixture
def clouds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClouds:
    """Both clouds in memory, and a bridge.toml in the folder."""
    clouds = FakeClouds(folder / "FunctionApp.zip")
    monkeypatch.setattr(contract_source, "real_clouds", lambda *_: clouds.all())
    (folder / "bridge.toml").write_text(SMALL, encoding="utf-8")
    return clouds


def test_when_an_environment_is_named_then_its_deployed_stack_says_the_contract(
    clouds: FakeClouds,
) -> None:
    """Its parameters, as the Lambda has them."""
    clouds.stacks["bridge-dev"] = Stack(
        "UPDATE_COMPLETE",
        {
            "EntraTenantId": TENANT_ID,
            "ApiClientId": API_CLIENT_ID,
            "ApiAppIdUri": APP_ID_URI,
            "AllowedClientIds": CLIENT_ID,
            "UsagePlanKeys": "****",
            "StageName": "prod",
        },
        {},
    )
    document = explained("token.txt", "--env", "dev", "--key-set", "keys.json")

    assert "allowed" == document["reason"]
    assert "the deployed stack bridge-dev" == document["explained_against"]["contract"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--env", "dev"], "not_deployed"),
        (["--env", "nope"], "environment_unknown"),
        (["--file", "nope.toml"], "bridge_file_missing"),
        (["--local"], "local_stack_missing"),
    ],
)
@pytest.mark.usefixtures("clouds")
def test_when_there_is_nothing_to_explain_against_then_it_says_what_is_missing(
    arguments: list[str], code: str
) -> None:
    """Neither a traceback nor another contract in its place."""
    result = explain("token.txt", *arguments)

    assert 4 == result.exit_code
    assert f"({code})" in result.stderr


@pytest.mark.usefixtures("clouds")
def test_when_bridge_toml_is_wrong_then_each_problem_is_told() -> None:
    """Not only the first."""
    Path("bridge.toml").write_text(SMALL.replace("11111111-1111-4111-8111-111111111111", "x"))
    result = explain("token.txt", "--env", "dev")

    assert 4 == result.exit_code
    assert "entra.tenant_id" in result.stderr
    assert "(bridge_file_invalid)" in result.stderr


@pytest.mark.usefixtures("clouds")
def test_when_nobody_is_signed_in_to_aws_then_it_names_the_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The settings may stand in a file as well."""

    def refuse(*_: object) -> None:
        raise NotSignedIn("aws_not_signed_in", "Nobody is signed in to AWS.")

    monkeypatch.setattr(contract_source, "real_clouds", refuse)
    result = explain("token.txt", "--env", "dev")

    assert 4 == result.exit_code
    assert "(aws_not_signed_in)" in result.stderr
    assert "--settings FILE" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--settings", "settings.json", "--local"],
        ["--settings", "settings.json", "--env", "dev"],
        ["--env", "dev", "--local"],
        ["--folder", "x"],
        ["token.txt", "--app-settings", "x"],
    ],
)
def test_when_options_contradict_each_other_then_it_is_wrong_usage(arguments: list[str]) -> None:
    """Which of the two counts would be a guess."""
    assert 2 == explain(*arguments).exit_code


# --- the credential in use ----------------------------------------------------------------------

APP_SETTINGS = SETTINGS | {
    "AWS_API_BASE_URL": "https://api.example/prod",
    "CREDENTIAL": "azure_cli",
    "RECORD_STORE": "sqlite",
    "SQLITE_PATH": "records.sqlite3",
}


@pytest.fixture
def app_settings(folder: Path) -> Iterator[Path]:
    """The Function App's settings in a file; what is put into the environment goes again."""
    file = folder / "app.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": APP_SETTINGS}), "utf-8")
    with mock.patch.dict("os.environ"):
        yield file


def test_when_no_token_is_given_then_the_credential_in_use_is_asked(
    app_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the Function App's settings name."""
    asked: list[str] = []

    def request(source: Any, **_: object) -> AccessToken:
        asked.append(source.api.scope)
        return AccessToken(signed_token(current()), 0.0)

    monkeypatch.setattr(token_input, "request_token", request)
    document = explained(*KNOWN, "--app-settings", str(app_settings))

    assert [f"{APP_ID_URI}/.default"] == asked
    assert ("allowed", "of the credential in use") == (
        document["reason"],
        document["explained_against"]["token"],
    )


def test_when_entra_id_gives_no_token_then_the_code_says_why(
    app_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Function App's own log would."""

    def refuse(*_: object, **__: object) -> None:
        raise TokenAcquisitionError("Sign in by `az login`.", code="token_not_signed_in")

    monkeypatch.setattr(token_input, "request_token", refuse)
    result = explain(*KNOWN, "--app-settings", str(app_settings))

    assert 4 == result.exit_code
    assert "(token_not_signed_in)" in result.stderr


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "settings_file_invalid"),
        ('{"IsEncrypted": false, "Values": {}}', "app_settings_invalid"),
        ("x", "settings_file_invalid"),
    ],
)
@pytest.mark.usefixtures("app_settings")
def test_when_the_apps_settings_are_not_usable_then_it_names_the_other_ways(
    content: str | None, code: str
) -> None:
    """A token that one has needs none of them."""
    if content is not None:
        Path("odd.json").write_text(content, "utf-8")
    result = explain(*KNOWN, "--app-settings", "odd.json")

    assert 4 == result.exit_code
    assert f"({code})" in result.stderr
    assert "- for standard input" in " ".join(result.stderr.split())


# --- what is not shown --------------------------------------------------------------------------


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_when_claims_are_hostile_then_the_terminal_is_not_steered(form: list[str]) -> None:
    """Escapes, markup, lines and directions from claims and header stand there as text."""
    hostile = "\x1b[31m\x1b]0;t\x07\u202e[bold red]m[/]\nnew line\x9b2J"
    token = signed_token(current(aud=hostile, azp=hostile, roles=[hostile]), kid=hostile)
    result = explain("-", *KNOWN, *form, typed=token)

    shown = "".join(result.stdout.split())

    assert 1 == result.exit_code
    assert shown.isprintable()
    assert "[boldred]m[/]" in shown


def test_when_a_file_name_is_hostile_then_it_is_shown_as_text() -> None:
    """A name is anyone's words too."""
    name = "a\x1b[31m[bold]b"
    Path(name).write_text(signed_token(current()), "utf-8")
    result = explain(name, *KNOWN)

    assert 0 == result.exit_code
    assert "\x1b" not in result.stdout
    assert "[bold]b" in result.stdout


def test_when_a_token_is_explained_then_no_part_of_it_is_shown() -> None:
    """Nor what it says about a person."""
    personal = {"name": "Ada", "upn": "ada@example.org", "scp": "View", "idtyp": "user"}
    token = signed_token(current(**personal, sub="pairwise"))
    for form in ([], ["--json"]):
        output = explain("-", *KNOWN, *form, typed=token).output
        pieces = [token[start : start + 16] for start in range(0, len(token) - 16, 4)]

        assert [] == [piece for piece in pieces if piece in output]
        assert [] == [name for name in ("Ada", "ada@", "pairwise", OBJECT_ID) if name in output]


def test_when_help_is_asked_for_then_it_teaches_by_examples() -> None:
    """Every source, and every exit status."""
    words = " ".join(explain("--help").stdout.split())

    assert all(text in words for text in ("bridge explain --local", "| bridge explain -"))
    assert all(status in words for status in ("Exits with 0", "1 if", "2 for", "3 if", "4 if"))
