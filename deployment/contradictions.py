"""What in a bridge.toml contradicts itself, or what the clouds take: found before anything is done.

The whole set of settings, derived and given, is loaded as each deployable loads it at its start,
so what they would refuse there is refused here.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from copy import replace
from itertools import product
from typing import Final

from aws_authorizer import settings as authorizer
from aws_backend import settings as backend
from azure_function_app import declared_settings as function_app
from azure_function_app.settings import load_settings as load_function_app_settings
from deployment.bridge_file import BridgeFile, Environment
from deployment.entra.registration import AZURE_CLI_CLIENT_ID
from deployment.errors import BridgeFileError, Problem
from deployment.names import names_of
from deployment.parameters.derived_settings import (
    DECLARED,
    DERIVED,
    FILES_IN_THE_APP,
    NOT_DEPLOYABLE,
    SECRET_REFERENCE,
    authorizer_settings,
    backend_settings,
    contract_settings,
    function_app_settings,
    token_version_text,
)
from deployment.parameters.template_parameters import (
    DERIVED_PARAMETERS,
    GITHUB_TRUSTSTORE,
    KEPT,
    TemplateParameter,
    setting_parameters,
    stack_parameters,
    truststore_arn,
)
from deployment.values import STAND_INS
from shared import contract
from shared.settings_reader import SettingsError

_FEWEST_IN_ZONES: Final = 2
"""Always-ready instances, if there are any, of a plan that is spread over zones."""
type Problems = Iterator[Problem]


def check_bridge_file(bridge_file: BridgeFile, parameters: Mapping[str, TemplateParameter]) -> None:
    """Raise unless the file fits itself, the deployables and the template's parameters.

    Whether a tenant, an account or a domain is there is not checked: that takes a sign-in.

    Raises:
        BridgeFileError: with everything that does not fit.

    """
    problems = {
        (problem.code, problem.place): problem
        for environment in bridge_file.environments.values()
        for problem in _check_environment(environment, parameters)
    }
    for problem in _check_between(bridge_file):
        problems[problem.code, problem.place] = problem
    if problems:
        raise BridgeFileError(tuple(problems.values()))


def _check_between(bridge_file: BridgeFile) -> Problems:
    owners: dict[str, str] = {}
    for environment in bridge_file.environments.values():
        domain = environment.aws.custom_domain
        if domain and domain in owners:
            yield Problem(
                "domain_taken",
                environment.place("aws.custom_domain"),
                f"is that of [environments.{owners[domain]}] too; a domain serves one API",
            )
        owners[domain] = environment.name
    yield from _check_stacks(bridge_file)


def _check_stacks(bridge_file: BridgeFile) -> Problems:
    """Find stacks that another environment's GitHub role could change: it goes by their names."""
    environments = bridge_file.environments.values()
    for deployed, other in product(environments, environments):
        is_same_account = deployed.aws.account_id == other.aws.account_id
        if deployed.github is None or not is_same_account:
            continue
        if other.name.startswith(f"{deployed.name}-"):
            yield Problem(
                "environment_within_another",
                f"environments.{other.name}",
                f"begins with the name of [environments.{deployed.name}] and a hyphen, by which the"
                " role that GitHub deploys that one with would reach this one too; rename it, or"
                " give it an account of its own",
            )


def _check_environment(
    environment: Environment, parameters: Mapping[str, TemplateParameter]
) -> Problems:
    named = list(_check_setting_names(environment))
    yield from named
    yield from _check_cloud(environment)
    yield from _check_token_version(environment)
    yield from _check_aws(environment)
    yield from _check_parameters(environment, parameters)
    yield from _check_proxy(environment)
    yield from _check_callers(environment)
    yield from _check_github(environment)
    places = {problem.place for problem in named}
    refused = list(_check_setting_values(environment, places, parameters))
    yield from refused
    if not refused:
        yield from _check_size(environment)


def _check_setting_names(environment: Environment) -> Problems:
    for name, value in environment.settings.items():
        place = environment.place(f"settings.{name}")
        if name not in DECLARED:
            close = difflib.get_close_matches(name, DECLARED, n=1)
            advice = f"did you mean {close[0]}?" if close else "`bridge settings` lists them"
            yield Problem("key_unknown", place, f"is no setting; {advice}")
        elif name in NOT_DEPLOYABLE:
            yield Problem(
                "setting_not_deployable", place, f"is not deployed: {NOT_DEPLOYABLE[name]}"
            )
        elif name in DERIVED:
            yield Problem(
                "setting_derived", place, f"follows from {DERIVED[name]}; take it out here"
            )
        elif DECLARED[name].is_secret:
            yield from _check_secret(environment, place, value)
        elif value.startswith("@Microsoft.KeyVault("):
            yield Problem(
                "reference_to_no_secret",
                place,
                "refers to a Key Vault, and is no secret; give the value itself",
            )


def _check_secret(environment: Environment, place: str, value: str) -> Problems:
    reference = SECRET_REFERENCE.fullmatch(value)
    if reference is None:
        yield Problem(
            "secret_in_file",
            place,
            "is a secret, which has no place in this file; expected a reference:"
            " @Microsoft.KeyVault(VaultName=<vault>;SecretName=<secret>)",
        )
    elif reference[1].lower() != environment.azure.key_vault.lower():
        yield Problem(
            "key_vault_differs",
            place,
            f"refers to the vault {reference[1]}, which the app may read only where"
            " azure.key_vault names it",
        )


def _check_cloud(environment: Environment) -> Problems:
    if environment.entra.cloud != "public":
        yield Problem(
            "cloud_without_flex",
            environment.place("entra.cloud"),
            f"is {environment.entra.cloud}, where Azure has no Flex Consumption plan, which the"
            " Function App is deployed to; only public can be deployed from here",
        )


def _check_token_version(environment: Environment) -> Problems:
    name = contract.ACCEPTED_TOKEN_VERSIONS.name
    given = environment.settings.get(name)
    issued = token_version_text(environment)
    if given is not None and issued not in {item.strip() for item in given.split(",")}:
        yield Problem(
            "token_version_not_accepted",
            environment.place(f"settings.{name}"),
            f"leaves out {issued}, which the registration issues by entra.token_version; add it,"
            " or take the setting out",
        )


def _check_aws(environment: Environment) -> Problems:
    aws = environment.aws
    if aws.custom_domain and not aws.certificate_arn:
        yield Problem(
            "domain_without_certificate",
            environment.place("aws.custom_domain"),
            "needs aws.certificate_arn, a certificate for it in ACM",
        )
    if not aws.custom_domain:
        for key, value in (
            ("aws.certificate_arn", aws.certificate_arn),
            ("aws.hosted_zone_id", aws.hosted_zone_id),
        ):
            if value:
                yield Problem(
                    "domain_missing", environment.place(key), "has no use without aws.custom_domain"
                )
    for key, arn in (
        ("aws.certificate_arn", aws.certificate_arn),
        ("aws.alarm_topic_arn", aws.alarm_topic_arn),
    ):
        if not arn:
            continue
        region, account = arn.split(":")[3:5]
        if region != aws.region:
            yield Problem(
                "arn_in_other_region",
                environment.place(key),
                f"is in {region}, and the API in {aws.region}; AWS takes it from the API's region"
                " only",
            )
        if account != aws.account_id and key == "aws.certificate_arn":
            yield Problem(
                "arn_in_other_account",
                environment.place(key),
                f"is in the account {account}, and the API in {aws.account_id}",
            )


def _check_parameters(
    environment: Environment, declared: Mapping[str, TemplateParameter]
) -> Problems:
    key = "aws.parameters"
    for name, value in environment.aws.parameters.items():
        place = f"{environment.place(key)}.{name}"
        if name in DERIVED_PARAMETERS:
            yield Problem(
                "parameter_derived", place, f"follows from {DERIVED_PARAMETERS[name]}; take it out"
            )
        elif name in KEPT:
            yield Problem("secret_in_file", place, "is a secret; give it to the stack once by hand")
        elif name in setting_parameters():
            yield Problem("parameter_derived", place, "is a setting; give it in [settings]")
        elif name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            advice = f"did you mean {close[0]}?" if close else "docs/first-deployment.md lists them"
            yield Problem("key_unknown", place, f"is no parameter of the template; {advice}")
        else:
            refusal = declared[name].refusal(value)
            if refusal is not None:
                yield Problem("value_invalid", place, f"is not valid; {refusal}")


def _check_proxy(environment: Environment) -> Problems:
    proxy = environment.proxy
    needs_sign_in = proxy.authentication == function_app.CallerAuthentication.EASY_AUTH
    if needs_sign_in and not proxy.sign_in_client_id:
        yield Problem(
            "sign_in_missing",
            environment.place("proxy.authentication"),
            "is easy_auth, which needs proxy.sign_in_client_id, the registration that callers sign"
            " in to",
        )
    if proxy.sign_in_client_id and not needs_sign_in:
        yield Problem(
            "sign_in_unused",
            environment.place("proxy.sign_in_client_id"),
            "has no use with proxy.authentication function_key",
        )
    if proxy.caller_client_ids and not needs_sign_in:
        # Whoever has a key would get in, listed or not.
        yield Problem(
            "callers_unused",
            environment.place("proxy.caller_client_ids"),
            "has no use with proxy.authentication function_key, which knows nobody's client ID",
        )
    if proxy.sign_in_client_id and proxy.sign_in_client_id == environment.api_client_id:
        yield Problem(
            "sign_in_is_the_api",
            environment.place("proxy.sign_in_client_id"),
            "is the API's own registration; a token for the proxy would then be one for the API",
        )


def _check_callers(environment: Environment) -> Problems:
    if AZURE_CLI_CLIENT_ID in environment.allowed_client_ids:
        yield Problem(
            "caller_is_azure_cli",
            environment.place("allowed_client_ids"),
            "names the Azure CLI, by which everybody of the tenant signs in; name the people by"
            " their object IDs in developers",
        )
    if environment.api_client_id and environment.api_client_id in environment.allowed_client_ids:
        yield Problem(
            "caller_is_the_api",
            environment.place("allowed_client_ids"),
            "names the API's own registration, which calls nobody",
        )


def _check_github(environment: Environment) -> Problems:
    github = environment.github
    if github is None:
        return
    truststore = truststore_arn(environment)
    if truststore and not GITHUB_TRUSTSTORE.fullmatch(truststore):
        yield Problem(
            "truststore_not_grantable",
            f"{environment.place('aws.parameters')}.TruststoreUri",
            "has a key that no right can be given for, because its wildcards would be more than"
            " one object; expected letters, digits and !_.()/- only, since [github] gives GitHub's"
            " role the right to read it",
        )
    named = re.sub(r"@[0-9]+", "", github.subject_prefix.removeprefix("repo:"))
    if named.lower() != github.repository.lower():
        yield Problem(
            "github_subject_mismatch",
            environment.place("github.subject_prefix"),
            f"is for {named}, and github.repository is {github.repository}: that other repository"
            " would deploy, and this one could not",
        )
    table = environment.aws.parameters.get("RestoredTable", "")
    stack = names_of(environment).stack
    if table and not table.startswith(f"{stack}-"):
        yield Problem(
            "restored_table_out_of_bounds",
            f"{environment.place('aws.parameters')}.RestoredTable",
            f"does not begin with {stack}-, and the boundary of roles that GitHub deploys has no"
            " other tables; restore it under such a name",
        )


def _check_setting_values(
    environment: Environment, named: set[str], declared: Mapping[str, TemplateParameter]
) -> Problems:
    """Load the settings as the deployables do; those whose name is a problem are left out."""
    tried = {
        name: value
        for name, value in environment.settings.items()
        if environment.place(f"settings.{name}") not in named
    }
    sane = replace(environment, settings=tried, aws=replace(environment.aws, parameters={}))
    signs = {"WEBSITE_SITE_NAME": "stand-in", "WEBSITE_AUTH_ENABLED": "true"}
    app = function_app_settings(sane, STAND_INS)
    seen = {
        name: value
        for name, value in app.items()
        if name not in FILES_IN_THE_APP and not DECLARED[name].is_secret
    }
    backends = {
        **contract_settings(sane, STAND_INS),
        backend.RECORDS_TABLE.name: "stand-in",
        **backend_settings(sane),
    }
    for load, settings in (
        (load_function_app_settings, seen | signs),
        (authorizer.load_settings, authorizer_settings(sane, STAND_INS)),
        (backend.load_records_settings, backends),
        (backend.load_discovery_settings, backends),
    ):
        try:
            load(settings)
        except SettingsError as error:
            for problem in error.problems:
                yield Problem(
                    "setting_invalid",
                    environment.place(f"settings.{problem.name}"),
                    problem.message,
                )
    for name, value in stack_parameters(sane, STAND_INS, declared).items():
        setting = setting_parameters().get(name)
        refusal = None if setting is None else declared[name].refusal(value)
        if refusal is not None:
            yield Problem(
                "setting_invalid",
                environment.place(f"settings.{setting}"),
                f"is refused by the template of the stack; {refusal}",
            )


def _check_size(environment: Environment) -> Problems:
    size = environment.function_app
    place = environment.place("function_app.per_instance_concurrency")
    let_in = sum(
        int(environment.settings.get(setting.name) or setting.default or 0)
        for setting in (function_app.CONCURRENT_CALLS, function_app.WAITING_CALLS)
    )
    if size.per_instance_concurrency > function_app.HOST_REQUESTS:
        yield Problem(
            "concurrency_above_host",
            place,
            f"is {size.per_instance_concurrency}, and host.json lets {function_app.HOST_REQUESTS}"
            " requests run at once; the rest would be answered 429",
        )
    elif size.per_instance_concurrency > let_in:
        yield Problem(
            "concurrency_above_bulkhead",
            place,
            f"is {size.per_instance_concurrency}, and the app lets in {let_in}"
            " (CONCURRENT_CALLS and WAITING_CALLS); the rest would be answered 503 before there is"
            " another instance",
        )
    if not environment.azure.zone_redundant:
        return
    for key, count in (
        ("always_ready_http", size.always_ready_http),
        ("always_ready_sync", size.always_ready_sync),
    ):
        if 0 < count < _FEWEST_IN_ZONES:
            yield Problem(
                "always_ready_below_zones",
                environment.place(f"function_app.{key}"),
                f"is {count}, and with azure.zone_redundant it must be 0, or 2 and more",
            )
