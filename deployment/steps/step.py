"""What one step of a deployment is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from deployment.bridge_file import Environment
from deployment.lines.line import Line, PlannedFile
from deployment.names import Names, names_of
from deployment.parameters.template_parameters import TemplateParameter
from deployment.values import Value, Values


class StepId(StrEnum):
    """The steps' stable names, in the order in which they are taken."""

    SIGN_IN = "sign-in"
    PACKAGES = "packages"
    AZURE_FOUNDATION = "azure-foundation"
    AZURE_GITHUB = "azure-github"
    ENTRA = "entra"
    AWS_ACCOUNT = "aws-account"
    AWS_GITHUB = "aws-github"
    AWS_STACK = "aws-stack"
    AWS_PUBLIC_URL = "aws-public-url"
    AZURE_APP = "azure-app"
    AZURE_PACKAGE = "azure-package"
    SMOKE = "smoke"


class Who(StrEnum):
    """Who takes a step."""

    EVERYBODY = "everybody"
    MACHINE = "this machine"
    AZURE_DEPLOYER = "Azure deployer"
    ENTRA_ADMINISTRATOR = "Entra administrator"
    AWS_DEPLOYER = "AWS deployer"
    DEVELOPER = "a named developer"


@dataclass(frozen=True, slots=True)
class Context:
    """What a step's lines and files are made from."""

    environment: Environment
    names: Names
    values: Values
    declared: Mapping[str, TemplateParameter]
    """The stack's parameters as the template declares them."""
    packages: str = ""
    """The folder of a release whose packages are deployed; empty where they are built here."""

    @classmethod
    def of(
        cls,
        environment: Environment,
        values: Values,
        declared: Mapping[str, TemplateParameter],
        packages: str = "",
    ) -> "Context":
        """Return the context of the environment, as far as these values are known."""
        return cls(environment, names_of(environment), values, declared, packages)

    @property
    def folder(self) -> str:
        """The folder for what is made on this machine, from the checkout."""
        return f".bridge/deploy/{self.environment.name}"


def no_lines(_context: Context) -> tuple[Line, ...]:
    """Return no lines."""
    return ()


def no_files(_context: Context) -> tuple[PlannedFile, ...]:
    """Return no files."""
    return ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    id: StepId
    title: str
    who: Who
    rights: str
    """What the sign-in needs, in the words of the cloud."""
    changes: str
    leaves: str
    """What is there afterwards."""
    after: tuple[StepId, ...]
    """The steps that must have been taken, because this one needs what they made."""
    needs: tuple[Value, ...] = ()
    gives: tuple[Value, ...] = ()
    lines: Callable[[Context], tuple[Line, ...]] = no_lines
    files: Callable[[Context], tuple[PlannedFile, ...]] = no_files
    only_with_github: bool = False
