"""Takes a deployment's steps in order, as far as this sign-in may, and says who must take the rest.

Nothing is remembered on this machine. Each step looks first at what its cloud has, and changes only
what differs, so a run that was killed is completed by the next one, and a further one changes
nothing. The order is fixed for one reason above all: an identity's tokens are kept for up to 24
hours, so the Function App must not start before its role is granted.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployment.bridge_file import Environment
from deployment.clouds import Clouds, Packages, Report, Stack, StackDeployment
from deployment.digests import (
    digest_in,
    digest_of,
    digest_of_module,
    is_as_released,
    release_of,
)
from deployment.errors import BusyError, DeploymentError, NotSignedIn, RightsMissing
from deployment.parameters.bicep_parameters import Layer, layer_parameters
from deployment.parameters.template_parameters import (
    KEPT,
    MANAGE_LOG_ROLE,
    PUBLIC_URL,
    RELEASE,
    TEMPLATE,
    TemplateParameter,
    public_url,
    stack_parameters,
)
from deployment.rollout_report import RolloutReport, RolloutReporter, Status, StepResult
from deployment.steps.all_steps import steps_of
from deployment.steps.aws_steps import (
    CAPABILITY,
    GITHUB_CAPABILITY,
    GITHUB_TEMPLATE,
    built_template,
    github_parameters,
)
from deployment.steps.step import Context, Step, StepId, Who
from deployment.values import Value
from shared.clock import Clock, SystemClock

_MOST_BUSY_SECONDS: Final = 900.0
"""How long a step waits for another deployment, such as one that a killed run has begun."""
_POLL_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Present:
    """What is known so far."""

    values: dict[Value, str] = field(default_factory=dict)
    packages: Packages | None = None
    stack: Stack | None = None
    registration_is_seen: bool = False
    """Whether we have looked ourselves at who is granted what."""
    absent: dict[Who, DeploymentError] = field(default_factory=dict)
    """Why nobody is signed in where this one would act."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One environment's deployment."""

    environment: Environment
    declared: Mapping[str, TemplateParameter]
    clouds: Clouds
    checkout: Path
    reporter: RolloutReporter
    again: bool = False
    """Whether the deploying steps run even where nothing differs."""
    until: StepId | None = None
    """The last step to take."""
    packages: str = ""
    """The folder of the release that is deployed; empty where the packages are built here."""
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> RolloutReport:
        """Return how each step ended. Only a bug is raised; everything else is in the report."""
        present = _Present()
        results: dict[StepId, StepResult] = {}
        has_failed = is_over = False
        for step in steps_of(self.environment):
            if is_over:
                break
            if has_failed:
                result = StepResult(step, Status.NOT_REACHED, "a step before it failed")
            else:
                self.reporter.started(step)
                result = self._take(step, results, present)
                self.reporter.ended(result)
            results[step.id] = result
            has_failed = has_failed or result.status is Status.FAILED
            is_over = step.id is self.until
        return RolloutReport(self.environment.name, tuple(results.values()), present.values)

    def _take(
        self, step: Step, results: Mapping[StepId, StepResult], present: _Present
    ) -> StepResult:
        blocking = [
            before
            for before in step.after
            if before in results
            and results[before].status is Status.WAITING
            # Who is missing in one cloud keeps nobody from working in the other.
            and before is not StepId.SIGN_IN
        ]
        lines = step.lines(self._context(present))
        if step.who in present.absent:
            error = present.absent[step.who]
            return StepResult(step, Status.WAITING, str(error), error.code, lines)
        if blocking:
            message = f"it needs what {' and '.join(blocking)} will have made"
            return StepResult(step, Status.WAITING, message, "step_waits", lines)
        try:
            return self._when_free(step, present)
        except (RightsMissing, NotSignedIn) as error:
            lines = step.lines(self._context(present))
            return StepResult(step, Status.WAITING, str(error), error.code, lines)
        except DeploymentError as error:
            return StepResult(step, Status.FAILED, str(error), error.code)

    def _when_free(self, step: Step, present: _Present) -> StepResult:
        """Take the step, again while somebody else deploys the same; it looks first each time."""
        give_up_at = self.clock.monotonic() + _MOST_BUSY_SECONDS
        has_told = False
        while True:
            try:
                return self._actions()[step.id](step, present)
            except BusyError as error:
                if self.clock.monotonic() >= give_up_at:
                    raise
                if not has_told:
                    self._said(
                        f"waiting, for {_MOST_BUSY_SECONDS / 60:.0f} minutes at most: {error}"
                    )
                    has_told = True
            self.sleep(_POLL_SECONDS)

    def _actions(self) -> Mapping[StepId, Callable[[Step, _Present], StepResult]]:
        return {
            StepId.SIGN_IN: self._sign_in,
            StepId.PACKAGES: self._packages,
            StepId.AZURE_FOUNDATION: self._foundation,
            StepId.AZURE_GITHUB: self._azure_github,
            StepId.ENTRA: self._entra,
            StepId.AWS_ACCOUNT: self._account,
            StepId.AWS_GITHUB: self._aws_github,
            StepId.AWS_STACK: self._stack,
            StepId.AWS_PUBLIC_URL: self._public_url,
            StepId.AZURE_APP: self._app,
            StepId.AZURE_PACKAGE: self._package,
            StepId.SMOKE: self._smoke,
        }

    def _context(self, present: _Present) -> Context:
        return Context.of(self.environment, present.values, self.declared, self.packages)

    @property
    def _said(self) -> Report:
        return self.reporter.said

    # --- one method a step -------------------------------------------------------------------

    def _sign_in(self, step: Step, present: _Present) -> StepResult:
        names = []
        for cloud, who, sign_in in (
            ("Azure", Who.AZURE_DEPLOYER, self.clouds.azure.sign_in),
            ("AWS", Who.AWS_DEPLOYER, self.clouds.aws.sign_in),
        ):
            try:
                names.append(f"{cloud}: {sign_in()}")
            except (NotSignedIn, RightsMissing) as error:
                present.absent[who] = error
                names.append(str(error))
        message = "; ".join(name.removesuffix(".") for name in names)
        if not present.absent:
            return StepResult(step, Status.UNCHANGED, message)
        first = next(iter(present.absent.values()))
        if len(present.absent) > 1:
            return StepResult(step, Status.FAILED, message, first.code)
        return StepResult(
            step, Status.WAITING, message, first.code, step.lines(self._context(present))
        )

    def _packages(self, step: Step, present: _Present) -> StepResult:
        present.packages = self.clouds.packages.build(self._said)
        came = f"taken from {self.packages}" if self.packages else "built"
        size = present.packages.function_app.stat().st_size / 1e6
        return StepResult(
            step, Status.UNCHANGED, f"{came}; the Function App's zip has {size:.1f} MB"
        )

    def _foundation(self, step: Step, present: _Present) -> StepResult:
        outputs, has_changed = self._layer(Layer.FOUNDATION, present)
        present.values |= {
            Value.IDENTITY_CLIENT_ID: _output(outputs, "identityClientId"),
            Value.IDENTITY_PRINCIPAL_ID: _output(outputs, "identityPrincipalId"),
            Value.SUBNET_ID: outputs.get("subnetId", ""),
        }
        identity = present.values[Value.IDENTITY_CLIENT_ID]
        return _layer_result(step, f"the identity is {identity}", has_changed=has_changed)

    def _entra(self, step: Step, present: _Present) -> StepResult:
        principal = present.values[Value.IDENTITY_PRINCIPAL_ID]
        told = self.environment.api_client_id
        try:
            found = self.clouds.entra.inspect(self.environment, principal)
        except (RightsMissing, NotSignedIn):
            if not told:
                raise
            present.values[Value.API_CLIENT_ID] = told
            return StepResult(
                step,
                Status.UNCHANGED,
                f"not looked at, because this sign-in may not; bridge.toml names {told}",
            )
        if told and found.api_client_id and told != found.api_client_id:
            raise DeploymentError(
                "api_client_id_differs",
                f"{self.environment.place('api_client_id')} is {told}, and the registration is"
                f" {found.api_client_id}: correct it, or take it out.",
            )
        if told and not found.api_client_id:
            raise DeploymentError(
                "api_client_id_gone",
                f"{self.environment.place('api_client_id')} is {told}, and there is no such"
                " registration: take it out, and write the new one there when it is made.",
            )
        differed, notices = found.differences, found.notices
        if differed:
            found = self.clouds.entra.apply(self.environment, principal, self._said)
        present.values[Value.API_CLIENT_ID] = found.api_client_id
        present.registration_is_seen = True
        message = "; ".join((f"the registration is {found.api_client_id}", *notices))
        return StepResult(step, Status.CHANGED if differed else Status.UNCHANGED, message)

    def _account(self, step: Step, present: _Present) -> StepResult:
        lacks = self.clouds.aws.lacks_log_role()
        stack = self.clouds.aws.find_stack(self._context(present).names.stack)
        # A stack that has set the role goes on saying so: role and setting are its own.
        manages = lacks or (stack is not None and stack.parameters.get(MANAGE_LOG_ROLE) == "true")
        present.values[Value.MANAGE_GATEWAY_LOG_ROLE] = "true" if manages else "false"
        if self.environment.github is not None:
            present.values[Value.GITHUB_PROVIDER] = self._github_provider(present)
        has = "the stack sets" if manages else "the account has"
        message = f"{has} the role that API Gateway writes logs with"
        return StepResult(step, Status.UNCHANGED, message)

    def _stack(self, step: Step, present: _Present) -> StepResult:
        context = self._context(present)
        stack = self.clouds.aws.find_stack(context.names.stack)
        digest = self._stack_digest(present)
        if stack is not None and not self.again:
            self._refuse_other_hands(stack, present)
        has_changed = self.again or stack is None or not _is_at(stack, digest)
        if has_changed:
            # What the challenge names stays until the next step sets it anew.
            known = "" if stack is None else stack.parameters.get(PUBLIC_URL, "")
            url = "" if self.environment.aws.custom_domain else known
            stack = self._deploy_stack(present, digest, url)
        assert stack is not None  # noqa: S101 - for the types: it was found or has been deployed
        present.stack = stack
        present.values[Value.DEFAULT_URL] = _output(stack.outputs, "DefaultUrl")
        message = f"the API is {public_url(self.environment, present.values)}"
        return StepResult(step, Status.CHANGED if has_changed else Status.UNCHANGED, message)

    def _public_url(self, step: Step, present: _Present) -> StepResult:
        url = public_url(self.environment, present.values)
        present.values[Value.API_URL] = url
        if self.environment.aws.custom_domain:
            return StepResult(step, Status.UNCHANGED, "its own domain was known from the start")
        stack = present.stack
        if stack is not None and stack.parameters.get(PUBLIC_URL) == url:
            return StepResult(step, Status.UNCHANGED, "the challenge of a 401 names it")
        present.stack = self._deploy_stack(present, self._stack_digest(present), url)
        return StepResult(step, Status.CHANGED, "the challenge of a 401 names it")

    def _app(self, step: Step, present: _Present) -> StepResult:
        if not present.registration_is_seen and self.clouds.azure.find_layer(Layer.APP) is None:
            raise RightsMissing(
                "roles_not_seen",
                "The Function App would start for the first time, and this sign-in cannot see"
                " whether its identity has been granted its role: an administrator must run this"
                " once, because a token without the role would be kept for 24 hours.",
            )
        outputs, has_changed = self._layer(Layer.APP, present)
        host = _output(outputs, "defaultHostName")
        present.values[Value.PROXY_URL] = host if "://" in host else f"https://{host}"
        message = f"the Function App is {present.values[Value.PROXY_URL]}"
        return _layer_result(step, message, has_changed=has_changed)

    def _package(self, step: Step, present: _Present) -> StepResult:
        assert present.packages is not None  # noqa: S101 - the step before has built them
        package = present.packages.function_app
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if not self.again and self.clouds.azure.find_package() == digest:
            return StepResult(step, Status.UNCHANGED, f"these bytes run ({digest[:12]})")
        self.clouds.azure.publish(package, digest, self._said)
        return StepResult(step, Status.CHANGED, f"published ({digest[:12]})")

    def _azure_github(self, step: Step, present: _Present) -> StepResult:
        outputs, has_changed = self._layer(Layer.GITHUB, present)
        client_id = _output(outputs, "githubClientId")
        return _layer_result(
            step, f"GitHub's variable AZURE_CLIENT_ID is {client_id}", has_changed=has_changed
        )

    def _aws_github(self, step: Step, present: _Present) -> StepResult:
        context = self._context(present)
        name = context.names.github_stack
        parameters = github_parameters(context)
        digest = digest_of((self.checkout / GITHUB_TEMPLATE).read_bytes(), parameters)
        stack = self.clouds.aws.find_stack(name)
        has_changed = self.again or stack is None or not stack.is_complete or stack.digest != digest
        if has_changed:
            deployment = StackDeployment(
                name, GITHUB_TEMPLATE, parameters, GITHUB_CAPABILITY, digest
            )
            stack = self.clouds.aws.deploy_stack(deployment, self._said)
        assert stack is not None  # noqa: S101 - for the types: it was found or has been deployed
        role = _output(stack.outputs, "DeployRoleArn")
        message = f"GitHub's variable AWS_ROLE_ARN is {role}"
        return StepResult(step, Status.CHANGED if has_changed else Status.UNCHANGED, message)

    def _github_provider(self, present: _Present) -> str:
        """Return the account's provider, unless this environment's stack is what made it."""
        stack = self.clouds.aws.find_stack(self._context(present).names.github_stack)
        if stack is not None:
            return stack.parameters.get("ProviderArn", "")
        return self.clouds.aws.github_provider()

    def _smoke(self, step: Step, present: _Present) -> StepResult:
        values = present.values
        found = self.clouds.smoke.run(
            values[Value.API_URL], values[Value.API_CLIENT_ID], values[Value.PROXY_URL], self._said
        )
        details, lets_others_in = found.findings, found.lets_others_in
        match found.exit_code:
            case 0:
                return StepResult(step, Status.UNCHANGED, found.summary)
            case 3:
                lines = step.lines(self._context(present))
                return StepResult(
                    step, Status.WAITING, found.summary, "smoke_blocked", lines, details
                )
            case _:
                code = "smoke_lets_others_in" if lets_others_in else "smoke_failed"
                return StepResult(
                    step, Status.FAILED, found.summary, code, (), details, lets_others_in
                )

    # --- what several steps do ---------------------------------------------------------------

    def _layer(self, layer: Layer, present: _Present) -> tuple[Mapping[str, str], bool]:
        """Return the layer's outputs, and whether it had to be deployed."""
        parameters = layer_parameters(layer, self.environment, present.values)
        digest = digest_of(digest_of_module(self.checkout / layer.module), parameters)
        deployed = self.clouds.azure.find_layer(layer)
        if deployed is not None and deployed.digest == digest and not self.again:
            return deployed.outputs, False
        return self.clouds.azure.deploy_layer(layer, parameters, digest, self._said), True

    def _stack_digest(self, present: _Present) -> str:
        assert present.packages is not None  # noqa: S101 - the step before has built them
        given = stack_parameters(self.environment, present.values, self.declared)
        # What the account had at the first deployment says nothing about what is deployed.
        del given[MANAGE_LOG_ROLE]
        template = (self.checkout / TEMPLATE).read_bytes()
        return digest_of(template, present.packages.bundles_digest, given)

    def _refuse_other_hands(self, stack: Stack, present: _Present) -> None:
        """Raise where we would take back what somebody has set by hand, as the runbook says to."""
        there = {
            name: value
            for name, value in stack.parameters.items()
            if name not in {PUBLIC_URL, RELEASE} | KEPT
        }
        if is_as_released(stack.parameters.get(RELEASE, ""), there):
            return
        given = stack_parameters(self.environment, present.values, self.declared)
        differing = sorted(name for name, value in there.items() if given.get(name) != value)
        if differing:
            raise DeploymentError(
                "aws_stack_changed_by_hand",
                "Somebody has given the stack parameters by hand, and bridge.toml says otherwise of"
                f" {', '.join(differing)}: write them there to keep them, or take them back by"
                " `bridge deploy --again`.",
            )

    def _deploy_stack(self, present: _Present, digest: str, url: str) -> Stack:
        context = self._context(present)
        given = stack_parameters(self.environment, present.values, self.declared)
        return self.clouds.aws.deploy_stack(
            StackDeployment(
                context.names.stack,
                built_template(context),
                given | {PUBLIC_URL: url, RELEASE: release_of(digest, given)},
                CAPABILITY,
            ),
            self._said,
        )


def _is_at(stack: Stack, digest: str) -> bool:
    return stack.is_complete and digest_in(stack.parameters.get(RELEASE, "")) == digest


def _output(outputs: Mapping[str, str], name: str) -> str:
    value = outputs.get(name)
    if not value:
        raise DeploymentError(
            "output_missing", f"What was deployed has no output {name}: was it deployed from here?"
        )
    return value


def _layer_result(step: Step, message: str, *, has_changed: bool) -> StepResult:
    return StepResult(step, Status.CHANGED if has_changed else Status.UNCHANGED, message)
