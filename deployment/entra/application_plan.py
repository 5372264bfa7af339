"""Compares the application object with the wanted one: its fields, app roles, scopes, clients."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployment.entra.changes import API_CLIENT_ID, Call, Lookup
from deployment.entra.draft import Draft
from deployment.entra.entitlements import (
    Transition,
    describe,
    plan_roles,
    plan_scopes,
    writable,
)
from deployment.entra.graph_client import Waiting
from deployment.entra.registration import (
    AZURE_CLI_CLIENT_ID,
    IDENTITY_TYPE_CLAIM,
    SIGN_IN_AUDIENCE,
    WantedRegistration,
)
from shared.routes import Role

type GraphObject = Mapping[str, Any]


def plan_application(draft: Draft, found: GraphObject) -> Sequence[GraphObject]:
    """Plan the application, and return the app roles that it will have."""
    wanted = draft.wanted
    api = found.get("api") or {}
    found_roles = writable(found.get("appRoles") or [])
    found_scopes = writable(api.get("oauth2PermissionScopes") or [])
    roles = plan_roles(found_roles, wanted)
    scopes = plan_scopes(found_scopes, wanted)
    pre_authorized = api.get("preAuthorizedApplications") or []
    # Who is pre-authorized for a scope that goes must go first, and for one that comes, come last.
    remaining = _without_scopes(pre_authorized, found_scopes, scopes)
    final_applications = _merge_pre_authorized(remaining, scopes, wanted)

    body = _plain_fields(draft, found)
    version = wanted.token_version
    is_new_version = draft.compare(
        "application",
        "api.requestedAccessTokenVersion",
        api.get("requestedAccessTokenVersion"),
        version,
    )
    _compare_entitlements(draft, "appRoles", found_roles, roles)
    _compare_entitlements(draft, "api.oauth2PermissionScopes", found_scopes, scopes)
    draft.compare(
        "application",
        "api.preAuthorizedApplications",
        _describe_applications(pre_authorized),
        _describe_applications(final_applications),
    )

    final_api = {
        **api,
        "requestedAccessTokenVersion": version,
        "oauth2PermissionScopes": scopes.final,
        "preAuthorizedApplications": remaining,
    }
    disabled = (*roles.disabled, *scopes.disabled)
    if disabled:
        first_api = {**api, "oauth2PermissionScopes": scopes.first}
        first: dict[str, Any] = {"api": {**first_api, "preAuthorizedApplications": remaining}}
        if roles.disabled:
            first["appRoles"] = roles.first
        what = ", ".join(disabled)
        _add_application_call(draft, found, f"Disable what changes or goes: {what}", first)
    if roles.final != found_roles:
        body["appRoles"] = roles.final
    if is_new_version or scopes.final != found_scopes:
        body["api"] = final_api
    if body:
        verb = "Change" if found else "Register"
        _add_application_call(
            draft, found, f"{verb} the API", body, waits_for_disabled=bool(disabled)
        )
    if found:
        draft.known[API_CLIENT_ID] = found["appId"]
        if is_new_version:
            draft.notices.append(
                "Tokens that were issued before keep their version, for up to a day: let the"
                " authorizer accept both until then (ACCEPTED_TOKEN_VERSIONS=1.0,2.0)."
            )
    else:
        draft.steps.append(
            Lookup(
                "Find the client ID that Entra ID gave the API",
                API_CLIENT_ID,
                f"/applications(uniqueName='{wanted.name}')",
                "appId",
            )
        )
    if final_applications != remaining:
        last = {"api": {**final_api, "preAuthorizedApplications": final_applications}}
        _add_application_call(
            draft, found, "Let developers' Azure CLI in without consent", last, is_last=True
        )
    _note_what_stays(draft, roles, scopes)
    return roles.final


def _plain_fields(draft: Draft, found: GraphObject) -> dict[str, Any]:
    """Return what to write of the fields that need no order."""
    wanted = draft.wanted
    uris = [*(found.get("identifierUris") or [])]
    claims = found.get("optionalClaims") or {}
    access = claims.get("accessToken") or []
    has_claim = any(claim["name"] == IDENTITY_TYPE_CLAIM for claim in access)
    if extra := [uri for uri in uris if uri != wanted.app_id_uri]:
        draft.notices.append(f"The application has further URIs, left as they are: {extra}.")
    fields = {
        "uniqueName": wanted.name,
        "displayName": wanted.name,
        "signInAudience": SIGN_IN_AUDIENCE,
        "identifierUris": uris if wanted.app_id_uri in uris else [*uris, wanted.app_id_uri],
    }
    body: dict[str, Any] = {
        name: value
        for name, value in fields.items()
        if draft.compare("application", name, found.get(name), value)
    }
    if not has_claim:
        names = [claim["name"] for claim in access]
        draft.compare(
            "application", "optionalClaims.accessToken", names, [*names, IDENTITY_TYPE_CLAIM]
        )
        added = {"name": IDENTITY_TYPE_CLAIM, "essential": False, "additionalProperties": []}
        body["optionalClaims"] = {**claims, "accessToken": [*access, added]}
    if not found:
        # The key of the address says it, and Graph writes it.
        body.pop("uniqueName", None)
    return body


def _add_application_call(
    draft: Draft,
    found: GraphObject,
    purpose: str,
    body: Mapping[str, Any],
    *,
    waits_for_disabled: bool = False,
    is_last: bool = False,
) -> None:
    waiting = Waiting.NOTHING
    if is_last:
        waiting = Waiting.SCOPE
    elif waits_for_disabled:
        waiting = Waiting.DISABLED
    by_name = f"/applications(uniqueName='{draft.wanted.name}')"
    path = f"/applications/{found['id']}" if found else by_name
    creates = not found and not is_last
    draft.steps.append(Call(purpose, "PATCH", path, body, creates=creates, waiting=waiting))


def _compare_entitlements(
    draft: Draft, name: str, found: Sequence[GraphObject], transition: Transition
) -> None:
    before = {entry["value"]: entry for entry in found}
    after = {entry["value"]: entry for entry in transition.final}
    for value in {**before, **after}:
        draft.compare(
            "application",
            f"{name}[{value}]",
            describe(before.get(value)),
            describe(after.get(value)),
        )


def _without_scopes(
    applications: Sequence[GraphObject], found: Sequence[GraphObject], scopes: Transition
) -> list[GraphObject]:
    """Return the pre-authorized applications without the scopes that go."""
    going = {scope["id"] for scope in found} - {scope["id"] for scope in scopes.final}
    remaining = [
        {
            **entry,
            "delegatedPermissionIds": [
                scope_id for scope_id in entry["delegatedPermissionIds"] if scope_id not in going
            ],
        }
        for entry in applications
    ]
    return [entry for entry in remaining if entry["delegatedPermissionIds"]]


def _merge_pre_authorized(
    remaining: Sequence[GraphObject], scopes: Transition, wanted: WantedRegistration
) -> list[GraphObject]:
    """Return the pre-authorized applications with ours added, and the others as they are."""
    # A scope that was there under its value keeps its ID.
    final_ids = {scope["value"]: scope["id"] for scope in scopes.final}
    ours = {
        entry["appId"]: [final_ids[scope["value"]] for scope in wanted.scopes()]
        for entry in wanted.pre_authorized_applications()
    }
    merged: list[GraphObject] = []
    for entry in remaining:
        there = entry["delegatedPermissionIds"]
        added = [scope for scope in ours.pop(entry["appId"], ()) if scope not in there]
        merged.append({**entry, "delegatedPermissionIds": [*there, *added]})
    merged += [
        {"appId": app_id, "delegatedPermissionIds": scope_ids} for app_id, scope_ids in ours.items()
    ]
    return merged


def _describe_applications(entries: Sequence[GraphObject]) -> dict[str, list[str]]:
    return {
        "Azure CLI" if entry["appId"] == AZURE_CLI_CLIENT_ID else entry["appId"]: sorted(
            entry["delegatedPermissionIds"]
        )
        for entry in entries
    }


def _note_what_stays(draft: Draft, roles: Transition, scopes: Transition) -> None:
    if live := sorted({*roles.disabled} & {*Role}):
        draft.notices.append(
            f"{', '.join(live)} is disabled for a moment, because Graph changes no enabled role. A"
            " token that is issued meanwhile lacks it, and Azure keeps an identity's token for a"
            " day: stop the Function App first."
        )
    for kind, transition in (("app role", roles), ("scope", scopes)):
        draft.notices += [
            f"The {kind} {value} is not in the code and was not made by it: left as it is."
            for value in transition.foreign
        ]
