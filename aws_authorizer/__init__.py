"""The Lambda authorizer: verifies an Entra ID access token and answers with an IAM policy.

What an adopter may rely on, and what `tests/contract/test_public_surface.py` holds:

    handler.handler                     the Lambda entry
    verifier.Verifier                   verifies one token against a claim contract
    claim_checks.build_claim_contract   makes the contract, from `AcceptedToken` values
    key_set.RemoteKeySet, StaticKeySet  where the keys come from
    policy_document.PolicyBuilder       makes policies from a table of routes
    errors                              `TokenRejected`, `AccessDenied`, `Undecided`, `Unauthorized`

Nothing is imported here: a cold start pays for what it uses only.
"""
