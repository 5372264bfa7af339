"""What to change, by the code that the bridge itself answers with (docs/troubleshooting.md)."""

from collections.abc import Mapping
from typing import Final

from deployment.smoke.http_caller import Answer
from deployment.smoke.outcome import CheckFailedError, SmokeCode

ADVICE: Final[Mapping[str, str]] = {
    "access_denied": "Assign the caller the app role Records.Read on the API's registration, and"
    " name its client ID in AllowedClientIds.",
    "signature_refused": "API Gateway knows no such route: check that the URL ends in the stage, or"
    " in nothing where a custom domain stands for it.",
    "api_key_refused": "A usage plan wants an API key: give the caller one by UsagePlanKeys.",
    "request_filtered": "A firewall in front of the API refused the call: look at its web ACL's log"
    " for the rule.",
    "route_unknown": "API Gateway knows no such route: check that the URL ends in the stage, or in"
    " nothing where a custom domain stands for it.",
    "throttled": "The API is above ThrottleRate: raise it, or wait and run this again.",
    "quota_exceeded": "The usage plan's quota is used up: raise it.",
    "authorizer_undecided": "The authorizer cannot decide: its log says why under what_to_change or"
    " settings_invalid; let it reach Entra ID's key set.",
    "authorizer_context_missing": "The route has no authorizer: nobody got in only because the"
    " backend asks too. Deploy the template as it is.",
    "backend_failed": "The function behind the route failed: look at its log, by the request ID.",
    "backend_timed_out": "The function behind the route did not answer within 29 seconds: look at"
    " its log.",
    "feed_importing": "The records are being imported: wait for the end of the import.",
    "feed_import_failed": "An import ended before all was there: import once more.",
    "feed_renewing": "The feed is being renewed: wait, or run `bridge feed renew` once more.",
    "storage_unavailable": "DynamoDB does not answer or throttles: look at the table's metrics.",
    "request_caller_unknown": "App Service signed the caller in, and the app does not know it:"
    " check PROXY_CALLER_TENANT_ID.",
    "request_caller_forbidden": "Assign the caller one of the roles that the answer names, on the"
    " registration that App Service signs in to.",
    "backend_refused_token": "The API refuses the Function App's own token: its log line"
    " proxy_failed has the advice, which is most often a role that was granted after the identity's"
    " first token (up to 24 hours).",
    "backend_firewall": "A firewall in front of the API refuses the Function App: let its addresses"
    " through.",
    "backend_api_key": "The API wants a key of the Function App: set AWS_API_KEY or UsagePlanKeys.",
    "backend_forbidden": "Something in front of the API refuses the Function App: its log line"
    " proxy_failed has the answer.",
    "deletions_held": "The feed lacks more records than may be deleted unasked: fill the API's"
    " table again, or run `bridge sync --accept-deletions`.",
    "store_unavailable": "The record store cannot be used: give the app's identity its role there,"
    " and check TABLE_ENDPOINT or POSTGRES_HOST.",
    "store_timed_out": "The record store did not answer in time: look at the storage account.",
    "store_not_answering": "The record store does not answer: give the app's identity its role"
    " there, and check TABLE_ENDPOINT or POSTGRES_HOST.",
    "store_newer": "A later version of the app made the tables: deploy that version again.",
    "shards_unsupported": "Deploy the AWS stack of this version, or set SYNC_FAN_OUT to false.",
    "feed_missing": "The API has no feed: fill its table, by an import or a first write.",
    "shards_not_running": "Give the app's identity Storage Queue Data Contributor on the account of"
    " AzureWebJobsStorage, and check that the function sync_shard is enabled.",
    "records_unfit": "Too many records of a page are unfit: mend the API or the app, then"
    " `bridge sync poison replay`.",
    "settings_invalid": "A setting of the Function App is wrong: its log names each of them.",
}


def unexpected(answer: Answer, otherwise: str) -> CheckFailedError:
    """Return the failure for an answer that is none of those expected, with its own code's advice.

    Args:
        answer: what came.
        otherwise: the advice where the answer's code says nothing.

    """
    code = answer.code
    came = answer.summary()
    if code is not None and code in ADVICE:
        return CheckFailedError(code, came, ADVICE[code])
    if answer.status in range(300, 400):
        return CheckFailedError(
            SmokeCode.ANSWER_UNEXPECTED, came, f"It redirects, which is never followed. {otherwise}"
        )
    return CheckFailedError(code or SmokeCode.ANSWER_UNEXPECTED, came, otherwise)
