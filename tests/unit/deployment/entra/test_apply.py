"""The plan, done against a directory that is slow, busy, or refuses."""

import pytest

from deployment.entra.apply import apply_changes
from deployment.entra.changes import API_CLIENT_ID, Changes, Lookup
from deployment.entra.errors import GraphError
from deployment.entra.plan import plan_entra
from emulator.entra.errors import GraphRefusal
from emulator.entra.graph.rights import ASSIGN_ROLES, WRITE_APPLICATIONS
from tests.support.graph import APP_ID_URI, Tenant, wanted_registration


def test_when_everything_new_is_seen_late_then_it_waits_and_completes() -> None:
    """Half a minute between a change and its being seen, at every step."""
    tenant = Tenant(replication_delay=30.0)
    identity = tenant.store.add_managed_identity("id").object_id
    wanted = wanted_registration(
        identity_principal_id=identity, developers=(tenant.store.add_user("Dana"),)
    )
    client = tenant.client()

    apply_changes(client, plan_entra(client, wanted))

    assert tenant.waits
    tenant.clock.advance(30.0)
    assert plan_entra(tenant.client(), wanted).is_empty


def test_when_it_runs_again_before_the_first_run_is_seen_then_nothing_is_there_twice() -> None:
    """A person does not wait: two applications of one name would be the worst of ends."""
    tenant = Tenant(replication_delay=30.0)
    identity = tenant.store.add_managed_identity("id").object_id
    wanted = wanted_registration(identity_principal_id=identity)
    for _ in range(2):
        client = tenant.client()
        apply_changes(client, plan_entra(client, wanted))

    tenant.clock.advance(60.0)

    assert 1 == len(tenant.store.applications.newest())
    assert 2 == len(tenant.store.service_principals.newest())
    assert 1 == len(tenant.store.assignments.newest())
    assert plan_entra(tenant.client(), wanted).is_empty


def test_when_graph_is_busy_and_faulty_between_then_it_completes() -> None:
    """Throttled and failing at each step in turn."""
    tenant = Tenant()
    identity = tenant.store.add_managed_identity("id").object_id
    wanted = wanted_registration(identity_principal_id=identity)
    client = tenant.client()
    changes = plan_entra(client, wanted)

    def disturb(_purpose: str) -> None:
        tenant.graph.throttle_next(1, retry_after=2)
        tenant.graph.fail_next(1)

    apply_changes(client, changes, disturb)

    assert plan_entra(tenant.client(), wanted).is_empty


def test_when_roles_may_not_be_assigned_then_the_registration_stays_and_the_right_is_named() -> (
    None
):
    """An application developer does the first part; who may assign roles, the rest."""
    tenant = Tenant()
    identity = tenant.store.add_managed_identity("id").object_id
    wanted = wanted_registration(identity_principal_id=identity)
    client = tenant.client(rights=[WRITE_APPLICATIONS])

    with pytest.raises(GraphError, match=ASSIGN_ROLES) as failed:
        apply_changes(client, plan_entra(client, wanted))

    assert "graph_right_missing" == failed.value.code
    rest = plan_entra(tenant.client(), wanted)
    assert ["appRoleAssignments[Records.Read]"] == [d.field for d in rest.differences]


def test_when_assignment_comes_last_then_no_token_was_to_be_had_before() -> None:
    """The service principal is made with assignment required, never without for a moment."""
    tenant = Tenant()
    client = tenant.client()
    changes = plan_entra(client, wanted_registration())

    def check(_purpose: str) -> None:
        api = tenant.store.directory.find_api(APP_ID_URI)
        assert api is None or api.is_assignment_required

    apply_changes(client, changes, check)
    check("at the end")

    assert tenant.store.directory.find_api(APP_ID_URI)


def test_when_graph_shows_no_id_then_it_does_not_go_on_without() -> None:
    """What stands in a later address must be there."""
    tenant = Tenant()
    identity = tenant.store.add_managed_identity("id")
    lookup = Lookup("look", API_CLIENT_ID, f"/servicePrincipals/{identity.object_id}", "nickname")

    with pytest.raises(GraphError, match="nickname"):
        apply_changes(tenant.client(), Changes((), (lookup,)))


@pytest.mark.parametrize(
    ("purpose", "status", "message"),
    [
        ("Find the client ID", 404, "Resource 'x' does not exist or one of its queried reference"),
        ("Let developers", 404, "Resource 'x' does not exist or one of its queried reference"),
        ("Let developers", 400, "a Permission Id that cannot be found in the AppPermissions sets."),
        ("Let nobody", 400, "The appId 'x' does not reference a valid application object."),
        (
            "Let nobody",
            403,
            (
                "When using this permission, the backing application of the service principal"
                " being created must in the local tenant"
            ),
        ),
        ("Find the API's", 404, "Resource 'x' does not exist or one of its queried reference"),
        ("Assign", 400, "Not a valid reference update."),
        ("Assign", 400, "Permission being assigned was not found on application"),
    ],
)
def test_when_a_replica_does_not_know_yet_what_another_one_did_then_the_step_waits(
    purpose: str, status: int, message: str
) -> None:
    """What one request has seen, the next one may not see."""
    tenant = Tenant()
    wanted = wanted_registration(
        identity_principal_id=tenant.store.add_managed_identity("id").object_id,
        developers=(tenant.store.add_user("Dana"),),
    )
    client = tenant.client()

    def disturb(step: str) -> None:
        if step.startswith(purpose):
            tenant.graph.refuse_next(GraphRefusal(status, "Request_BadRequest", message))

    apply_changes(client, plan_entra(client, wanted), disturb)

    assert tenant.waits
    assert plan_entra(tenant.client(), wanted).is_empty
