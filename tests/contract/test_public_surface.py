"""What an adopter may rely on: each package says it, a page repeats it, and this holds it.

A change to `SIGNATURES` is a change that adopters see, so it belongs into the changelog.
"""

import enum
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from aws_authorizer.errors import TokenRejected
from aws_authorizer.verifier import Verifier
from tests.support.keys import TENANT_ID
from tests.support.tokens import API_CLIENT_ID, CLIENT_ID

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "adopters.md").read_text(encoding="utf-8")

# In each line a name, with a class's public methods below it, and the names of its parameters:
# `*` begins those that are passed by name, `=` stands behind those that have a default. A class
# without parameters here is made by a function of the list, or from defaults.
SIGNATURES = {
    "aws_authorizer": """
handler.handler(event, context)
handler.authorize(authorizer, event, request_id)
bootstrap.Authorizer(verifier, policies, log, has_simple_responses, caches_by_route, api_keys)
bootstrap.build_accepted_tokens(api, tenant_ids, additional_audiences)
claim_checks.AcceptedToken(version, issuer, tenant_id, audiences, client_claim, key_issuer)
claim_checks.ClaimContract
claim_checks.build_claim_contract(tokens, *, client_ids, roles, delegated_scopes=, leeway=)
verifier.Verifier(contract, key_sources, clock, *, cache_size=)
verifier.Verifier.verify(unverified_token)
key_set.KeySource
key_set.KeySource.get_signing_key(key_id)
key_set.StaticKeySet(keys)
key_set.StaticKeySet.get_signing_key(key_id)
key_set.RemoteKeySet(fetch, clock, policy, *, bundled=, on_fetch=)
key_set.RemoteKeySet.get_signing_key(key_id)
key_set.RemoteKeySet.get_age_seconds()
key_set.KeySetPolicy
key_set_fetch.fetch_key_set(url, seconds, build_tls_context=)
signing_key.SigningKey(key_id, modulus, exponent, issuer)
signing_key.SigningKey.verifies(signing_input, signature)
signing_key.parse_key_set(encoded)
policy_document.PolicyBuilder(routes)
policy_document.PolicyBuilder.build_allow(principal, stage_arn, *, is_websocket)
policy_document.PolicyBuilder.build_deny(principal, stage_arn)
policy_document.PolicyBuilder.build_simple_allow(principal, cached_route_key)
policy_document.PolicyBuilder.build_simple_deny()
decision_log.DecisionLog(write, clock, get_key_set_age)
decision_log.DecisionLog.write_decision(outcome, reason, request_id, *, principal=, detail=)
errors.TokenRejected(reason)
errors.AccessDenied(reason, principal)
errors.Undecided(reason, detail=)
errors.KeySetUnavailable(detail)
errors.Unauthorized()
""",
    "shared": """
clock.Clock
clock.Clock.now()
clock.Clock.monotonic()
clock.SystemClock
clock.SystemClock.now()
clock.SystemClock.monotonic()
contract.ApiIdentity(cloud, tenant_id, client_id, app_id_uri, token_versions)
contract.ApiIdentity.scope
contract.ApiIdentity.issuer(version)
contract.ApiIdentity.audiences(version)
contract.ApiIdentity.key_set_url
contract.read_api_identity(reader)
entra.Cloud(name, authority, v1_issuer_authority)
entra.Cloud.issuer(tenant_id, version)
entra.Cloud.key_set_url(tenant_id)
entra.TokenVersion
entra.TokenVersion.V1
entra.TokenVersion.V2
log.JsonLines
log.JsonLines.format(record)
log.log_event(logger, level, event, **fields)
principal.Principal(object_id, tenant_id, client_id, roles, token_id)
principal.Principal.to_context()
principal.PrincipalMissingError
principal.parse_context(context)
reasons.Reason
routes.Role
routes.Role.READ
routes.Role.WRITE
routes.Route(method, path, role)
routes.Route.admits(roles)
settings_reader.Setting(name, meaning, expects, parse, default=, is_secret=, example=)
settings_reader.SettingsReader
settings_reader.SettingProblem(name, message)
settings_reader.SettingsError(problems)
settings_reader.SettingsReader.read(setting)
settings_reader.SettingsReader.is_set(setting)
settings_reader.SettingsReader.is_rejected(setting)
settings_reader.SettingsReader.reject(setting, message)
settings_reader.reading_settings(environment)
""",
    "azure_function_app.aws_api": """
client.ApiClient(*, destination, client, token_provider, retrier, breaker, api_key=)
client.ApiClient.fetch(request, *, deadline)
client.ApiClient.read(request, *, deadline)
client.ApiClient.send(request, *, deadline)
client.ApiClient.aclose()
client.ApiRequest(method, path, query=, headers=, content=)
client.ApiResponse(status_code, headers, content, token_roles=)
client.backend_error(error)
client.problem_code(response)
destination.Destination
destination.Destination.parse(base_url, *, host=, api_id=)
destination.Destination.headers
destination.Destination.url(path, query=)
destination.Destination.check(request)
direct_client.build_client(*, connections, waiting, connect_seconds, ssl_context=, proxy=, clock=)
direct_client.build_client_over(transport, *, connections, waiting, clock=)
direct_client.build_transport(*, connect_seconds, ssl_context=, proxy=)
bearer_auth.BearerAuth(destination, token_provider, *, api_key=)
retry.Retrier(*, budget, clock, random, sleep, policies=)
retry.RetryPolicy(attempts, window_seconds, read_seconds)
retry.RetryPolicies(proxy=, sync=)
retry_budget.RetryBudget(clock)
circuit_breaker.CircuitBreaker(*, clock, random)
""",
    "azure_function_app.identity": """
access_token.AccessToken(value, expires_at)
access_token.AccessToken.is_well_formed
credential_kinds.CredentialKind
credential_kinds.CredentialKind.MANAGED_IDENTITY
credential_kinds.CredentialKind.CLIENT_SECRET
credential_kinds.CredentialKind.CLIENT_CERTIFICATE
credential_kinds.CredentialKind.WORKLOAD_IDENTITY
credential_kinds.CredentialKind.MANAGED_IDENTITY_FEDERATION
credential_kinds.CredentialKind.AZURE_CLI
credential_kinds.ManagedIdentity(client_id)
credential_kinds.ClientSecret(client_id, secret)
credential_kinds.ClientCertificate(client_id, path, password)
credential_kinds.WorkloadIdentity(client_id, token_file)
credential_kinds.ManagedIdentityFederation(client_id, managed_identity_client_id)
credential_kinds.AzureCli()
credential_kinds.TokenSource(credential, api, authority)
credential_kinds.TokenSource.is_local_authority
credentials.build_credential(source, *, proxy_url=, ca_file=, deadline=, clock=)
credentials.request_token(source, *, scope=, proxy_url=, ca_file=, clock=)
token_provider.TokenProvider(request_token, *, clock, random, wait_seconds, on_first_token=)
token_provider.TokenProvider.get_token(*, wait_seconds=)
token_provider.TokenProvider.refresh_after_rejection(rejected, *, wait_seconds=)
token_provider.TokenProvider.aclose()
token_diagnosis.Finding(code, advice, expected=, found=)
token_diagnosis.diagnose(token, identity, *, now=)
""",
}

NAMES = sorted(
    f"{package}.{line.split('(')[0]}"
    for package, lines in SIGNATURES.items()
    for line in lines.split("\n")
    if line and line.split("(")[0].count(".") == 1
)


def _named_in_docstring(package: str) -> dict[str, str]:
    """The names in the package's docstring, with what is said of each."""
    docstring = importlib.import_module(package).__doc__ or ""
    return dict(re.findall(r"^    ([\w.]+\.\w+)  +(\S.*)$", docstring, re.MULTILINE))


def _named_on_page(package: str) -> dict[str, str]:
    """The names in the page's table of the package, with what is said of each."""
    (section,) = re.findall(
        rf"^## [^\n]*`{package}`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    return dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE))


def _resolve(name: str) -> object:
    """The function or class of that full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _parameters(function: Callable[..., object], *, is_bound: bool = True) -> str:
    """The parameters of a function, as `SIGNATURES` writes them."""
    parameters = list(inspect.signature(function).parameters.values())
    texts = []
    has_star = False
    for parameter in parameters if is_bound else parameters[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            texts.append("*")
            has_star = True
        has_default = parameter.default is not parameter.empty
        star = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        texts.append(f"{star}{parameter.name}{'=' if has_default else ''}")
    return f"({', '.join(texts)})"


def _describe(name: str, thing: object) -> Iterator[str]:
    """Every line that `SIGNATURES` may hold about the thing."""
    if isinstance(thing, enum.EnumType):
        yield name
        yield from (f"{name}.{member}" for member in thing.__members__)
        return
    if not inspect.isclass(thing):
        assert callable(thing)
        yield name + _parameters(thing)
        return
    # What a protocol, or a library's class, asks of its maker is not ours to promise.
    is_made_our_way = not vars(thing).keys().isdisjoint({"__init__", "__new__"})
    is_protocol = getattr(thing, "_is_protocol", False)
    yield name + _parameters(thing) if is_made_our_way and not is_protocol else name
    for member, value in vars(thing).items():
        if member.startswith("_"):
            continue
        if isinstance(value, property | cached_property):
            yield f"{name}.{member}"
        elif isinstance(value, classmethod | staticmethod):
            yield f"{name}.{member}{_parameters(getattr(thing, member))}"
        elif inspect.isfunction(value):
            yield f"{name}.{member}{_parameters(value, is_bound=False)}"


@pytest.mark.parametrize("package", SIGNATURES)
def test_when_a_package_names_its_surface_then_it_is_the_list(package: str) -> None:
    """No name is missing in the docstring, and none is promised by accident."""
    listed = {name.removeprefix(f"{package}.") for name in NAMES if name.startswith(f"{package}.")}

    assert listed == set(_named_in_docstring(package))


@pytest.mark.parametrize("package", SIGNATURES)
def test_when_the_page_for_adopters_is_read_then_it_says_what_the_package_says(
    package: str,
) -> None:
    """Name by name, in the same words."""
    assert _named_in_docstring(package) == _named_on_page(package)


def test_when_the_page_names_a_package_then_the_package_is_in_the_list() -> None:
    """A section about a package that nothing holds would promise too much."""
    assert list(SIGNATURES) == re.findall(r"^## .*`([a-z_.]+)`$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("package", SIGNATURES)
def test_when_a_name_is_public_then_its_signature_is_the_pinned_one(package: str) -> None:
    """Whoever renames or removes a name, a method or a parameter finds out here."""
    pinned = set(filter(None, SIGNATURES[package].split("\n")))
    actual: set[str] = set()
    for name in NAMES:
        if name.rpartition(".")[0].rpartition(".")[0] == package:
            actual.update(_describe(name.removeprefix(f"{package}."), _resolve(name)))

    assert set() == pinned - actual - {line.split("(")[0] for line in actual}


@pytest.mark.parametrize("name", NAMES)
def test_when_a_name_is_public_then_it_is_documented_and_not_private(name: str) -> None:
    """It is defined where it is named, and its own docstring says what it is."""
    thing = _resolve(name)
    docstring = getattr(thing, "__doc__", None) or ""

    assert not any(part.startswith("_") for part in name.split("."))
    assert name == f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    assert docstring
    # What `dataclass` writes where there is none.
    assert not docstring.startswith(f"{name.rpartition('.')[2]}(")


@pytest.mark.parametrize("package", SIGNATURES)
def test_when_a_package_is_imported_then_nothing_else_is(package: str) -> None:
    """A cold start pays only for what it uses."""
    program = (
        "import sys; before = set(sys.modules); "
        f"import {package}; print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    parents = [package.rsplit(".", depth)[0] for depth in range(package.count("."), -1, -1)]

    assert parents == loaded.stdout.split()


def test_when_the_pages_example_is_run_then_it_makes_a_verifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It uses public names only, and fetches nothing for a token that names no key."""
    monkeypatch.setenv("ENTRA_TENANT_ID", TENANT_ID)
    monkeypatch.setenv("API_CLIENT_ID", API_CLIENT_ID)
    monkeypatch.setenv("ALLOWED_CLIENT_ID", CLIENT_ID)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102 - our own page
    verifier = names["verifier"]
    used = re.findall(r"^from ((?:aws|shared)[\w.]*) import (.+)$", example, re.MULTILINE)

    assert {f"{module}.{name}" for module, line in used for name in line.split(", ")} <= set(NAMES)
    assert isinstance(verifier, Verifier)
    with pytest.raises(TokenRejected):
        verifier.verify("not a token")
