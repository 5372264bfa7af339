"""Gets the Entra ID token that proves to the API who this app is.

What an adopter may rely on, as `tests/contract/test_public_surface.py` holds it:

    access_token.AccessToken                    an access token, and how long it is good for
    credential_kinds.CredentialKind             the ways of getting a token
    credential_kinds.ManagedIdentity            the identity that the platform gives the app
    credential_kinds.ClientSecret               a service principal with a secret
    credential_kinds.ClientCertificate          a service principal with a certificate
    credential_kinds.WorkloadIdentity           a service principal with another issuer's token
    credential_kinds.ManagedIdentityFederation  a service principal that an identity vouches for
    credential_kinds.AzureCli                   the developer who is signed in to the Azure CLI
    credential_kinds.TokenSource                a credential, and what its tokens are for
    credentials.build_credential                makes azure-identity's credential for a token source
    credentials.request_token                   obtains one token now; blocks
    token_provider.TokenProvider                keeps one access token fresh
    token_diagnosis.Finding                     one way in which a token is not what the API expects
    token_diagnosis.diagnose                    compares a token with what the API expects

Nothing is imported here: a cold start pays only for what it uses.
"""
