"""Does what a plan says, step by step. Each step can be done again, so a killed run goes on."""

from collections.abc import Callable

from deployment.entra.changes import API_CLIENT_ID, Call, Changes, Lookup, fill_in
from deployment.entra.errors import GraphError
from deployment.entra.graph_client import GraphClient, Waiting


def apply_changes(
    graph: GraphClient, changes: Changes, report: Callable[[str], None] = lambda _: None
) -> str:
    """Change what differs, and return the API's client ID.

    Raises:
        GraphError: Graph does not do a step; those before it stay done.

    """
    known = dict(changes.known or {})
    for step in changes.steps:
        report(step.purpose)
        path = fill_in(step.path, known)
        match step:
            case Lookup():
                answer = graph.get(path, {"$select": step.field}, waiting=Waiting.OBJECT)
                if not isinstance(answer.get(step.field), str):
                    raise GraphError(
                        "graph_answer_unreadable", f"Graph's answer to {path} has no {step.field}."
                    )
                known[step.variable] = answer[step.field]
            case Call(method="PATCH"):
                graph.patch(path, step.body, creates=step.creates, waiting=step.waiting)
            case _:
                graph.post_once(path, step.filled_body(known), waiting=step.waiting)
    return known.get(API_CLIENT_ID, "")
