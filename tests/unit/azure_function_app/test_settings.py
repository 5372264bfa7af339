"""The Function App's settings."""

import json
from pathlib import Path

import pytest

from azure_function_app.declared_settings import SETTINGS
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    ManagedIdentity,
    ManagedIdentityFederation,
    WorkloadIdentity,
)
from azure_function_app.settings import (
    PostgresSettings,
    SqliteSettings,
    TableSettings,
    load_process_settings,
    load_settings,
)
from shared.settings_reader import Setting, SettingsError

TENANT = "11111111-2222-4333-8444-555555555555"
API = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "bbbbbbbb-0000-4000-8000-000000000001"
IDENTITY = "cccccccc-0000-4000-8000-000000000001"
NEEDED = {
    "AWS_API_BASE_URL": "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
    "ENTRA_TENANT_ID": TENANT,
    "API_CLIENT_ID": API,
}
EXAMPLE = Path(__file__).parents[3] / "local.settings.json.example"


def problems(environment: dict[str, str]) -> dict[str, str]:
    """Each setting that has a problem, with what is said about it."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environment)
    return {problem.name: problem.message for problem in caught.value.problems}


def test_when_only_the_needed_settings_are_given_then_the_rest_has_safe_defaults() -> None:
    """A managed identity, SQLite, the public cloud, v2.0 tokens, bounded calls."""
    settings = load_settings(NEEDED)

    assert ManagedIdentity(client_id=None) == settings.token_source.credential
    assert SqliteSettings(".bridge/records.sqlite3") == settings.record_sink
    assert settings.record_sink == settings.checkpoint_store
    assert f"api://{API}/.default" == settings.api.scope
    assert "https://login.microsoftonline.com" == settings.token_source.authority
    assert not settings.token_source.is_local_authority
    assert (30.0, 30.0, 3.0, 5.0) == (
        settings.calls.proxy_call_seconds,
        settings.calls.sync_call_seconds,
        settings.calls.connect_seconds,
        settings.calls.token_wait_seconds,
    )
    assert (30.0, 10.0) == (settings.calls.proxy_read_seconds, settings.calls.sync_read_seconds)
    assert (64, 64) == (settings.calls.concurrent_calls, settings.calls.waiting_calls)
    assert ("0 */5 * * * *", 500, 240.0) == (
        settings.sync.schedule,
        settings.sync.page_size,
        settings.sync.run_seconds,
    )


def test_when_nothing_is_given_then_every_missing_setting_is_named_at_once() -> None:
    """All of them in one error, so that nobody finds them one start at a time."""
    assert {"AWS_API_BASE_URL", "ENTRA_TENANT_ID", "API_CLIENT_ID"} == set(problems({}))


def test_when_many_settings_are_wrong_then_each_is_named_once() -> None:
    """No problem hides another, and none is told twice."""
    wrong = NEEDED | {
        "AWS_API_BASE_URL": "http://api.example/prod",
        "CREDENTIAL": "password",
        "AZURE_CLIENT_ID": "me",
        "SYNC_SCHEDULE": "*/5 * * * *",
        "CONCURRENT_CALLS": "0",
        "ENTRA_CLOUD": "mars",
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com",
    }

    with pytest.raises(SettingsError) as caught:
        load_settings(wrong)

    names = [problem.name for problem in caught.value.problems]
    assert sorted(set(names)) == sorted(
        [name for name in wrong if name not in {"ENTRA_TENANT_ID", "API_CLIENT_ID"}]
    )


@pytest.mark.parametrize(("concurrent", "waiting"), [("256", "0"), ("1", "255"), ("128", "128")])
def test_when_the_calls_fit_the_host_then_they_are_taken(concurrent: str, waiting: str) -> None:
    """Both count: a call that waits keeps a request in the host as one under way does."""
    calls = load_settings(NEEDED | {"CONCURRENT_CALLS": concurrent, "WAITING_CALLS": waiting}).calls

    assert (int(concurrent), int(waiting)) == (calls.concurrent_calls, calls.waiting_calls)


@pytest.mark.parametrize(("concurrent", "waiting"), [("256", "1"), ("2", "255"), ("129", "128")])
def test_when_the_calls_do_not_fit_the_host_then_both_settings_are_named(
    concurrent: str, waiting: str
) -> None:
    """Otherwise the host refuses callers, and health with them, before the app can."""
    found = problems({"CONCURRENT_CALLS": concurrent, "WAITING_CALLS": waiting} | NEEDED)

    assert ["WAITING_CALLS"] == list(found)
    assert "CONCURRENT_CALLS" in found["WAITING_CALLS"]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example",
        "https://api.example/prod",
        "https://api.example:8443/a/b",
        "http://127.0.0.1:4566/restapis/x1/prod/_user_request_",
        "http://[::1]:4566/prod",
        "https://api.example/$default",
    ],
)
def test_when_the_base_url_is_good_then_it_is_taken_without_a_trailing_slash(url: str) -> None:
    """Https anywhere, http on a loopback address, with or without a stage path."""
    assert url == load_settings(NEEDED | {"AWS_API_BASE_URL": f"{url}/"}).api_base_url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/prod",
        "http://localhost:4566/prod",
        "ftp://api.example/prod",
        "https:///prod",
        "https://api.example:0/prod",
        "https://api.example:99999/prod",
        "https://user@api.example/prod",
        "https://user:secret@api.example/prod",
        "https://api.example/prod?x=1",
        "https://api.example/prod?",
        "https://api.example/prod#x",
        "https://api.example/a/../b",
        "https://api.example/a/%2e%2e/b",
        "https://api.example/a//b",
        "https://api.example/a\\b",
        "https://api.exämple/prod",
        "api.example/prod",
    ],
)
def test_when_the_base_url_is_not_safe_then_it_is_refused(url: str) -> None:
    """The token goes wherever this URL points, so nothing odd gets through."""
    assert {"AWS_API_BASE_URL"} == set(problems(NEEDED | {"AWS_API_BASE_URL": url}))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AZURE_CLIENT_ID": IDENTITY}, ManagedIdentity(IDENTITY)),
        (
            {
                "CREDENTIAL": "client_secret",
                "AZURE_CLIENT_ID": CLIENT,
                "AZURE_CLIENT_SECRET": "s~1",
            },
            ClientSecret(CLIENT, "s~1"),
        ),
        (
            {
                "CREDENTIAL": "client_certificate",
                "AZURE_CLIENT_ID": CLIENT,
                "AZURE_CLIENT_CERTIFICATE_PATH": "c.pem",
            },
            ClientCertificate(CLIENT, "c.pem", None),
        ),
        (
            {
                "CREDENTIAL": "client_certificate",
                "AZURE_CLIENT_ID": CLIENT,
                "AZURE_CLIENT_CERTIFICATE_PATH": "c.pfx",
                "AZURE_CLIENT_CERTIFICATE_PASSWORD": "p~1",
            },
            ClientCertificate(CLIENT, "c.pfx", "p~1"),
        ),
        (
            {
                "CREDENTIAL": "workload_identity",
                "AZURE_CLIENT_ID": CLIENT,
                "AZURE_FEDERATED_TOKEN_FILE": "token",
            },
            WorkloadIdentity(CLIENT, "token"),
        ),
        (
            {
                "CREDENTIAL": "managed_identity_federation",
                "AZURE_CLIENT_ID": CLIENT,
                "MANAGED_IDENTITY_CLIENT_ID": IDENTITY,
            },
            ManagedIdentityFederation(CLIENT, IDENTITY),
        ),
        ({"CREDENTIAL": "azure_cli"}, AzureCli()),
    ],
)
def test_when_a_credential_has_what_it_needs_then_it_is_that_one(
    environment: dict[str, str], expected: object
) -> None:
    """One setting names the kind, and each kind has its own few."""
    assert expected == load_settings(NEEDED | environment).token_source.credential


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("client_secret", {"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}),
        ("client_certificate", {"AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"}),
        ("workload_identity", {"AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"}),
        ("managed_identity_federation", {"AZURE_CLIENT_ID", "MANAGED_IDENTITY_CLIENT_ID"}),
    ],
)
def test_when_a_credential_lacks_what_it_needs_then_each_is_named(
    kind: str, missing: set[str]
) -> None:
    """The message says which kind needs it."""
    found = problems(NEEDED | {"CREDENTIAL": kind})

    assert missing == set(found)
    assert all(f"CREDENTIAL={kind} needs it" in message for message in found.values())


@pytest.mark.parametrize("kind", ["managed_identity", "azure_cli"])
@pytest.mark.parametrize("secret", ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD"])
def test_when_a_secret_is_set_that_nothing_uses_then_it_is_a_problem(
    kind: str, secret: str
) -> None:
    """A forgotten secret is one that nobody rotates; the message does not repeat it."""
    found = problems(NEEDED | {"CREDENTIAL": kind, secret: "made-up~secret"})

    assert {secret} == set(found)
    assert f"CREDENTIAL={kind} does not use it" in found[secret]
    assert "made-up~secret" not in found[secret]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize(
    "reference",
    [
        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/made-up)",
        " @microsoft.keyvault(VaultName=v;SecretName=made-up)",
        "@Microsoft.AppConfiguration(Endpoint=https://c.azconfig.io; Key=made-up)",
    ],
)
def test_when_a_reference_is_not_resolved_then_its_setting_is_refused_with_that_reason(
    setting: Setting[object], reference: str
) -> None:
    """App Service leaves the reference where the secret should be; nobody is to be sent it."""
    found = problems(NEEDED | {"CREDENTIAL": "client_secret", setting.name: reference})

    assert "App Service has not resolved" in found[setting.name]
    assert "made-up" not in found[setting.name]


def test_when_a_reference_is_not_resolved_then_its_setting_is_named_once() -> None:
    """Nobody is told besides that it is missing."""
    secret = {
        "CREDENTIAL": "client_secret",
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/a)",
    }

    with pytest.raises(SettingsError) as caught:
        load_settings(NEEDED | secret)

    assert ["AZURE_CLIENT_SECRET"] == [problem.name for problem in caught.value.problems]


def test_when_the_credential_is_wrong_then_nothing_is_blamed_for_it() -> None:
    """Which credential was meant is unknown, so no secret is called unused and none is missing."""
    wrong = NEEDED | {
        "CREDENTIAL": "password",
        "AZURE_CLIENT_SECRET": "made-up",
        "TOKEN_HTTPS_PROXY": "http://proxy.example:8080",
    }

    assert ["CREDENTIAL"] == list(problems(wrong))


def test_when_settings_are_shown_then_no_secret_is_among_them() -> None:
    """Neither repr nor an error shows a secret's value."""
    settings = load_settings(
        NEEDED
        | {
            "CREDENTIAL": "client_secret",
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": "made-up~secret",
            "AWS_API_KEY": "made-up~secret-for-a-usage-plan",
        }
    )

    assert "made-up~secret" not in repr(settings)


def test_when_the_local_authority_is_named_then_tokens_are_asked_from_it() -> None:
    """Issuer and token endpoint of the emulator are two addresses: the SDK insists on https."""
    settings = load_settings(
        NEEDED
        | {
            "ENTRA_AUTHORITY": "http://127.0.0.1:8080",
            "AZURE_AUTHORITY_HOST": "https://localhost:8443",
        }
    )

    assert settings.token_source.is_local_authority
    assert "https://localhost:8443" == settings.token_source.authority


@pytest.mark.parametrize(
    "host",
    [
        "https://login.microsoftonline.com",
        "http://localhost:8443",
        "https://localhost:8443/tenant",
        "localhost:8443",
    ],
)
def test_when_the_authority_host_is_not_the_emulator_then_it_is_refused(host: str) -> None:
    """The setting cannot send a client secret anywhere but to this machine."""
    environment = NEEDED | {
        "ENTRA_AUTHORITY": "http://127.0.0.1:8080",
        "AZURE_AUTHORITY_HOST": host,
    }

    assert {"AZURE_AUTHORITY_HOST"} == set(problems(environment))


def test_when_the_authority_host_stands_alone_then_it_is_refused() -> None:
    """Without the emulator's issuer it can only be a mistake."""
    found = problems(NEEDED | {"AZURE_AUTHORITY_HOST": "https://localhost:8443"})

    assert "without ENTRA_AUTHORITY" in found["AZURE_AUTHORITY_HOST"]


def test_when_a_credential_asks_the_emulator_then_its_https_address_is_needed() -> None:
    """A managed identity does not need it, a service principal does."""
    local = NEEDED | {"ENTRA_AUTHORITY": "http://127.0.0.1:8080"}
    principal = {
        "CREDENTIAL": "client_secret",
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": "s~1",
    }

    assert "local" == load_settings(local).api.cloud.name
    assert {"AZURE_AUTHORITY_HOST"} == set(problems(local | principal))


def test_when_records_go_to_a_table_then_its_endpoint_is_needed() -> None:
    """Nothing falls back to a file that the next deployment loses."""
    table = {"RECORD_STORE": "table"}
    endpoint = "https://account.table.core.windows.net"

    assert {"TABLE_ENDPOINT"} == set(problems(NEEDED | table))
    settings = load_settings(NEEDED | table | {"TABLE_ENDPOINT": endpoint})
    assert TableSettings(endpoint) == settings.record_sink
    assert settings.record_sink == settings.checkpoint_store


def test_when_records_go_to_postgresql_then_its_host_and_role_are_needed() -> None:
    """In Azure too; port and database have defaults, and there is no password to set."""
    postgres = {"RECORD_STORE": "postgres"}
    given = {"POSTGRES_HOST": "a.postgres.database.azure.com", "POSTGRES_USER": "my-app"}

    assert {"POSTGRES_HOST", "POSTGRES_USER"} == set(problems(NEEDED | postgres))
    settings = load_settings(NEEDED | {"WEBSITE_SITE_NAME": "app"} | postgres | given)
    assert (
        PostgresSettings("a.postgres.database.azure.com", 5432, "postgres", "my-app")
        == settings.record_sink
        == settings.checkpoint_store
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POSTGRES_HOST", "https://a.example"),
        ("POSTGRES_HOST", "a.example,b.example"),
        ("POSTGRES_HOST", "/run/postgresql"),
        ("POSTGRES_HOST", "user@a.example"),
        ("POSTGRES_HOST", "a.example:5432"),
        ("POSTGRES_PORT", "0"),
        ("POSTGRES_DATABASE", "a\nb"),
        ("POSTGRES_USER", "é" * 32),
    ],
)
def test_when_postgresql_is_named_in_a_way_that_leads_elsewhere_then_it_is_refused(
    name: str, text: str
) -> None:
    """One host, by its name: no list, no socket, no URL; and no name that the server would cut."""
    given = {"RECORD_STORE": "postgres", "POSTGRES_HOST": "127.0.0.1", "POSTGRES_USER": "app"}

    assert {name} == set(problems(NEEDED | given | {name: text}))


AZURE = [{"WEBSITE_SITE_NAME": "app"}, {"WEBSITE_INSTANCE_ID": "0a1b"}]


@pytest.mark.parametrize("azure", AZURE)
@pytest.mark.parametrize("store", [{}, {"RECORD_STORE": "sqlite"}])
def test_when_records_would_go_to_a_file_in_azure_then_the_app_does_not_start(
    azure: dict[str, str], store: dict[str, str]
) -> None:
    """By default as by choice: the file is one instance's, and the checkpoints are in it."""
    found = problems(NEEDED | azure | store)

    assert {"RECORD_STORE"} == set(found)
    assert "set table, and TABLE_ENDPOINT" in found["RECORD_STORE"]


@pytest.mark.parametrize("azure", AZURE)
def test_when_records_go_to_a_table_in_azure_then_the_app_starts(azure: dict[str, str]) -> None:
    """That is what the setting is for."""
    table = {"RECORD_STORE": "table", "TABLE_ENDPOINT": "https://a.table.core.windows.net"}

    assert isinstance(load_settings(NEEDED | azure | table).record_sink, TableSettings)


def test_when_the_host_runs_on_a_laptop_then_a_file_is_enough() -> None:
    """The host names itself there, but neither a site nor an instance."""
    laptop = {"WEBSITE_HOSTNAME": "localhost:7071", "WEBSITE_SITE_NAME": ""}

    assert isinstance(load_settings(NEEDED | laptop).record_sink, SqliteSettings)


def test_when_the_store_is_no_store_in_azure_then_it_is_named_once() -> None:
    """What was meant is unknown, so that nothing more is said about it."""
    found = problems(NEEDED | AZURE[0] | {"RECORD_STORE": "files"})

    assert "is not valid" in found["RECORD_STORE"]


@pytest.mark.parametrize(
    "endpoint", ["http://account.table.core.windows.net", "account.table.core.windows.net"]
)
def test_when_the_table_endpoint_is_not_encrypted_then_it_is_refused(endpoint: str) -> None:
    """Records travel over https, or on this machine."""
    assert {"TABLE_ENDPOINT"} == set(
        problems(NEEDED | {"RECORD_STORE": "table", "TABLE_ENDPOINT": endpoint})
    )


@pytest.mark.parametrize("text", ["1", "200", "29.5"])
def test_when_a_deadline_is_in_bounds_then_it_is_taken(text: str) -> None:
    """Both bounds are inside."""
    assert (
        float(text) == load_settings(NEEDED | {"PROXY_CALL_SECONDS": text}).calls.proxy_call_seconds
    )


@pytest.mark.parametrize("text", ["0.99", "200.1", "nan", "inf", "soon"])
def test_when_a_deadline_is_out_of_bounds_then_it_is_refused(text: str) -> None:
    """Just outside, and what is no number at all."""
    assert {"PROXY_CALL_SECONDS"} == set(problems(NEEDED | {"PROXY_CALL_SECONDS": text}))


@pytest.mark.parametrize("text", ["0", "1001", "1.5", "many"])
def test_when_a_count_is_out_of_bounds_then_it_is_refused(text: str) -> None:
    """Just outside, and what is no whole number."""
    assert {"SYNC_PAGE_SIZE"} == set(problems(NEEDED | {"SYNC_PAGE_SIZE": text}))


def test_when_the_example_file_is_filled_in_then_it_is_enough_to_start() -> None:
    """Five values to fill in, and the rest of the file is right as it stands."""
    values: dict[str, str] = json.loads(EXAMPLE.read_text("utf-8"))["Values"]
    to_fill_in = {name for name, value in values.items() if "<" in value}
    fill = {
        "AWS_API_BASE_URL": NEEDED["AWS_API_BASE_URL"],
        "ENTRA_TENANT_ID": TENANT,
        "API_CLIENT_ID": API,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": "made-up~secret",
    }

    settings = load_settings(values | fill)

    assert set(fill) == to_fill_in
    assert ClientSecret(CLIENT, "made-up~secret") == settings.token_source.credential


def test_when_the_example_file_is_not_filled_in_then_every_gap_is_named() -> None:
    """Each placeholder that can be told from a value is refused, so that nobody starts with it."""
    values: dict[str, str] = json.loads(EXAMPLE.read_text("utf-8"))["Values"]

    assert {"AWS_API_BASE_URL", "ENTRA_TENANT_ID", "API_CLIENT_ID", "AZURE_CLIENT_ID"} <= set(
        problems(values)
    )


def test_when_the_example_file_names_a_setting_then_it_is_one_of_ours_or_the_platforms() -> None:
    """The file and the declarations cannot drift apart."""
    values = json.loads(EXAMPLE.read_text("utf-8"))["Values"]

    unknown = set(values) - {setting.name for setting in SETTINGS}

    assert {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"} == unknown


def test_when_nobody_says_otherwise_then_callers_of_the_proxy_need_a_key() -> None:
    """The default lets nobody in without a function key."""
    assert "function_key" == load_settings(NEEDED).proxy_authentication


@pytest.mark.parametrize("is_on", ["", "false", "1"])
def test_when_app_service_does_not_sign_callers_in_then_easy_auth_is_refused(is_on: str) -> None:
    """Without it anybody could send the header that says who signed in."""
    environment = {"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": is_on}

    with pytest.raises(SettingsError, match="PROXY_AUTHENTICATION: is easy_auth, but"):
        load_settings(NEEDED | environment)


@pytest.mark.parametrize("is_on", ["True", "true"])
def test_when_app_service_signs_callers_in_then_easy_auth_will_do(is_on: str) -> None:
    """The variable is App Service's own."""
    environment = {"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": is_on}

    assert "easy_auth" == load_settings(NEEDED | environment).proxy_authentication


EASY_AUTH = {"PROXY_AUTHENTICATION": "easy_auth", "WEBSITE_AUTH_ENABLED": "True"}


def test_when_nobody_says_otherwise_then_the_proxy_only_reads() -> None:
    """Writing through it takes a word of its own."""
    assert "read" == load_settings(NEEDED).proxy_forwards
    assert (
        "read_and_write"
        == load_settings(NEEDED | {"PROXY_FORWARDS": "read_and_write"}).proxy_forwards
    )


def test_when_nothing_is_mapped_then_a_role_lends_the_one_of_its_name() -> None:
    """In our own tenant, and for members only."""
    sign_in = load_settings(NEEDED | EASY_AUTH).sign_in

    assert {
        "Records.Read": {"Records.Read"},
        "Records.Write": {"Records.Write"},
    } == sign_in.caller_roles
    assert (NEEDED["ENTRA_TENANT_ID"], False) == (sign_in.tenant_id, sign_in.admits_guests)


def test_when_roles_are_mapped_then_only_those_lend_anything() -> None:
    """The names of the API's own roles mean nothing then."""
    other = "99999999-2222-4333-8444-555555555555"
    sign_in = load_settings(
        NEEDED
        | EASY_AUTH
        | {
            "PROXY_CALLER_ROLES": "Viewer=Records.Read, Editor=Records.Read+Records.Write",
            "PROXY_CALLER_TENANT_ID": other.upper(),
            "PROXY_ADMITS_GUESTS": "true",
        }
    ).sign_in

    assert {
        "Viewer": {"Records.Read"},
        "Editor": {"Records.Read", "Records.Write"},
    } == sign_in.caller_roles
    assert (other, True) == (sign_in.tenant_id, sign_in.admits_guests)


def test_when_what_is_mapped_is_an_empty_list_then_nothing_lends_anything() -> None:
    """Who wrote a comma did not ask for the default."""
    assert (
        {} == load_settings(NEEDED | EASY_AUTH | {"PROXY_CALLER_ROLES": ","}).sign_in.caller_roles
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_CALLER_ROLES", "Viewer=Records.Read"),
        ("PROXY_CALLER_TENANT_ID", "99999999-2222-4333-8444-555555555555"),
        ("PROXY_ADMITS_GUESTS", "true"),
    ],
)
def test_when_callers_have_only_a_key_then_a_rule_on_who_they_are_is_refused(
    name: str, value: str
) -> None:
    """It would bound nobody."""
    with pytest.raises(SettingsError, match=f"{name}: is set, but with PROXY_AUTHENTICATION"):
        load_settings(NEEDED | {name: value})

    load_settings(NEEDED | EASY_AUTH | {name: value})


def test_when_a_key_will_do_then_saying_no_to_guests_is_no_mistake() -> None:
    """A template may say every default."""
    load_settings(NEEDED | {"PROXY_ADMITS_GUESTS": "false"})


def test_when_the_way_to_sign_in_is_misspelled_then_only_that_is_a_problem() -> None:
    """What it stands in for says nothing about the other settings."""
    environment = {"PROXY_AUTHENTICATION": "easy", "PROXY_CALLER_ROLES": "Viewer=Records.Read"}

    with pytest.raises(SettingsError) as caught:
        load_settings(NEEDED | environment)
    assert ["PROXY_AUTHENTICATION"] == [problem.name for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_FORWARDS", "write"),
        ("PROXY_FORWARDS", "READ"),
        ("PROXY_CALLER_ROLES", "Viewer"),
        ("PROXY_CALLER_ROLES", "Viewer="),
        ("PROXY_CALLER_ROLES", "Viewer=Records.Delete"),
        ("PROXY_CALLER_ROLES", "Viewer=Records.Read,Viewer=Records.Write"),
        ("PROXY_CALLER_ROLES", "Viewer=*"),
        ("PROXY_CALLER_ROLES", "=Records.Read"),
        ("PROXY_CALLER_TENANT_ID", "common"),
        ("PROXY_ADMITS_GUESTS", "yes"),
    ],
)
def test_when_a_rule_of_the_proxy_is_malformed_then_the_app_does_not_start(
    name: str, value: str
) -> None:
    """A rule that is half understood bounds nobody."""
    with pytest.raises(SettingsError, match=f"{name}: is not valid"):
        load_settings(NEEDED | EASY_AUTH | {name: value})


def test_when_the_process_settings_are_loaded_then_they_come_from_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one function that reads the environment itself."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)

    assert load_settings(NEEDED) == load_process_settings()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, None), ({"REQUESTS_CA_BUNDLE": ""}, None), ({"REQUESTS_CA_BUNDLE": "/ca"}, "/ca")],
)
def test_when_the_platform_names_authorities_then_token_requests_trust_them(
    environment: dict[str, str], expected: str | None
) -> None:
    """As requests itself would have read the variable."""
    assert expected == load_settings(NEEDED | environment).token_ca_file
