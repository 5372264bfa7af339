"""Every step of a deployment, in the order in which they are taken."""

from typing import Final

from deployment.bridge_file import Environment
from deployment.lines import azure_lines, sam_lines
from deployment.lines.line import Line
from deployment.steps import aws_steps, azure_steps
from deployment.steps.step import Context, Step, StepId, Who
from deployment.values import Value

_BUNDLING: Final = (".venv/bin/python", "-m", "bundling")


def smoke_line(context: Context) -> Line:
    """Return the line that tries what was deployed."""
    return Line(("bridge", "smoke", "--env", context.environment.name), is_equivalent=True)


def bundle_line(context: Context, *, is_local: bool = False) -> Line:
    """Return the line that builds or takes the Function App's zip, for Azure or this machine."""
    local = ("--local",) if is_local else ()
    taken = ("--from", context.packages) if context.packages else ()
    return Line((*_BUNDLING, "FunctionApp", context.folder, "--zip", *local, *taken))


def build_line(context: Context) -> Line:
    """Return the line that leaves the template and the Lambdas' bundles for `sam deploy`."""
    folder = aws_steps.build_folder(context)
    return sam_lines.build(context.environment, folder, packages=context.packages)


def check_line(context: Context) -> Line:
    """Return the line that fails unless what `sam build` left is for the functions' processor."""
    return Line(
        (
            *(*_BUNDLING, "check", aws_steps.build_folder(context)),
            *("--architecture", context.environment.aws.architecture),
        )
    )


SIGN_IN: Final = Step(
    StepId.SIGN_IN,
    "Who is signed in, and where",
    Who.EVERYBODY,
    "`az login --tenant <tenant>`; `aws sso login`, or what signs you in to AWS",
    "nothing",
    "nothing",
    after=(),
    lines=lambda context: (
        azure_lines.account_show(context.environment),
        sam_lines.caller_identity(context.environment),
    ),
)
PACKAGES: Final = Step(
    StepId.PACKAGES,
    "What each cloud gets",
    Who.MACHINE,
    "none",
    "files on this machine",
    "the Function App's zip and the Lambdas' bundles in .bridge/deploy/<environment>/",
    after=(),
    lines=lambda context: (
        bundle_line(context),
        build_line(context),
        check_line(context),
    ),
)
SMOKE: Final = Step(
    StepId.SMOKE,
    "Does it let in whom it must, and nobody else?",
    Who.DEVELOPER,
    "an object ID in `developers`; to list the Function App's keys, Website Contributor",
    "nothing that stays: it starts one run of the sync",
    "nothing",
    after=(StepId.AWS_PUBLIC_URL, StepId.AZURE_PACKAGE),
    needs=(Value.API_URL, Value.API_CLIENT_ID, Value.PROXY_URL),
    lines=lambda context: (smoke_line(context),),
)

STEPS: Final = (
    SIGN_IN,
    PACKAGES,
    azure_steps.FOUNDATION,
    azure_steps.GITHUB,
    azure_steps.ENTRA,
    aws_steps.ACCOUNT,
    aws_steps.GITHUB,
    aws_steps.STACK,
    aws_steps.PUBLIC_ADDRESS,
    azure_steps.APP,
    azure_steps.PACKAGE,
    SMOKE,
)
"""Every step, GitHub's among them."""


def steps_of(environment: Environment) -> tuple[Step, ...]:
    """Return the environment's steps: GitHub's only where bridge.toml names a repository."""
    return tuple(step for step in STEPS if environment.github or not step.only_with_github)
