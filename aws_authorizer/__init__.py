"""The Lambda authorizer: verifies an Entra ID access token and answers with an IAM policy.

What an adopter may rely on, as `tests/contract/test_public_surface.py` holds it:

    handler.handler                    the Lambda entry
    handler.authorize                  one authorizer's answer to one event
    bootstrap.Authorizer               everything that a decision takes
    bootstrap.build_accepted_tokens    what tokens of each version and tenant must say
    claim_checks.AcceptedToken         what tokens of one version from one tenant must say
    claim_checks.ClaimContract         everything that a caller's claims must satisfy
    claim_checks.build_claim_contract  makes the contract, from `AcceptedToken` values
    verifier.Verifier                  verifies one token against a claim contract
    key_set.KeySource                  what the verifier asks for a key
    key_set.StaticKeySet               keys that never change
    key_set.RemoteKeySet               one tenant's keys, fetched when they are due
    key_set.KeySetPolicy               how long fetched keys are used, and how often one asks
    key_set_fetch.fetch_key_set        fetches a key set over https
    signing_key.SigningKey             one RSA public key that verifies signatures
    signing_key.parse_key_set          reads a JSON Web Key Set (RFC 7517)
    policy_document.PolicyBuilder      makes policies from a table of routes
    decision_log.DecisionLog           writes each decision as one line of JSON
    errors.TokenRejected               no token, or not a good one
    errors.AccessDenied                a good token of a caller that is not allowed
    errors.Undecided                   no decision is possible
    errors.KeySetUnavailable           no decision is possible: there are no keys
    errors.Unauthorized                what Lambda reports to API Gateway for a 401

Nothing is imported here: a cold start pays only for what it uses.
"""
