"""Says what a caller may do through the proxy, which itself may do all that its app's roles allow.

Who comes through App Service's sign-in brings roles of their own, and a setting says which of the
API's roles each of them lends. Who brings a function key has no name, so that only what the proxy
forwards at all bounds them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from azure_function_app.errors import RequestRefused
from azure_function_app.proxy.signed_in_caller import (
    SignedInCaller,
    caller_unknown,
    parse_signed_in_caller,
)
from shared.routes import Route


@dataclass(frozen=True, slots=True)
class SignIn:
    """Whom App Service may sign in, and what that lends them."""

    tenant_id: str
    home_issuers: Collection[str]
    """What tokens of the tenant's own accounts name as their identity provider."""
    caller_roles: Mapping[str, Collection[str]]
    """Each app role of a caller, with the API's roles that it lends."""
    admits_guests: bool

    def identify(self, headers: Mapping[str, str]) -> SignedInCaller:
        """Return who calls.

        Raises:
            RequestRefused: it cannot be known, or it is nobody of the tenant (401).

        """
        caller = parse_signed_in_caller(headers, self.home_issuers)
        if caller.tenant_id != self.tenant_id:
            raise caller_unknown("Sign in with an account of the tenant that the proxy serves.")
        return caller

    def check_member(self, caller: SignedInCaller) -> None:
        """Raise unless the caller belongs to the tenant, or guests may call.

        Raises:
            RequestRefused: with 403.

        """
        if caller.is_guest and not self.admits_guests:
            raise _forbidden("Guests of the tenant may not call: PROXY_ADMITS_GUESTS is false.")

    def check_route(self, caller: SignedInCaller, route: Route) -> None:
        """Raise unless one of the caller's roles lends the one that the route needs.

        Raises:
            RequestRefused: with 403; the message names the route and the roles that would do.

        """
        if route.role is None or self.lending_roles(route, caller.roles):
            return
        needed = " or ".join(sorted(self.lending_roles(route, self.caller_roles)))
        raise _forbidden(
            f"{route.method} {route.path} needs the app role {needed}, which you do not hold on"
            " the registration that you signed in to."
            if needed
            else f"PROXY_CALLER_ROLES lends nobody the role {route.role},"
            f" which {route.method} {route.path} needs."
        )

    def lending_roles(self, route: Route, roles: Collection[str]) -> list[str]:
        """Return those of the caller's roles that open the route."""
        return [role for role in roles if route.role in self.caller_roles.get(role, ())]


def check_forwarded(route: Route, *, forwards_writes: bool) -> None:
    """Raise unless the proxy forwards this at all, whoever asks.

    Raises:
        RequestRefused: with 403.

    """
    if route.method != "GET" and not forwards_writes:
        raise RequestRefused(
            f"The proxy only reads, and does not forward {route.method} {route.path}:"
            " PROXY_FORWARDS is read.",
            code="request_write_not_forwarded",
        )


def _forbidden(message: str) -> RequestRefused:
    return RequestRefused(message, code="request_caller_forbidden")
