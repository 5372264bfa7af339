"""What a deployment would do, in order, without a sign-in and without a network."""

from collections.abc import Mapping
from typing import Any

from deployment.bridge_file import Environment
from deployment.lines.line import Line
from deployment.parameters.template_parameters import TemplateParameter
from deployment.steps.all_steps import steps_of
from deployment.steps.step import Context, Step, StepId
from deployment.values import Value, Values


def plan_of(
    environment: Environment,
    declared: Mapping[str, TemplateParameter],
    values: Values,
    packages: str = "",
) -> list[dict[str, Any]]:
    """Return each step with its files and lines as JSON can hold it.

    What only an earlier step knows stands as a placeholder, unless `values` has it. `packages` is
    the folder of a release to deploy, if there is one.
    """
    context = Context.of(environment, values, declared, packages)
    steps = steps_of(environment)
    taken = {step.id for step in steps}
    return [_step_to_json(step, context, taken) for step in steps]


def known_values(environment: Environment) -> Values:
    """Return what is known of the environment before anything is deployed."""
    values = {}
    if environment.aws.custom_domain:
        values[Value.API_URL] = f"https://{environment.aws.custom_domain}"
    if environment.api_client_id:
        values[Value.API_CLIENT_ID] = environment.api_client_id
    return values


def lines_of(
    environment: Environment, declared: Mapping[str, TemplateParameter], values: Values
) -> list[Line]:
    """Return every line of the plan, in order."""
    context = Context.of(environment, values, declared)
    return [line for step in steps_of(environment) for line in step.lines(context)]


def _step_to_json(step: Step, context: Context, taken: set[StepId]) -> dict[str, Any]:
    return {
        "id": step.id.value,
        "title": step.title,
        "who": step.who.value,
        "rights": step.rights,
        "changes": step.changes,
        "leaves": step.leaves,
        "after": [before.value for before in step.after if before in taken],
        "needs": [value.value for value in step.needs],
        "gives": [value.value for value in step.gives],
        "files": [{"path": file.path, "content": file.content} for file in step.files(context)],
        "commands": [
            {
                "argv": list(line.argv),
                "environment": dict(line.variables),
                "is_equivalent": line.is_equivalent,
            }
            for line in step.lines(context)
        ],
    }
