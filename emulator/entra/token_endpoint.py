"""The token endpoint's decisions: who is asking, what for, and whether it gets a token."""

import hmac
from collections.abc import Collection, Mapping

from emulator.entra.client_assertion import (
    is_certificate_assertion,
    verify_certificate_assertion,
    verify_federated_assertion,
)
from emulator.entra.directory import ApiRegistration, Application, Caller, Directory
from emulator.entra.errors import EntraRefusal, IdentityRefusal
from emulator.entra.identity_token_cache import IdentityTokenCache
from emulator.entra.issuer import Issuer
from shared.clock import Clock
from shared.entra import TokenVersion

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEFAULT_SCOPE = "/.default"
IDENTITY_API_VERSION = "2019-08-01"
_SELECTORS = ("client_id", "principal_id", "object_id", "mi_res_id")


def grant_client_credentials(
    form: Mapping[str, str], directory: Directory, issuer: Issuer, audiences: Collection[str]
) -> dict[str, object]:
    """Return the token response to a client credentials request (RFC 6749 section 4.4).

    Args:
        form: the request's form; `scope` (v2.0) or `resource` (v1.0) says what the token is for.
        directory: the tenant.
        issuer: makes the token.
        audiences: what a client assertion may name as its audience.

    Raises:
        EntraRefusal: the request gets no token.

    """
    grant_type = _required(form, "grant_type")
    if grant_type != "client_credentials":
        raise EntraRefusal(
            70003,
            "unsupported_grant_type",
            f"The app requested an unsupported grant type '{grant_type}'.",
        )
    application = _authenticate(form, directory, issuer, audiences)
    resource = form["resource"] if "resource" in form else _parse_scope(_required(form, "scope"))
    api = directory.find_api(resource)
    if api is None:
        raise EntraRefusal(
            500011,
            "invalid_resource",
            f"The resource principal named {resource} was not found in the tenant named "
            f"{directory.tenant_id}. You might have sent your authentication request to the wrong "
            "tenant.",
        )
    _check_assignment(application, api)
    claims = issuer.claims_for(
        application, api=api, resource=resource, is_by_secret="client_secret" in form
    )
    # Entra ID says one second less than the token has.
    lifetime = directory.token_lifetime - 1
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": issuer.sign(claims),
    }


def grant_managed_identity(
    query: Mapping[str, str],
    directory: Directory,
    issuer: Issuer,
    clock: Clock,
    cache: IdentityTokenCache | None = None,
) -> dict[str, object]:
    """Return the token response of the App Service managed identity endpoint.

    Without a cache every request gets a new token, unlike from the real endpoint.

    Raises:
        IdentityRefusal: the request gets no token.

    """
    if query.get("api-version") != IDENTITY_API_VERSION:
        raise IdentityRefusal(400, f"The api-version must be {IDENTITY_API_VERSION}.")
    resource = query.get("resource", "")
    if not resource:
        raise IdentityRefusal(400, "The query parameter 'resource' is missing.")
    identity = _find_identity(query, directory)

    def make() -> dict[str, object]:
        return _make_identity_token(identity, resource, directory, issuer, clock)

    return make() if cache is None else cache.get(identity.object_id, resource, make)


def _make_identity_token(
    identity: Caller, resource: str, directory: Directory, issuer: Issuer, clock: Clock
) -> dict[str, object]:
    api = directory.find_api(resource)
    if api is None:
        # The real endpoint hides Entra ID's reason in a 500.
        raise IdentityRefusal(
            500,
            f"AADSTS500011: The resource principal named {resource} was not found in the tenant "
            f"named {directory.tenant_id}.",
        )
    try:
        _check_assignment(identity, api)
    except EntraRefusal as refusal:
        raise IdentityRefusal(500, str(refusal)) from None
    claims = issuer.claims_for(identity, api=api, resource=resource)
    return {
        "access_token": issuer.sign(claims),
        "expires_on": str(int(clock.now()) + directory.managed_identity_token_lifetime),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": identity.client_id,
    }


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise EntraRefusal(
            900144,
            "invalid_request",
            f"The request body must contain the following parameter: '{name}'.",
        )
    return form[name]


def _authenticate(
    form: Mapping[str, str], directory: Directory, issuer: Issuer, audiences: Collection[str]
) -> Application:
    client_id = _required(form, "client_id")
    application = directory.find_application(client_id)
    if application is None:
        raise EntraRefusal(
            700016,
            "unauthorized_client",
            f"Application with identifier '{client_id}' was not found in the directory "
            f"'{directory.tenant_id}'.",
        )
    if secret := form.get("client_secret"):
        _check_secret(secret, application)
    elif assertion := form.get("client_assertion"):
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            raise EntraRefusal(
                900144,
                "invalid_request",
                "The request body must contain the following parameter: 'client_assertion_type'.",
            )
        _verify_assertion(assertion, application, issuer, directory, audiences)
    else:
        raise EntraRefusal(
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or "
            "'client_secret'.",
        )
    return application


def _check_secret(secret: str, application: Application) -> None:
    if any(hmac.compare_digest(secret.encode(), s.encode()) for s in application.secrets):
        return
    if any(hmac.compare_digest(secret.encode(), s.encode()) for s in application.expired_secrets):
        raise EntraRefusal(
            7000222,
            "invalid_client",
            f"The provided client secret keys for app '{application.client_id}' are expired.",
        )
    raise EntraRefusal(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        "secret value, not the client secret ID, for a secret added to app "
        f"'{application.client_id}'.",
    )


def _verify_assertion(
    assertion: str,
    application: Application,
    issuer: Issuer,
    directory: Directory,
    audiences: Collection[str],
) -> None:
    if is_certificate_assertion(assertion, application):
        verify_certificate_assertion(assertion, application, audiences)
    else:
        verify_federated_assertion(
            assertion,
            application,
            issuer.name(TokenVersion.V2),
            issuer.key_set(tenant=directory.tenant_id, version=TokenVersion.V2),
        )


def _parse_scope(scope: str) -> str:
    scopes = scope.split()
    if len(scopes) > 1:
        raise EntraRefusal(
            70011,
            "invalid_scope",
            "The provided value for the input parameter 'scope' is not valid: it names more than "
            "one resource.",
        )
    resource = scopes[0].removesuffix(_DEFAULT_SCOPE)
    if resource == scopes[0] or not resource:
        raise EntraRefusal(
            1002012,
            "invalid_scope",
            f"The provided value for scope {scope} is not valid. Client credential flows must have "
            "a scope value with /.default suffixed to the resource identifier (application ID "
            "URI).",
        )
    return resource


def _check_assignment(caller: Caller, api: ApiRegistration) -> None:
    if api.is_assignment_required and not api.is_assigned(caller):
        raise EntraRefusal(
            501051,
            "invalid_grant",
            f"Application '{caller.client_id}'({caller.name}) is not assigned to a role for the "
            f"application '{api.client_id}'.",
        )


def _find_identity(query: Mapping[str, str], directory: Directory) -> Caller:
    selectors = [name for name in _SELECTORS if query.get(name)]
    if len(selectors) > 1:
        raise IdentityRefusal(400, "At most one of client_id, principal_id and mi_res_id is taken.")
    if not selectors:
        if directory.system_assigned is None:
            raise IdentityRefusal(400, "Unable to load the proper Managed Identity.")
        return directory.system_assigned
    identity = directory.find_managed_identity(selectors[0], query[selectors[0]])
    if identity is None:
        raise IdentityRefusal(
            400,
            "No User Assigned or Delegated Managed Identity found for specified "
            "ClientId/ResourceId/PrincipalId.",
        )
    return identity
