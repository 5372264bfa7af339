"""Every `sam` line of a deployment, and the `aws` lines that do by hand what we do by boto3."""

from deployment.bridge_file import Environment
from deployment.lines.line import Line
from deployment.parameters.template_parameters import TEMPLATE

DIGEST_TAG = "bridge-digest"
"""The tag of a stack that says what it was deployed from, where no parameter does."""


def _of(environment: Environment) -> tuple[str, ...]:
    profile = ("--profile", environment.aws.profile) if environment.aws.profile else ()
    return ("--region", environment.aws.region, *profile)


def caller_identity(environment: Environment) -> Line:
    """Return the line that says who is signed in to which account."""
    return Line(
        ("aws", "sts", "get-caller-identity", *_of(environment), "--output", "json"),
        is_equivalent=True,
    )


def preflight(environment: Environment) -> Line:
    """Return the line that says whether API Gateway has a role to write logs with."""
    return Line(("bridge", "preflight", *_of(environment), "--json"), is_equivalent=True)


def build(environment: Environment, folder: str, *, packages: str = "") -> Line:
    """Return the line that builds every function of the template into the folder.

    With `packages`, the folder of a release, the functions' bundles are taken from there.
    """
    return Line(
        (
            *("sam", "build", "--template-file", TEMPLATE, "--build-dir", folder),
            "--build-in-source",
        ),
        variables={
            # The authorizer's bundle then carries the tenant's key set.
            "ENTRA_TENANT_ID": environment.entra.tenant_id,
            "ENTRA_CLOUD": environment.entra.cloud,
            "ARCHITECTURE": environment.aws.architecture,
            **({"BRIDGE_PACKAGES": packages} if packages else {}),
        },
    )


def deploy(
    environment: Environment,
    stack: str,
    template: str,
    parameters: str,
    *,
    capability: str,
    digest: str = "",
) -> Line:
    """Return the line that creates or updates a stack with the parameters of a YAML file."""
    tags = ("--tags", f"{DIGEST_TAG}={digest}") if digest else ()
    return Line(
        (
            *("sam", "deploy", "--stack-name", stack, "--template-file", template),
            *("--parameter-overrides", f"file://{parameters}"),
            *("--capabilities", capability, "--resolve-s3", "--s3-prefix", stack),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *tags,
            *_of(environment),
        )
    )
