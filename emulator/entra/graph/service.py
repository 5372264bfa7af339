"""Graph's answers: applications, service principals and the assignment of app roles."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

from emulator.entra.errors import GraphRefusal
from emulator.entra.graph import rights
from emulator.entra.graph.applications import (
    check_application,
    make_application,
    show_application,
    update_application,
)
from emulator.entra.graph.assignments import assign_role
from emulator.entra.graph.query import answer_list, select
from emulator.entra.issuer import Issuer
from emulator.entra.tenant_store import GraphObject, Objects, TenantStore
from shared.clock import Clock

_PAGE_SIZE: Final = 100
_TARGET: Final = re.compile(
    r"/v1\.0/(?P<kind>applications|servicePrincipals|users|directoryObjects)"
    r"(?:/(?P<id>[^/()]+)|\((?P<key>\w+)='(?P<value>(?:[^']|'')*)'\))?"
    r"(?:/(?P<assigned>appRoleAssignedTo)(?:/(?P<assignment>[^/]+))?)?"
)
_KEYS: Final = {"applications": ("appId", "uniqueName"), "servicePrincipals": ("appId",)}
_CREATE_IF_MISSING: Final = "create-if-missing"


class GraphRequest(NamedTuple):
    """What a client asks."""

    method: str
    path: str
    """Decoded, from `/v1.0` on."""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    """By their names in lower case."""
    body: bytes = b""
    origin: str = ""
    """Scheme, host and port that were asked; links to further pages begin with it."""


class GraphAnswer(NamedTuple):
    """What it gets."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}


class _Target(NamedTuple):
    kind: str
    key: str
    """The field that finds the object, or nothing where all are meant."""
    value: str
    is_assigned_to: bool
    assignment_id: str


@dataclass(slots=True)
class Graph:
    """Microsoft Graph of one tenant."""

    store: TenantStore
    issuer: Issuer
    clock: Clock
    page_size: int = _PAGE_SIZE
    _trouble: list[GraphAnswer] = field(default_factory=list)

    def refuse_next(
        self, refusal: GraphRefusal, requests: int = 1, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer that many requests with the refusal, without doing anything."""
        self._trouble += [self._refuse(refusal, headers)] * requests

    def throttle_next(self, requests: int, retry_after: int | None = 1) -> None:
        """Answer that many requests with 429, which say to come back after these seconds."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.refuse_next(
            GraphRefusal(429, "TooManyRequests", "Too many requests."), requests, headers
        )

    def fail_next(self, requests: int, status: int = 503) -> None:
        """Answer that many requests with the status of a fault, without doing anything."""
        refusal = GraphRefusal(status, "serviceNotAvailable", "The service is not available.")
        self.refuse_next(refusal, requests)

    def answer(self, request: GraphRequest) -> GraphAnswer:
        """Do what the request asks for, and return the answer."""
        if self._trouble:
            return self._trouble.pop(0)
        try:
            return self._answer(request)
        except GraphRefusal as refusal:
            return self._refuse(refusal)

    def _refuse(
        self, refusal: GraphRefusal, headers: Mapping[str, str] | None = None
    ) -> GraphAnswer:
        now = datetime.fromtimestamp(self.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        error: dict[str, Any] = {
            "code": refusal.code,
            "message": refusal.message,
            "innerError": {"date": now, "request-id": str(uuid4())},
        }
        if refusal.detail:
            error["details"] = [{"code": refusal.detail, "message": refusal.message}]
        return GraphAnswer(refusal.status, {"error": error}, headers or {})

    def _answer(self, request: GraphRequest) -> GraphAnswer:
        tenant_id = self.store.base.tenant_id
        authorization = request.headers.get("authorization", "")
        granted = rights.read_rights(authorization, self.issuer, self.clock, tenant_id)
        target = _parse_target(request.path)
        if target.is_assigned_to:
            return self._answer_assigned_to(request, target, granted)
        if target.kind in ("users", "directoryObjects"):
            return self._answer_users(request, target, granted)
        objects, make = self._kind(target.kind)
        match request.method:
            case "GET":
                rights.require(granted, rights.READERS)
                found = objects.seen()
                if target.kind == "applications":
                    found = [show_application(entry) for entry in found]
                return self._read(request, target, found)
            case "POST" if not target.key:
                rights.require(granted, rights.WRITERS)
                made = make(_parse_body(request.body), "")
                objects.put(made)
                return GraphAnswer(201, made)
            case "PATCH" if target.key:
                rights.require(granted, rights.WRITERS)
                return self._update(request, target)
            case _:
                raise _not_allowed(request)

    def _kind(self, kind: str) -> tuple[Objects, Callable[[Mapping[str, Any], str], GraphObject]]:
        if kind == "applications":
            return self.store.applications, self._make_application
        return self.store.service_principals, self._make_service_principal

    def _read(
        self, request: GraphRequest, target: _Target, objects: Sequence[GraphObject]
    ) -> GraphAnswer:
        if not target.key:
            url = f"{request.origin}{request.path}"
            return GraphAnswer(200, answer_list(objects, request.query, url, self.page_size))
        return GraphAnswer(200, select(_find(objects, target), request.query))

    def _update(self, request: GraphRequest, target: _Target) -> GraphAnswer:
        objects, make = self._kind(target.kind)
        body = _parse_body(request.body)
        by_name = target.key in _KEYS[target.kind]
        if by_name and request.headers.get("prefer", "") == _CREATE_IF_MISSING:
            # The name is unique at once, seen or not.
            known = [entry for entry in objects.newest() if entry[target.key] == target.value]
            if not known:
                made = make(body, target.value)
                objects.put(made)
                return GraphAnswer(201, made)
            object_id = known[0]["id"]
        else:
            object_id = _find(objects.seen(), target)["id"]
        newest = objects.find_newest(object_id)
        if newest is None:
            raise _not_found(target.value)
        if target.kind == "applications":
            updated = update_application(newest, body)
            check_application(updated, objects.newest())
        else:
            updated = {**newest, **body, "id": newest["id"], "appId": newest["appId"]}
        objects.put(updated)
        return GraphAnswer(204)

    def _make_application(self, body: Mapping[str, Any], unique_name: str) -> GraphObject:
        made = make_application(body, unique_name)
        check_application(made, self.store.applications.newest())
        return made

    def _make_service_principal(self, body: Mapping[str, Any], app_id: str) -> GraphObject:
        app_id = app_id or str(body.get("appId", ""))
        application = next(
            (found for found in self.store.applications.seen() if found["appId"] == app_id), None
        )
        if application is None:
            raise GraphRefusal(
                400,
                "Request_BadRequest",
                f"The appId '{app_id}' of the service principal does not reference a valid "
                "application object.",
                detail="NoBackingApplicationObject",
            )
        if any(found["appId"] == app_id for found in self.store.service_principals.newest()):
            raise GraphRefusal(
                409,
                "Request_MultipleObjectsWithSameKeyValue",
                "The service principal cannot be created, updated, or restored because the service "
                f"principal name {app_id} is already in use.",
            )
        return {
            "displayName": application["displayName"],
            "appRoleAssignmentRequired": False,
            **body,
            "id": str(uuid4()),
            "appId": app_id,
            "servicePrincipalType": "Application",
        }

    def _answer_assigned_to(
        self, request: GraphRequest, target: _Target, granted: frozenset[str]
    ) -> GraphAnswer:
        resource = _find(self.store.service_principals.seen(), target)
        assigned = [
            entry
            for entry in self.store.assignments.seen()
            if entry["resourceId"] == resource["id"]
        ]
        match request.method:
            case "GET":
                rights.require(granted, rights.READERS)
                url = f"{request.origin}{request.path}"
                return GraphAnswer(200, answer_list(assigned, request.query, url, self.page_size))
            case "POST":
                rights.require(granted, {rights.ASSIGN_ROLES}, rights.READERS)
                return GraphAnswer(
                    201, assign_role(self.store, resource, _parse_body(request.body))
                )
            case "DELETE" if target.assignment_id:
                rights.require(granted, {rights.ASSIGN_ROLES})
                if self.store.assignments.find_newest(target.assignment_id) is None:
                    raise _not_found(target.assignment_id)
                self.store.assignments.remove(target.assignment_id)
                return GraphAnswer(204)
            case _:
                raise _not_allowed(request)

    def _answer_users(
        self, request: GraphRequest, target: _Target, granted: frozenset[str]
    ) -> GraphAnswer:
        if request.method != "GET" or not target.key:
            raise _not_allowed(request)
        if target.kind == "users":
            rights.require(granted, rights.USER_READERS)
            return self._read(request, target, self.store.users.seen())
        rights.require(granted, rights.DIRECTORY_READERS)
        kinds = {"#microsoft.graph.user": self.store.users.seen()}
        kinds["#microsoft.graph.servicePrincipal"] = self.store.service_principals.seen()
        typed = [
            {"@odata.type": kind, **entry} for kind, entries in kinds.items() for entry in entries
        ]
        return self._read(request, target, typed)


def _parse_target(path: str) -> _Target:
    found = _TARGET.fullmatch(path)
    if found is None or (found["assigned"] and found["kind"] != "servicePrincipals"):
        raise GraphRefusal(
            400, "BadRequest", f"Resource not found for the segment '{path.rsplit('/', 1)[-1]}'."
        )
    key, value = "id", found["id"] or ""
    if found["key"]:
        key, value = found["key"], found["value"].replace("''", "'")
        if key not in _KEYS.get(found["kind"], ()):
            raise GraphRefusal(400, "BadRequest", f"'{key}' is no alternate key.")
    return _Target(
        found["kind"],
        key if value else "",
        value,
        is_assigned_to=bool(found["assigned"]),
        assignment_id=found["assignment"] or "",
    )


def _parse_body(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise GraphRefusal(400, "BadRequest", "Unable to read JSON request payload.")
    return parsed


def _find(objects: Sequence[GraphObject], target: _Target) -> GraphObject:
    for entry in objects:
        if entry.get(target.key) == target.value:
            return entry
    raise _not_found(target.value)


def _not_found(value: str) -> GraphRefusal:
    return GraphRefusal(
        404,
        "Request_ResourceNotFound",
        f"Resource '{value}' does not exist or one of its queried reference-property objects are "
        "not present.",
    )


def _not_allowed(request: GraphRequest) -> GraphRefusal:
    return GraphRefusal(
        405, "Request_BadRequest", f"{request.method} is not supported for this resource."
    )
