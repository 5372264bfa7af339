"""Calls the API in AWS: one client, and the layers that each call goes through.

What an adopter may rely on, as `tests/contract/test_public_surface.py` holds it:

    client.ApiClient                 calls the API: token, retries, circuit breaker, deadline
    client.ApiRequest                one request to the API
    client.ApiResponse               one response of the API, complete
    client.backend_error             what a failure on the way to the API and back means
    client.problem_code              the stable code in a problem document (RFC 9457)
    destination.Destination          where the API is, and which paths stay inside it
    direct_client.build_client       makes the HTTP client over our own connections
    direct_client.build_client_over  makes one over connections that it shares with others
    direct_client.build_transport    makes our own connections, to share
    bearer_auth.BearerAuth           puts the access token on requests for one destination
    retry.Retrier                    repeats failed attempts by the retry table
    retry.RetryPolicy                how many attempts a call gets, and for how long
    retry.RetryPolicies              the policies of a client's two kinds of calls
    retry_budget.RetryBudget         bounds what retries add to the load
    circuit_breaker.CircuitBreaker   stops calls for a while after many failures in a row

Nothing is imported here: a cold start pays only for what it uses.
"""
