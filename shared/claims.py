"""The names of the Entra ID access token claims that either side reads.

A mistyped claim name would make a check pass or fail for ever, so each is spelled once, here.
Claims reference: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from typing import Final

# Registered claims (RFC 7519 section 4.1).
ISSUER: Final = "iss"
AUDIENCE: Final = "aud"
SUBJECT: Final = "sub"
EXPIRES_AT: Final = "exp"
NOT_BEFORE: Final = "nbf"
ISSUED_AT: Final = "iat"
TOKEN_UNIQUE_ID: Final = "jti"

# Entra ID's own.
VERSION: Final = "ver"
TENANT_ID: Final = "tid"
OBJECT_ID: Final = "oid"
TOKEN_ID: Final = "uti"
IDENTITY_TYPE: Final = "idtyp"
ROLES: Final = "roles"
SCOPES: Final = "scp"
CLIENT_ID_V1: Final = "appid"
CLIENT_ID_V2: Final = "azp"
CLIENT_AUTHENTICATION_V1: Final = "appidacr"
CLIENT_AUTHENTICATION_V2: Final = "azpacr"

APP_ONLY: Final = "app"
"""The value of `idtyp` in a token that no user stands behind."""
USER: Final = "user"
"""The value of `idtyp` in a token that a user stands behind."""
NO_CLIENT_AUTHENTICATION: Final = "0"
"""The value of `azpacr` or `appidacr` where the client proved nothing: a public client."""
