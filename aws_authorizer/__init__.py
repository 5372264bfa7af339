"""The Lambda authorizer: verifies an Entra access token and answers with an IAM policy."""
