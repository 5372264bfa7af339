"""The settings of telemetry."""

import pytest

from azure_function_app.telemetry.telemetry_settings import (
    EntraSignIn,
    TelemetrySettings,
    read_telemetry_settings,
)
from shared.settings_reader import SettingsError, reading_settings

KEY = "InstrumentationKey=12345678-abcd-4000-8000-1234567890ab"
IDENTITY = "bbbbbbbb-0000-4000-8000-000000000001"


def settings_of(**environment: str) -> TelemetrySettings:
    """What these variables mean."""
    with reading_settings(environment) as reader:
        return read_telemetry_settings(reader, environment)


def problem_of(**environment: str) -> str:
    """The one problem that these variables have."""
    with pytest.raises(SettingsError) as caught:
        settings_of(**environment)
    (problem,) = caught.value.problems
    return str(problem)


def test_when_nobody_sets_anything_then_telemetry_is_off() -> None:
    """As on a laptop."""
    assert not settings_of().is_on


def test_when_the_connection_string_is_set_then_it_is_on_for_every_trace() -> None:
    """As every deployment of ours sets it, for the host too."""
    settings = settings_of(APPLICATIONINSIGHTS_CONNECTION_STRING=KEY)

    assert (True, 1.0, None) == (settings.is_on, settings.sampled_share, settings.sign_in)


def test_when_the_share_is_zero_then_it_is_off() -> None:
    """The host goes on: what it writes is not ours to turn off."""
    settings = settings_of(APPLICATIONINSIGHTS_CONNECTION_STRING=KEY, TELEMETRY_SAMPLED_SHARE="0")

    assert not settings.is_on


@pytest.mark.parametrize(
    "more",
    [
        "",
        ";",
        ";IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/",
        ";IngestionEndpoint=https://a.example/;LiveEndpoint=https://b.example/;ApplicationId=x",
        ";EndpointSuffix=applicationinsights.azure.cn;Location=chinaeast2",
        ";IngestionEndpoint=http://127.0.0.1:8080/",
    ],
)
def test_when_a_connection_string_is_one_of_azures_then_it_is_taken(more: str) -> None:
    """Those of other clouds and of the resource's own page among them."""
    settings = settings_of(APPLICATIONINSIGHTS_CONNECTION_STRING=KEY + more)

    assert (KEY + more).rstrip(";") == settings.connection_string


@pytest.mark.parametrize(
    "text",
    [
        "12345678-abcd-4000-8000-1234567890ab",
        "InstrumentationKey=secret",
        "InstrumentationKey=00000000-0000-0000-0000-000000000000",
        f"{KEY};{KEY}",
        f"{KEY};IngestionEndpoint=http://a.example/",
        f"{KEY};IngestionEndpoint=ftp://a.example/",
        f"{KEY};IngestionEndpoint=",
        f"{KEY};a=b=c",
        f"{KEY};a=" + "b" * 2_048,
        f"{KEY};a=\x1b[2J",
    ],
)
def test_when_a_connection_string_is_none_then_it_is_refused_unsaid(text: str) -> None:
    """One that leads away from https, or that the exporter would stumble over, among them."""
    problem = problem_of(APPLICATIONINSIGHTS_CONNECTION_STRING=text)

    assert problem.startswith("APPLICATIONINSIGHTS_CONNECTION_STRING: is not valid")
    assert text not in problem


@pytest.mark.parametrize(
    ("text", "sign_in"),
    [
        ("Authorization=AAD", EntraSignIn(None)),
        (f"ClientId={IDENTITY};Authorization=AAD", EntraSignIn(IDENTITY)),
        (f"Authorization=AAD;ClientId={IDENTITY.upper()}", EntraSignIn(IDENTITY)),
    ],
)
def test_when_entra_signs_in_then_it_is_the_identity_that_is_named(
    text: str, sign_in: EntraSignIn
) -> None:
    """The second is as our Bicep writes it."""
    assert sign_in == settings_of(APPLICATIONINSIGHTS_AUTHENTICATION_STRING=text).sign_in


@pytest.mark.parametrize(
    "text",
    ["AAD", f"ClientId={IDENTITY}", "Authorization=Key", "Authorization=AAD;ClientId=me"],
)
def test_when_the_sign_in_is_none_then_it_is_refused(text: str) -> None:
    """Else spans would go out by the key only, which our Application Insights does not take."""
    problem = problem_of(APPLICATIONINSIGHTS_AUTHENTICATION_STRING=text)

    assert problem.startswith("APPLICATIONINSIGHTS_AUTHENTICATION_STRING: is not valid")


def test_when_app_service_names_the_app_then_its_spans_have_the_hosts_name() -> None:
    """So the map shows one app, and not two."""
    settings = settings_of(WEBSITE_SITE_NAME="func-bridge", WEBSITE_INSTANCE_ID="i-1")

    assert ("func-bridge", "i-1") == (settings.app, settings.instance)
