"""Who the app is to Entra ID, and whether it gets a token."""

from typing import Final

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.checks.token_failures import explain_failure
from azure_function_app.doctor.checks.ways import Failure
from azure_function_app.doctor.evidence import Broke, Evidence
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.access_token import LONGEST_TOKEN, AccessToken

_MINUTE: Final = 60
_OF_CREDENTIAL: Final = frozenset(
    {
        Cause.MANAGED_IDENTITY_MISSING,
        Cause.MANAGED_IDENTITY_UNKNOWN,
        Cause.APPLICATION_UNKNOWN,
        Cause.APPLICATION_DISABLED,
        Cause.SECRET_WRONG,
        Cause.SECRET_EXPIRED,
        Cause.CERTIFICATE_UNREGISTERED,
        Cause.CERTIFICATE_UNUSABLE,
        Cause.CERTIFICATE_NOT_CURRENT,
        Cause.FEDERATION_MISMATCH,
        Cause.FEDERATED_TOKEN_UNUSABLE,
        Cause.AZURE_CLI_UNUSABLE,
    }
)
"""What is wrong with who asks; the rest is about what is asked, and whom."""


def check_credential(subject: Subject, evidence: Evidence) -> Check:
    """Return whether Entra ID takes the app for who it says it is."""
    name = CheckName.CREDENTIAL
    if broken := subject.broken_for_token():
        return Check.without_settings(name, broken)
    kind = subject.settings.token_source.credential.kind
    obtained = evidence.obtained
    if obtained is not None:
        return Check.passed(name, f"{kind} is good: Entra ID gave a token for it")
    failure = explain_failure(subject, evidence)
    if failure is None or failure.cause not in _OF_CREDENTIAL:
        return Check.needs(name, CheckName.TOKEN, found=f"{kind} could not be tried; ")
    return failure.failed(name)


def check_token(subject: Subject, evidence: Evidence) -> Check:
    """Return whether a token came."""
    name = CheckName.TOKEN
    if subject.broken_for_token():
        return Check.needs(name, CheckName.SETTINGS)
    obtained = evidence.obtained
    if isinstance(evidence.token, Broke):
        return Check.broke(name, evidence.token.kind)
    if obtained is None:
        failure = explain_failure(subject, evidence)
        if failure is None or failure.cause in _OF_CREDENTIAL:
            return Check.needs(name, CheckName.CREDENTIAL)
        return failure.failed(name)
    unsendable = _unsendable(obtained.token)
    if unsendable is not None:
        return unsendable.failed(name)
    lifetime = obtained.token.expires_at - evidence.now
    return Check.passed(
        name,
        f"obtained in {obtained.seconds:.1f} s, good for another {lifetime / _MINUTE:.0f} minutes",
    )


def _unsendable(token: AccessToken) -> Failure | None:
    if len(token.value) > LONGEST_TOKEN:
        return Failure(
            Cause.TOKEN_TOO_LONG,
            f"a token of {len(token.value)} characters came",
            Fix(
                f"Assign fewer roles or groups to this identity: no more than {LONGEST_TOKEN}"
                " characters of a token reach the API.",
                Place.ENTRA,
                setting="groupMembershipClaims",
                value_from="the API's registration",
            ),
        )
    if not token.is_well_formed:
        return Failure(
            Cause.MALFORMED_TOKEN,
            "what came has characters that no token has",
            Fix(
                "Look at what answers in the place of the issuer.",
                Place.NETWORK,
                value_from="who runs the proxy in between",
            ),
        )
    return None
