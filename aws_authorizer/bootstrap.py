"""The composition root: settings to contract, key sets, verifier, policies and log."""

import sys
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Final, NamedTuple

from aws_authorizer.bundled_key_set import load_bundled_key_set
from aws_authorizer.claim_checks import AcceptedToken, ClaimContract, build_claim_contract
from aws_authorizer.decision_log import DecisionLog, Write
from aws_authorizer.key_set import HeldKeySet, RemoteKeySet, hold_bundled_key_set
from aws_authorizer.key_set_fetch import Fetch, fetch_key_set
from aws_authorizer.policy_document import PolicyBuilder
from aws_authorizer.settings import (
    KEY_SET_FILE,
    Settings,
    UsagePlanKeys,
    load_settings,
    load_trace_id,
)
from aws_authorizer.signing_key import KeySetMalformed
from aws_authorizer.verifier import Verifier
from shared import claims
from shared.clock import Clock, SystemClock
from shared.contract import ApiIdentity
from shared.entra import TokenVersion
from shared.routes import PROTECTED_ROUTES
from shared.settings_reader import SettingProblem, SettingsError

BUNDLED_FRESH_SECONDS: Final = 300.0
"""A process that has just started asks for no key set before it is this old."""


class Authorizer(NamedTuple):
    """Everything that a decision takes."""

    verifier: Verifier
    policies: PolicyBuilder
    log: DecisionLog
    has_simple_responses: bool
    caches_by_route: bool
    api_keys: UsagePlanKeys


def build_accepted_tokens(
    api: ApiIdentity, tenant_ids: Collection[str], additional_audiences: Collection[str]
) -> list[AcceptedToken]:
    """Return what each accepted version from each accepted tenant must say."""
    accepted = []
    for tenant_id in tenant_ids:
        for version in sorted(api.token_versions):
            is_v1 = version is TokenVersion.V1
            # A v2.0 token's audience is a client ID, never a URI.
            further = {item for item in additional_audiences if is_v1 or ":" not in item}
            accepted.append(
                AcceptedToken(
                    version=version,
                    issuer=api.cloud.issuer(tenant_id, version),
                    tenant_id=tenant_id,
                    audiences=tuple(sorted(api.audiences(version) | further)),
                    client_claim=claims.CLIENT_ID_V1 if is_v1 else claims.CLIENT_ID_V2,
                    key_issuer=api.cloud.issuer(tenant_id, TokenVersion.V2),
                )
            )
    return accepted


def list_tenant_ids(settings: Settings) -> list[str]:
    """Return the tenants whose tokens are accepted, the API's own first."""
    own = settings.api.tenant_id
    return [own, *sorted(settings.additional_tenant_ids - {own})]


def build_contract(settings: Settings) -> ClaimContract:
    """Return the contract that the settings describe."""
    return build_claim_contract(
        build_accepted_tokens(
            settings.api, list_tenant_ids(settings), settings.additional_audiences
        ),
        client_ids=settings.allowed_client_ids,
        roles={str(route.role) for route in PROTECTED_ROUTES},
        delegated_scopes=settings.delegated_scopes,
        leeway=settings.leeway_seconds,
    )


def _hold_bundled(settings: Settings, clock: Clock, log: DecisionLog) -> HeldKeySet | None:
    if not settings.key_set_file:
        return None
    try:
        bundled = load_bundled_key_set(settings.key_set_file)
    except (OSError, KeySetMalformed) as problem:
        message = f"cannot be used ({problem}); expected {KEY_SET_FILE.expects}"
        raise SettingsError((SettingProblem(KEY_SET_FILE.name, message),)) from problem
    held = hold_bundled_key_set(
        bundled.key_set.keys,
        bundled.retrieved_at,
        clock,
        fresh_for=BUNDLED_FRESH_SECONDS,
        max_age=settings.key_set_file_max_age_seconds,
    )
    log.write_bundled_key_set(
        clock.now() - bundled.retrieved_at,
        bundled.key_set.contradicted_key_ids,
        is_used=held is not None,
    )
    return held


def build_authorizer(
    settings: Settings,
    *,
    clock: Clock,
    write: Write,
    build_fetch: Callable[[str, float], Fetch] = lambda url, seconds: partial(
        fetch_key_set, url, seconds
    ),
    get_trace_id: Callable[[], str] = load_trace_id,
) -> Authorizer:
    """Return the authorizer that the settings describe. Nothing is fetched yet.

    Raises:
        SettingsError: the bundled key set cannot be read.

    """
    api = settings.api
    key_sets: dict[str, RemoteKeySet] = {}
    log = DecisionLog(
        write,
        clock,
        lambda: key_sets[api.tenant_id].get_age_seconds(),  # noqa: PLW0108 - it is not there yet
        get_trace_id,
    )
    for tenant_id in list_tenant_ids(settings):
        url = api.cloud.key_set_url(tenant_id)
        key_sets[tenant_id] = RemoteKeySet(
            build_fetch(url, settings.key_set_fetch_seconds),
            clock,
            settings.key_set_policy,
            bundled=_hold_bundled(settings, clock, log) if tenant_id == api.tenant_id else None,
            on_fetch=log.write_fetch,
        )
    verifier = Verifier(
        build_contract(settings),
        key_sets,
        clock,
        cache_size=settings.verified_token_cache_size,
    )
    return Authorizer(
        verifier,
        PolicyBuilder(PROTECTED_ROUTES),
        log,
        has_simple_responses=settings.has_simple_responses,
        caches_by_route=settings.caches_by_route,
        api_keys=settings.usage_plan_keys,
    )


def write_to_stdout(line: str) -> None:
    """Write to what is standard output now: Lambda's runtime puts its own in place of Python's."""
    sys.stdout.write(line)
    sys.stdout.flush()


@cache
def get_authorizer() -> Authorizer:
    """Return the process's one authorizer, built by the first call that gets this far.

    Raises:
        SettingsError: the settings are unusable; the next call tries again.

    """
    return build_authorizer(load_settings(), clock=SystemClock(), write=write_to_stdout)
