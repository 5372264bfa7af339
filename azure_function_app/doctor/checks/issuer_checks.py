"""The issuer's own documents: who it is, and which keys sign its tokens."""

from collections.abc import Mapping, Sized
from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.ways import issuer_obstacle, tenant_fix
from azure_function_app.doctor.evidence import Broke, Evidence
from azure_function_app.doctor.probes.exchange import Answered, Outcome, Unanswered
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.token_diagnosis import shown
from shared.entra import TokenVersion

_OK: Final = 200
_BUSY: Final = frozenset({429, 503})
_HOUR: Final = 3_600


def check_discovery(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the tenant's discovery document can be read and names the issuer."""
    name = CheckName.DISCOVERY
    if subject.broken_for_issuer():
        return Check.needs(name, CheckName.SETTINGS)
    outcome = evidence.discovery
    if not isinstance(outcome, Answered):
        return _unread(name, subject, outcome)
    api = subject.settings.api
    if outcome.status != _OK or not outcome.members:
        return _refused(name, subject, evidence, outcome)
    expected = api.issuer(TokenVersion.V2)
    issuer = outcome.members.get("issuer")
    if issuer != expected:
        return Check.failed(
            name,
            f"its issuer is {shown(issuer)}, expected {expected}",
            Cause.DISCOVERY_WRONG,
            Fix(
                "Set ENTRA_CLOUD to the tenant's own cloud: what answers issues tokens in another"
                " name.",
                Place.FUNCTION_APP,
                setting="ENTRA_CLOUD",
                value_from="the tenant's overview page",
            ),
        )
    return Check.passed(name, f"{expected} answered in {1_000 * outcome.seconds:.0f} ms")


def check_key_set(subject: Subject, evidence: Evidence) -> Check:
    """Return whether the keys can be read, how old they are, and whether the token's is there."""
    name = CheckName.KEY_SET
    if subject.broken_for_issuer():
        return Check.needs(name, CheckName.SETTINGS)
    outcome = evidence.key_set
    if not _is_well(outcome) and not _is_well(evidence.discovery):
        return Check.needs(name, CheckName.DISCOVERY)
    if not isinstance(outcome, Answered):
        return _unread(name, subject, outcome)
    ids = _key_ids(outcome)
    if outcome.status == _OK and ids:
        return _with_keys(subject, evidence, ids, f"{_count(ids)}, {_freshness(outcome.headers)}")
    return Check.failed(
        name,
        f"HTTP {outcome.status}, and no key that can be read",
        Cause.KEY_SET_UNAVAILABLE,
        Fix(
            "Look at what answers in the place of Entra ID: a key set always has keys.",
            Place.NETWORK,
            value_from=subject.settings.api.key_set_url,
        ),
    )


def _key_ids(outcome: Answered) -> list[object]:
    keys = outcome.members.get("keys")
    if not isinstance(keys, list):
        return []
    return [key.get("kid") for key in keys if isinstance(key, dict)]


def _count(ids: Sized) -> str:
    return f"{len(ids)} {'key' if len(ids) == 1 else 'keys'}"


def _with_keys(subject: Subject, evidence: Evidence, ids: list[object], found: str) -> Check:
    name = CheckName.KEY_SET
    if evidence.obtained is None:
        return Check.passed(name, f"{found}; no token to look for its key")
    key_id = evidence.obtained.header.get("kid")
    if key_id in ids:
        return Check.passed(name, f"{found}; the token's key {shown(key_id)} is among them")
    if evidence.claims.get("tid") != subject.settings.api.tenant_id:
        return Check.needs(name, CheckName.TOKEN_CONTRACT, found=f"{found}; ")
    return Check.failed(
        name,
        f"{found}; the token's key {shown(key_id)} is not among them",
        Cause.UNKNOWN_KEY,
        Fix(
            "Ask for a new token: the issuer has taken back the key that signed this one. If new"
            " ones have it too, something on the way answers with an old key set.",
            Place.ENTRA,
            value_from=subject.settings.api.key_set_url,
        ),
    )


def _freshness(headers: Mapping[str, str]) -> str:
    age = headers.get("age", "")
    # More digits than that are no age of anything.
    is_cached = age.isdecimal() and len(age) <= len("999999999")
    age_text = f"{int(age) / _HOUR:.1f} h old in a cache" if is_cached else "fetched just now"
    control = headers.get("cache-control")
    return age_text if not control else f"{age_text} (Cache-Control: {shown(control)})"


def _is_well(outcome: Outcome | Broke | None) -> bool:
    return isinstance(outcome, Answered) and outcome.status == _OK


def _unread(name: CheckName, subject: Subject, outcome: Outcome | Broke | None) -> Check:
    if not isinstance(outcome, Unanswered):
        return Check.broke(name, outcome.kind if isinstance(outcome, Broke) else None)
    authority = subject.settings.api.cloud.authority
    failure = issuer_obstacle(subject, outcome.obstacle, outcome.detail, authority)
    if subject.settings.token_source.credential.asks_entra:
        return Check.failed(name, failure.found, failure.cause, failure.fix)
    # Its tokens come from elsewhere, and only the API reads these documents.
    return Check.warned(
        name, f"{failure.found}; this app needs it for nothing", failure.cause, failure.fix
    )


def _refused(name: CheckName, subject: Subject, evidence: Evidence, outcome: Answered) -> Check:
    codes = outcome.members.get("error_codes")
    is_tenant = isinstance(codes, list) and bool(
        {90002, 900023} & {c for c in codes if isinstance(c, int)}
    )
    if is_tenant:
        own = subject.settings.api.tenant_id
        return Check.failed(
            name,
            f"Entra ID knows no tenant {own} in this cloud",
            Cause.TENANT_UNKNOWN,
            tenant_fix(subject, evidence),
        )
    if outcome.status in _BUSY:
        return Check.warned(
            name,
            f"HTTP {outcome.status}",
            Cause.ISSUER_THROTTLED,
            Fix("Wait a minute, and ask Entra ID less often.", Place.ENTRA),
        )
    return Check.failed(
        name,
        f"HTTP {outcome.status}, and no discovery document",
        Cause.ISSUER_ANSWER,
        Fix(
            "Look at what answers in the place of Entra ID: a proxy, or a page to sign in to the"
            " network.",
            Place.NETWORK,
            setting="ENTRA_AUTHORITY"
            if subject.settings.token_source.is_local_authority
            else "ENTRA_CLOUD",
            value_from="the tenant's overview page",
        ),
    )
