"""What can be wrong on the way to the API, and with its address."""

import ssl
from pathlib import Path
from typing import Final

import trustme

from emulator.loopback import LOOPBACK, find_free_port
from tests.misconfigurations.devices import (
    company_proxy,
    domain_front,
    moved,
    no_such_api,
    portal,
    serving,
)
from tests.misconfigurations.installation import Installation
from tests.misconfigurations.misconfiguration import row

_API_ID: Final = "abc123def4"
_STAGE: Final = "local"


def _name_in(region: str) -> str:
    return f"{_API_ID}.execute-api.{region}.amazonaws.com"


def certify(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server of that authority, under these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _publish(blob: trustme.Blob, file: Path) -> str:
    blob.write_to_path(str(file))
    return str(file)


def _upstream(on: Installation) -> str:
    """The API behind the local API Gateway, without its stage."""
    return on.stack.api_url.removesuffix(f"/{_STAGE}")


async def _move_to(on: Installation, url: str) -> None:
    """Have the stack say this address to callers, and the app call it."""
    on.parameters["PublicUrl"] = url
    await on.deploy()
    on.app_settings["AWS_API_BASE_URL"] = url


async def _wrong_stage(on: Installation) -> None:
    on.app_settings["AWS_API_BASE_URL"] = f"{_upstream(on)}/prod"


async def _no_stage(on: Installation) -> None:
    on.app_settings["AWS_API_BASE_URL"] = _upstream(on)


async def _stage_twice(on: Installation) -> None:
    on.app_settings["AWS_API_BASE_URL"] = f"{on.stack.api_url}/{_STAGE}"


async def _the_app_itself(on: Installation) -> None:
    port = await on.exits.enter_async_context(serving(portal))
    on.app_settings["AWS_API_BASE_URL"] = f"http://{LOOPBACK}:{port}/api"


async def _left_address(on: Installation) -> None:
    port = await on.exits.enter_async_context(serving(moved))
    on.app_settings["AWS_API_BASE_URL"] = f"http://{LOOPBACK}:{port}/{_STAGE}"


async def _tls_where_none_is(on: Installation) -> None:
    url = on.stack.api_url
    on.app_settings["AWS_API_BASE_URL"] = url.replace("http://", "https://", 1)


async def _nobody_listens(on: Installation) -> None:
    on.app_settings["AWS_API_BASE_URL"] = f"http://{LOOPBACK}:{find_free_port()}/{_STAGE}"


async def _name_of_nothing(on: Installation) -> None:
    on.app_settings["AWS_API_BASE_URL"] = f"https://api.bridge.invalid/{_STAGE}"


async def _behind_names(on: Installation) -> dict[str, int]:
    """The API at AWS's own name through the company's proxy; how it should be."""
    authority = trustme.CA()
    right, wrong = _name_in("eu-west-1"), _name_in("eu-central-1")
    hosts = {
        right: await on.exits.enter_async_context(
            domain_front(_upstream(on), tls=certify(authority, right))
        ),
        wrong: await on.exits.enter_async_context(
            serving(no_such_api, tls=certify(authority, wrong))
        ),
    }
    on.app_settings["EXTRA_CA_FILE"] = _publish(authority.cert_pem, on.folder / "company-ca.pem")
    await _move_to(on, f"https://{right}/{_STAGE}")
    return hosts


async def _wrong_region(on: Installation) -> None:
    hosts = await _behind_names(on)
    proxy = await on.exits.enter_async_context(company_proxy(hosts))
    on.app_settings["API_HTTPS_PROXY"] = f"http://{LOOPBACK}:{proxy.port}"
    on.app_settings["AWS_API_BASE_URL"] = f"https://{_name_in('eu-central-1')}/{_STAGE}"


async def _proxy_is_off(on: Installation) -> None:
    hosts = await _behind_names(on)
    proxy = await on.exits.enter_async_context(company_proxy(hosts))
    on.facts["proxy"] = f"http://{LOOPBACK}:{proxy.port}"
    on.app_settings["API_HTTPS_PROXY"] = f"http://{LOOPBACK}:{find_free_port()}"


async def _proxy_refuses(on: Installation) -> None:
    hosts = await _behind_names(on)
    refusing = await on.exits.enter_async_context(
        company_proxy(hosts, refusal=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    )
    proxy = await on.exits.enter_async_context(company_proxy(hosts))
    on.facts["proxy"] = f"http://{LOOPBACK}:{proxy.port}"
    on.app_settings["API_HTTPS_PROXY"] = f"http://{LOOPBACK}:{refusing.port}"


async def _private_authority(on: Installation) -> None:
    authority = trustme.CA()
    port = await on.exits.enter_async_context(
        domain_front(_upstream(on), tls=certify(authority, LOOPBACK))
    )
    on.facts["authority"] = _publish(authority.cert_pem, on.folder / "company-ca.pem")
    await _move_to(on, f"https://{LOOPBACK}:{port}/{_STAGE}")


async def _certificate_of_another_name(on: Installation) -> None:
    authority = trustme.CA()
    port = await on.exits.enter_async_context(
        domain_front(_upstream(on), tls=certify(authority, "localhost"))
    )
    on.app_settings["EXTRA_CA_FILE"] = _publish(authority.cert_pem, on.folder / "company-ca.pem")
    await _move_to(on, f"https://localhost:{port}/{_STAGE}")
    on.app_settings["AWS_API_BASE_URL"] = f"https://{LOOPBACK}:{port}/{_STAGE}"


async def _without_client_certificate(on: Installation) -> None:
    authority = trustme.CA()
    context = certify(authority, LOOPBACK)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    port = await on.exits.enter_async_context(domain_front(_upstream(on), tls=context))
    on.app_settings["EXTRA_CA_FILE"] = _publish(authority.cert_pem, on.folder / "company-ca.pem")
    issued = authority.issue_cert("function-app.example")
    file = on.folder / "function-app.pem"
    on.facts["client_certificate"] = _publish(issued.private_key_and_cert_chain_pem, file)
    await _move_to(on, f"https://{LOOPBACK}:{port}/{_STAGE}")


async def _wrong_base_path(on: Installation) -> None:
    port = await on.exits.enter_async_context(domain_front(on.stack.api_url, "/bridge"))
    await _move_to(on, f"http://{LOOPBACK}:{port}/bridge")
    on.app_settings["AWS_API_BASE_URL"] = f"http://{LOOPBACK}:{port}/records"


async def _stage_behind_the_domain(on: Installation) -> None:
    port = await on.exits.enter_async_context(domain_front(on.stack.api_url))
    await _move_to(on, f"http://{LOOPBACK}:{port}")
    on.app_settings["AWS_API_BASE_URL"] = f"http://{LOOPBACK}:{port}/{_STAGE}"


async def _throttled_to_nothing(on: Installation) -> None:
    on.throttle(rate=0, burst=0)
    on.exits.callback(on.throttle, rate=200, burst=400)


async def _api_key_wanted(on: Installation) -> None:
    gateway = on.aws("apigateway")
    api_id = on.stack.deployment.api_id
    methods = [
        (resource["id"], method)
        for resource in gateway.get_resources(restApiId=api_id, embed=["methods"])["items"]
        for method in resource.get("resourceMethods", {})
        if "/v1" in resource["path"]
    ]
    assert methods

    def want(value: str) -> None:
        for resource, method in methods:
            gateway.update_method(
                restApiId=api_id,
                resourceId=resource,
                httpMethod=method,
                patchOperations=[{"op": "replace", "path": "/apiKeyRequired", "value": value}],
            )

    key = gateway.create_api_key(name="function-app", enabled=True, value="made-up-key-0123456789")
    plan = gateway.create_usage_plan(name="bridge", apiStages=[{"apiId": api_id, "stage": _STAGE}])
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    want("true")
    # MiniStack takes any text for true.
    on.exits.callback(want, "")


API_ROWS: Final = (
    row("wrong-stage", "AWS_API_BASE_URL ends with a stage that the API does not have.",
        _wrong_stage, "api_unknown", "route_unknown"),
    row("no-stage", "AWS_API_BASE_URL has no stage.",
        _no_stage, "api_unknown", "route_unknown", asked="route"),
    row("stage-twice", "AWS_API_BASE_URL has the stage twice.",
        _stage_twice, "route_unknown", asked="route"),
    row("a-portal", "AWS_API_BASE_URL is the address of a web page.",
        _the_app_itself, "not_the_api", asked="route"),
    row("left-address", "AWS_API_BASE_URL is an address that sends callers elsewhere.",
        _left_address, "api_redirects", asked="route"),
    row("tls-where-none-is", "AWS_API_BASE_URL says https where only http is spoken.",
        _tls_where_none_is, "backend_tls", "backend_protocol", asked="route"),
    row("nobody-listens", "Nobody listens at the port of AWS_API_BASE_URL.",
        _nobody_listens, "backend_unreachable", asked="route"),
    row("name-of-nothing", "The host of AWS_API_BASE_URL has no address.",
        _name_of_nothing, "backend_name_unknown"),
    row("wrong-region", "AWS_API_BASE_URL names another region, which knows no such API.",
        _wrong_region, "api_unknown"),
    row("proxy-is-off", "Nobody listens at API_HTTPS_PROXY.",
        _proxy_is_off, "backend_proxy", asked="route"),
    row("proxy-refuses", "The proxy of API_HTTPS_PROXY does not let this app out.",
        _proxy_refuses, "backend_proxy"),
    row("private-authority", "A private authority certifies the API; EXTRA_CA_FILE is not set.",
        _private_authority, "backend_tls"),
    row("certificate-of-another-name", "AWS_API_BASE_URL is another name than the certificate's.",
        _certificate_of_another_name, "backend_tls_name", asked="route"),
    row("without-client-certificate", "The API wants a client certificate, and the app has none.",
        _without_client_certificate, "client_certificate_refused", asked="route"),
    row("wrong-base-path", "AWS_API_BASE_URL has another base path than the custom domain.",
        _wrong_base_path, "api_unknown", asked="route"),
    row("stage-behind-the-domain", "AWS_API_BASE_URL is the custom domain, and has the stage too.",
        _stage_behind_the_domain, "route_unknown", asked="route"),
    row("throttled-to-nothing", "The stage lets no request through at all.",
        _throttled_to_nothing, "throttled", asked="route"),
    row("api-key-wanted", "The API wants an API key, and AWS_API_KEY is not set.",
        _api_key_wanted, "backend_api_key"),
)  # fmt: skip
