"""What contradicts itself in bridge.toml is found before anything is deployed."""

from copy import replace

import pytest

from deployment.bridge_file import parse_bridge_file
from deployment.contradictions import check_bridge_file
from deployment.errors import BridgeFileError
from deployment.parameters.derived_settings import (
    DERIVED,
    NOT_DEPLOYABLE,
    authorizer_settings,
    function_app_settings,
)
from deployment.parameters.template_parameters import DERIVED_PARAMETERS, KEPT
from deployment.values import STAND_INS
from tests.support.bridge_files import DECLARED, EXAMPLE, SMALL, VARIANTS, environment_of

SETTINGS = f"{SMALL}[environments.dev.settings]\n"
AWS = f"{SMALL}[environments.dev.aws]\n"
SIZE = f"{SMALL}[environments.dev.function_app]\n"
GITHUB = f"{SMALL}[environments.dev.github]\n"
PROXY = f"{SMALL}[environments.dev.proxy]\n"
CONCURRENCY = "function_app.per_instance_concurrency"
CERTIFICATE = "arn:aws:acm:{}:{}:certificate/44444444-4444-4444-8444-444444444444"
OTHER_ACCOUNT = "account_id = '210987654321'\n"
DOMAIN = 'custom_domain = "api.example.com"\n'


def found_in(text: str) -> set[tuple[str, str]]:
    """Return code and place of each contradiction in the text."""
    bridge_file = parse_bridge_file(text)
    try:
        check_bridge_file(bridge_file, DECLARED)
    except BridgeFileError as error:
        return {(problem.code, problem.place) for problem in error.problems}
    return set()


@pytest.mark.parametrize("text", [EXAMPLE, *VARIANTS.values()])
def test_when_nothing_contradicts_then_nothing_is_found(text: str) -> None:
    """The example and each variant can be deployed."""
    assert set() == found_in(text)


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_when_a_derived_setting_is_given_then_it_is_refused(name: str) -> None:
    """Both clouds take it from one place."""
    place = f"environments.dev.settings.{name}"

    assert {("setting_derived", place)} == found_in(f'{SETTINGS}{name} = "x"\n')


@pytest.mark.parametrize("name", sorted(NOT_DEPLOYABLE))
def test_when_a_setting_is_not_for_the_clouds_then_it_is_refused(name: str) -> None:
    """The secrets of a service principal among them."""
    place = f"environments.dev.settings.{name}"

    assert {("setting_not_deployable", place)} == found_in(f'{SETTINGS}{name} = "x"\n')


@pytest.mark.parametrize("name", sorted((DERIVED_PARAMETERS.keys() | KEPT) - {"PublicUrl"}))
def test_when_a_derived_parameter_is_given_then_it_is_refused(name: str) -> None:
    """So is the only secret of the stack."""
    ((code, place),) = found_in(f'{AWS}parameters = {{ {name} = "x" }}\n')

    assert code == ("secret_in_file" if name in KEPT else "parameter_derived")
    assert f"environments.dev.aws.parameters.{name}" == place


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (f'{SETTINGS}AWS_API_KEY = "{"k" * 20}"', "secret_in_file", "settings.AWS_API_KEY"),
        (
            f'{SETTINGS}AWS_API_KEY = "@Microsoft.KeyVault(VaultName=v;SecretName=s)"',
            "key_vault_differs",
            "settings.AWS_API_KEY",
        ),
        (
            f'{SETTINGS}POSTGRES_HOST = "@Microsoft.KeyVault(VaultName=v;SecretName=s)"',
            "reference_to_no_secret",
            "settings.POSTGRES_HOST",
        ),
        (
            f'{PROXY}caller_client_ids = ["77777777-7777-4777-8777-777777777777"]',
            "callers_unused",
            "proxy.caller_client_ids",
        ),
        (
            f"{VARIANTS['github'].replace('authorities', 'any*')}",
            "truststore_not_grantable",
            "aws.parameters.TruststoreUri",
        ),
        (f'{SETTINGS}SYNC_SHEDULE = "x"', "key_unknown", "settings.SYNC_SHEDULE"),
        (f'{SETTINGS}QQ = "x"', "key_unknown", "settings.QQ"),
        (f'{SETTINGS}RECORD_STORE = "sqlite"', "setting_invalid", "settings.RECORD_STORE"),
        (f'{SETTINGS}RECORD_STORE = "x"', "setting_invalid", "settings.RECORD_STORE"),
        (f"{SETTINGS}SYNC_PAGE_SIZE = 1001", "setting_invalid", "settings.SYNC_PAGE_SIZE"),
        (f"{SETTINGS}FEED_SHARDS = 65", "setting_invalid", "settings.FEED_SHARDS"),
        (
            f"{SETTINGS}KEY_SET_FETCH_SECONDS = 9",
            "setting_invalid",
            "settings.KEY_SET_FETCH_SECONDS",
        ),
        (
            f"{SETTINGS}KEY_SET_MAX_STALE_SECONDS = 300",
            "setting_invalid",
            "settings.KEY_SET_MAX_STALE_SECONDS",
        ),
        (
            f'{SETTINGS}ACCEPTED_TOKEN_VERSIONS = "1.0"',
            "token_version_not_accepted",
            "settings.ACCEPTED_TOKEN_VERSIONS",
        ),
        (f"{AWS}{DOMAIN}", "domain_without_certificate", "aws.custom_domain"),
        (
            f'{AWS}{DOMAIN}certificate_arn = "{CERTIFICATE.format("us-east-1", 123456789012)}"',
            "arn_in_other_region",
            "aws.certificate_arn",
        ),
        (
            f'{AWS}{DOMAIN}certificate_arn = "{CERTIFICATE.format("eu-west-1", 210987654321)}"',
            "arn_in_other_account",
            "aws.certificate_arn",
        ),
        (
            f'{AWS}certificate_arn = "{CERTIFICATE.format("eu-west-1", 123456789012)}"',
            "domain_missing",
            "aws.certificate_arn",
        ),
        (f'{AWS}hosted_zone_id = "Z0123456789"', "domain_missing", "aws.hosted_zone_id"),
        (
            f'{AWS}alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:topic"',
            "arn_in_other_region",
            "aws.alarm_topic_arn",
        ),
        (f"{AWS}parameters = {{ Thro = 1 }}", "key_unknown", "aws.parameters.Thro"),
        (f"{AWS}parameters = {{ ThrottleRat = 1 }}", "key_unknown", "aws.parameters.ThrottleRat"),
        (
            f"{AWS}parameters = {{ ThrottleRate = 0 }}",
            "value_invalid",
            "aws.parameters.ThrottleRate",
        ),
        (
            f'{AWS}parameters = {{ ThrottleRate = "x" }}',
            "value_invalid",
            "aws.parameters.ThrottleRate",
        ),
        (
            f"{AWS}parameters = {{ LogRetentionInDays = 2 }}",
            "value_invalid",
            "aws.parameters.LogRetentionInDays",
        ),
        (
            f'{AWS}parameters = {{ VpcEndpointIds = "x" }}',
            "value_invalid",
            "aws.parameters.VpcEndpointIds",
        ),
        (
            f"{AWS}parameters = {{ FeedShards = 2 }}",
            "parameter_derived",
            "aws.parameters.FeedShards",
        ),
        (f"{SIZE}per_instance_concurrency = 600", "concurrency_above_host", CONCURRENCY),
        (f"{SIZE}per_instance_concurrency = 129", "concurrency_above_bulkhead", CONCURRENCY),
        (f'{PROXY}authentication = "easy_auth"', "sign_in_missing", "proxy.authentication"),
        (
            f'{PROXY}sign_in_client_id = "77777777-7777-4777-8777-777777777777"',
            "sign_in_unused",
            "proxy.sign_in_client_id",
        ),
        (f'{SMALL}[environments.dev.entra]\ncloud = "china"', "cloud_without_flex", "entra.cloud"),
        (
            f'{GITHUB}repository = "a/b"\nsubject_prefix = "repo:c@1/b@2"',
            "github_subject_mismatch",
            "github.subject_prefix",
        ),
    ],
)
def test_when_something_contradicts_then_it_is_found_at_its_place(
    text: str, code: str, place: str
) -> None:
    """One lie, one problem."""
    assert {(code, f"environments.dev.{place}")} == found_in(text)


def test_when_the_concurrency_is_what_the_app_lets_in_then_it_may_be() -> None:
    """The bound itself is right, and it moves with the settings that make it."""
    settings = "[environments.dev.settings]\nCONCURRENT_CALLS = 10\nWAITING_CALLS = 0\n"

    assert set() == found_in(f"{SIZE}per_instance_concurrency = 128")
    assert set() == found_in(f"{SIZE}per_instance_concurrency = 10\n{settings}")
    assert {"concurrency_above_bulkhead"} == {
        code for code, _place in found_in(f"{SIZE}per_instance_concurrency = 11\n{settings}")
    }


def test_when_zones_are_wanted_then_one_ready_instance_is_too_few() -> None:
    """Of either kind; none and two are right."""
    zones = "[environments.dev.azure]\nzone_redundant = true\n"

    assert {"always_ready_below_zones"} == {
        code for code, _place in found_in(f"{SIZE}always_ready_http = 1\n{zones}")
    }
    assert {"always_ready_below_zones"} == {
        code for code, _place in found_in(f"{SIZE}always_ready_sync = 1\n{zones}")
    }
    assert set() == found_in(f"{SIZE}always_ready_sync = 2\n{zones}")


def test_when_two_environments_have_one_domain_then_it_is_found() -> None:
    """A domain serves one API."""
    text = f"""{VARIANTS["custom domain"]}
[environments.prod.aws]
custom_domain = "api.example.com"
certificate_arn = "{CERTIFICATE.format("eu-west-1", 123456789012)}"
"""

    assert {("domain_taken", "environments.prod.aws.custom_domain")} == found_in(text)


def test_when_the_api_is_named_as_its_own_caller_then_it_is_found() -> None:
    """In the list of callers, and as what the proxy's callers sign in to."""
    api = "66666666-6666-4666-8666-666666666666"
    text = f'{SMALL}api_client_id = "{api}"\nallowed_client_ids = ["{api}"]\n'
    proxy = f'[environments.dev.proxy]\nauthentication = "easy_auth"\nsign_in_client_id = "{api}"\n'

    assert {"caller_is_the_api", "sign_in_is_the_api"} == {
        code for code, _place in found_in(text + proxy)
    }


def test_when_both_environments_have_a_problem_at_the_top_then_it_is_told_once() -> None:
    """The place is one, so the sentence is one."""
    text = EXAMPLE.replace("token_version = 2", 'token_version = 2\ncloud = "usgov"')

    assert {("cloud_without_flex", "entra.cloud")} == found_in(text)


def test_when_a_file_names_secrets_by_reference_then_the_name_goes_to_azure() -> None:
    """The vault is the one that azure.key_vault names."""
    environment = environment_of(VARIANTS["vnet"])

    assert "vault" == environment.azure.key_vault


@pytest.mark.parametrize("setting", ["RECORD_STORE", "SYNC_SCHEDULE", "ACCEPTED_TOKEN_VERSIONS"])
def test_when_a_setting_is_empty_then_it_is_as_if_it_were_not_there(setting: str) -> None:
    """A template would take it as a value that it does not allow."""
    environment = environment_of(SMALL)
    emptied = replace(environment, settings={setting: ""})

    assert function_app_settings(environment, STAND_INS) == function_app_settings(
        emptied, STAND_INS
    )
    assert authorizer_settings(environment, STAND_INS) == authorizer_settings(emptied, STAND_INS)


def test_when_the_azure_cli_is_named_as_a_caller_then_people_are_asked_for() -> None:
    """Everybody of the tenant signs in by it; developers are let in by name."""
    client_id = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

    assert {("caller_is_azure_cli", "environments.dev.allowed_client_ids")} == found_in(
        f'{SMALL}allowed_client_ids = ["{client_id}"]\n'
    )


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        (f"{GITHUB}repository = 'owner/name'\n[environments.dev-eu]\n", {"dev-eu"}),
        (f"{GITHUB}repository = 'owner/name'\n[environments.dev-github]\n", {"dev-github"}),
        (f"{GITHUB}repository = 'owner/name'\n[environments.dev2]\n", set()),
        (
            f"{GITHUB}repository = 'owner/name'\n[environments.dev-eu.aws]\n{OTHER_ACCOUNT}",
            set(),
        ),
        (f"{SMALL}[environments.dev-eu]\n", set()),
    ],
)
def test_when_a_pipelines_role_would_reach_another_environment_then_it_is_refused(
    rest: str, found: set[str]
) -> None:
    """The role may change what is called by its stack's name and a hyphen."""
    assert {("environment_within_another", f"environments.{name}") for name in found} == found_in(
        rest
    )


@pytest.mark.parametrize(
    ("table", "is_refused"), [("restored", True), ("bridge-dev-restored", False)]
)
def test_when_a_pipelines_stack_serves_a_restored_table_then_its_name_is_within_bounds(
    table: str, *, is_refused: bool
) -> None:
    """Else the functions could not read it. A person's stack has no boundary."""
    aws = f"[environments.dev.aws]\nparameters = {{ RestoredTable = '{table}' }}\n"
    place = "environments.dev.aws.parameters.RestoredTable"
    expected = {("restored_table_out_of_bounds", place)} if is_refused else set()

    assert expected == found_in(f"{GITHUB}repository = 'owner/name'\n{aws}")
    assert set() == found_in(f"{SMALL}{aws}")
