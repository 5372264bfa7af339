"""Entra ID's addresses and the managed identity endpoint, as an aiohttp application."""

import asyncio
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import assert_never
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler

from emulator.entra.developer_sign_in import make_developer_token
from emulator.entra.directory import Directory
from emulator.entra.errors import EntraRefusal, EntraUnavailable, IdentityRefusal
from emulator.entra.graph.service import Graph, GraphRequest
from emulator.entra.identity_token_cache import IdentityTokenCache
from emulator.entra.issuer import Issuer
from emulator.entra.issuer_faults import IssuerFaults
from emulator.entra.tenant_store import TenantStore
from emulator.entra.token_endpoint import grant_client_credentials, grant_managed_identity
from shared.clock import Clock
from shared.entra import TokenVersion

MANAGED_IDENTITY_PATH = "/msi/token"
DEVELOPER_TOKEN_PATH = "/_emulator/developer-token"  # noqa: S105 - an address
_TENANT_INDEPENDENT = ("common", "organizations")


@dataclass(slots=True)
class EntraService:
    """What the request handlers work with."""

    store: TenantStore
    issuer: Issuer
    clock: Clock
    graph: Graph
    identity_header: str = field(repr=False)
    """The secret that the managed identity endpoint asks for."""
    identity_tokens: IdentityTokenCache | None = None
    """Where tokens of managed identities are kept, if they are."""
    requests: Counter[str] = field(default_factory=Counter)
    """How often each kind of address was asked."""
    origins: list[str] = field(default_factory=list)
    """Scheme, host and port of every listener."""
    faults: IssuerFaults = field(default_factory=IssuerFaults)
    """What the tenant's own addresses suffer from."""
    loses: Callable[[web.Request], bool] | None = None
    """Which requests get lost on their way: their connection is cut without an answer."""

    @property
    def directory(self) -> Directory:
        """The tenant as it is now."""
        return self.store.directory


def build_http_app(service: EntraService) -> web.Application:
    """Return the application; it serves every listener alike."""
    app = web.Application(middlewares=[_lose])
    app[_SERVICE] = service
    app.on_response_prepare.append(_date)
    app.add_routes(
        [
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", _may_fail(_discovery_v2)),
            web.get("/{tenant}/.well-known/openid-configuration", _may_fail(_discovery_v1)),
            web.get("/{tenant}/discovery/v2.0/keys", _may_fail(_key_set_v2)),
            web.get("/{tenant}/discovery/keys", _may_fail(_key_set_v1)),
            web.post("/{tenant}/oauth2/v2.0/token", _may_fail(_token)),
            web.post("/{tenant}/oauth2/token", _may_fail(_token)),
            web.get(MANAGED_IDENTITY_PATH, _managed_identity),
            web.route("*", "/v1.0/{target:.*}", _graph),
            web.post("/_emulator/rotate-signing-key", _rotate_signing_key),
            web.post(DEVELOPER_TOKEN_PATH, _developer_token),
            web.get("/_emulator/requests", _requests),
        ]
    )
    return app


_SERVICE = web.AppKey("service", EntraService)

type _Handler = Callable[[web.Request], Awaitable[web.Response]]


def _may_fail(handler: _Handler) -> _Handler:
    """Return the handler of an address of the tenant's, which obeys the faults."""

    async def answer(request: web.Request) -> web.Response:
        service = request.app[_SERVICE]
        if service.faults.seconds:
            await asyncio.sleep(service.faults.seconds)
        # Looked at after the wait too: what breaks meanwhile has not answered.
        if service.faults.is_broken:
            service.requests["unavailable"] += 1
            return _refuse(service, EntraUnavailable())
        return await handler(request)

    return answer


@web.middleware
async def _lose(request: web.Request, handler: Handler) -> web.StreamResponse:
    loses = request.app[_SERVICE].loses
    if loses is not None and loses(request) and request.transport is not None:
        request.transport.abort()
        return web.Response()
    return await handler(request)


async def _date(request: web.Request, response: web.StreamResponse) -> None:
    # Whoever compares clocks by it (RFC 9110 section 6.6.1) sees the clock that dates the tokens.
    response.headers["Date"] = formatdate(request.app[_SERVICE].clock.now(), usegmt=True)


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _refuse(service: EntraService, refusal: EntraRefusal) -> web.Response:
    trace_id, correlation_id = str(uuid4()), str(uuid4())
    timestamp = datetime.fromtimestamp(service.clock.now(), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return web.json_response(
        {
            "error": refusal.error,
            "error_description": f"{refusal} Trace ID: {trace_id} Correlation ID: {correlation_id} "
            f"Timestamp: {timestamp}",
            "error_codes": [refusal.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{service.issuer.cloud.authority}/error?code={refusal.code}",
        },
        status=refusal.status,
    )


def _unknown_tenant(service: EntraService, tenant: str) -> web.Response | None:
    if tenant.lower() == service.store.base.tenant_id:
        return None
    return _refuse(
        service,
        EntraRefusal(
            90002,
            "invalid_request",
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and "
            "are signing into the correct cloud.",
        ),
    )


def _discovery(request: web.Request, version: TokenVersion) -> web.Response:
    service = request.app[_SERVICE]
    service.requests["discovery"] += 1
    tenant = request.match_info["tenant"].lower()
    is_tenant_independent = tenant in _TENANT_INDEPENDENT
    if not is_tenant_independent and (refusal := _unknown_tenant(service, tenant)):
        return refusal
    # The endpoints are on the listener that was asked; the issuer is the same on each.
    base = f"{_origin(request)}/{tenant}"
    match version:
        case TokenVersion.V1:
            infix = ""
        case TokenVersion.V2:
            infix = "/v2.0"
        case _:
            assert_never(version)
    owner = "{tenantid}" if is_tenant_independent else tenant
    methods = ["client_secret_post", "private_key_jwt"]
    return web.json_response(
        {
            "issuer": service.issuer.cloud.issuer(owner, version),
            "authorization_endpoint": f"{base}/oauth2{infix}/authorize",
            "token_endpoint": f"{base}/oauth2{infix}/token",
            "jwks_uri": f"{base}/discovery{infix}/keys",
            "token_endpoint_auth_methods_supported": methods,
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


async def _discovery_v1(request: web.Request) -> web.Response:
    return _discovery(request, TokenVersion.V1)


async def _discovery_v2(request: web.Request) -> web.Response:
    return _discovery(request, TokenVersion.V2)


def _key_set(request: web.Request, version: TokenVersion) -> web.Response:
    service = request.app[_SERVICE]
    service.requests["key_set"] += 1
    tenant = request.match_info["tenant"].lower()
    if tenant not in _TENANT_INDEPENDENT and (refusal := _unknown_tenant(service, tenant)):
        return refusal
    return web.json_response(service.issuer.key_set(tenant=tenant, version=version))


async def _key_set_v1(request: web.Request) -> web.Response:
    return _key_set(request, TokenVersion.V1)


async def _key_set_v2(request: web.Request) -> web.Response:
    return _key_set(request, TokenVersion.V2)


async def _token(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    service.requests["token"] += 1
    tenant = request.match_info["tenant"].lower()
    if unknown := _unknown_tenant(service, tenant):
        return unknown
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    audiences = {
        f"{origin}/{tenant}/{path}"
        for origin in service.origins
        for path in ("oauth2/v2.0/token", "oauth2/token", "v2.0", "")
    }
    try:
        grant = grant_client_credentials(form, service.directory, service.issuer, audiences)
    except EntraRefusal as refusal:
        return _refuse(service, refusal)
    return web.json_response(grant, headers={"Cache-Control": "no-store, no-cache"})


async def _managed_identity(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    service.requests["managed_identity"] += 1
    try:
        if not _shows_secret(request):
            raise IdentityRefusal(  # noqa: TRY301 - answered like the refusals of the grant
                401, "X-IDENTITY-HEADER is missing or does not equal IDENTITY_HEADER."
            )
        grant = grant_managed_identity(
            request.query,
            service.directory,
            service.issuer,
            service.clock,
            service.identity_tokens,
        )
    except IdentityRefusal as refusal:
        return web.json_response(
            {"statusCode": refusal.status, "message": refusal.message}, status=refusal.status
        )
    return web.json_response(grant)


def _shows_secret(request: web.Request) -> bool:
    header = request.headers.get("X-IDENTITY-HEADER", "")
    return hmac.compare_digest(header.encode(), request.app[_SERVICE].identity_header.encode())


async def _developer_token(request: web.Request) -> web.Response:
    """Answer what a person's Azure CLI gets; what asks must show the emulator's own secret."""
    service = request.app[_SERVICE]
    if not _shows_secret(request):
        return web.json_response({"error_description": "X-IDENTITY-HEADER is wrong."}, status=401)
    try:
        match await request.json():
            case {"user_id": str(user_id), "resource": str(resource)}:
                token = make_developer_token(service.store, service.issuer, user_id, resource)
            case _:
                raise ValueError  # noqa: TRY301 - answered like what is no JSON
    except EntraRefusal as refusal:
        return _refuse(service, refusal)
    except ValueError:
        wanted = {"error_description": "Send user_id and resource as a JSON object."}
        return web.json_response(wanted, status=400)
    return web.json_response({"access_token": token}, headers={"Cache-Control": "no-store"})


async def _graph(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    service.requests["graph"] += 1
    answer = service.graph.answer(
        GraphRequest(
            request.method,
            request.path,
            request.query,
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
            _origin(request),
        )
    )
    if answer.body is None:
        return web.Response(status=answer.status, headers=answer.headers)
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)


async def _rotate_signing_key(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    return web.json_response({"kid": service.issuer.keys.rotate().key_id})


async def _requests(request: web.Request) -> web.Response:
    return web.json_response(dict(request.app[_SERVICE].requests))
