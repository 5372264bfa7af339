"""What a site's app settings become on a laptop: all that differs from Azure, each with a reason.

Everything else is what the Bicep evaluates to. A test holds the two lists complete.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple


class Surroundings(NamedTuple):
    """What a local site finds around itself."""

    entra_authority: str
    https_authority_host: str
    ca_file: str
    identity_endpoint: str
    identity_header: str
    storage_connection_string: str


class Added(NamedTuple):
    """A setting that only a laptop needs."""

    value: Callable[[Surroundings], str]
    reason: str


ADDED: Final[Mapping[str, Added]] = {
    "ENTRA_AUTHORITY": Added(
        lambda around: around.entra_authority, "the tokens' issuer is the local Entra ID"
    ),
    "AZURE_AUTHORITY_HOST": Added(
        lambda around: around.https_authority_host, "azure-identity asks there, and only by https"
    ),
    "REQUESTS_CA_BUNDLE": Added(
        lambda around: around.ca_file, "the certificate of that address is a throw-away one"
    ),
    "IDENTITY_ENDPOINT": Added(
        lambda around: around.identity_endpoint, "Azure gives it to every site with an identity"
    ),
    "IDENTITY_HEADER": Added(
        lambda around: around.identity_header, "and this with it; it is the site's secret"
    ),
    "AzureWebJobsStorage": Added(
        lambda around: around.storage_connection_string,
        "Azurite without TLS takes its well-known key, and no token",
    ),
}
_ONE_FORM: Final = "AzureWebJobsStorage stands for it, and a connection has one form"
REMOVED: Final[Mapping[str, str]] = {
    "AzureWebJobsStorage__credential": _ONE_FORM,
    "AzureWebJobsStorage__clientId": _ONE_FORM,
    "AzureWebJobsStorage__accountName": _ONE_FORM,
    "AzureWebJobsStorage__blobServiceUri": _ONE_FORM,
    "AzureWebJobsStorage__queueServiceUri": _ONE_FORM,
    "AzureWebJobsStorage__tableServiceUri": _ONE_FORM,
}


def overlay_for_local(settings: Mapping[str, str], around: Surroundings) -> dict[str, str]:
    """Return the settings as the local site gets them."""
    kept = {name: value for name, value in settings.items() if name not in REMOVED}
    return kept | {name: added.value(around) for name, added in ADDED.items()}
