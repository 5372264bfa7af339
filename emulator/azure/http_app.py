"""The local Azure's interface, for our own client only: it is not Azure Resource Manager's.

| Request | Body | Answer |
|---|---|---|
| `PUT /deployments/<layer>` | `module`, `parameters`, `digest` | `digest`, `outputs` |
| `GET /deployments/<layer>` | | the same |
| `GET, PATCH /tags` | tags to set; null takes one away | the resource group's tags |
| `PUT /sites/<name>/package` | a zip file | as below |
| `GET /sites/<name>` | | `name`, `state`, `url`, `package_sha256`, `problem`, `tags` |
| `PATCH /sites/<name>/tags` | as above | the site's tags |
| `GET /sites/<name>/keys` | | `master`, `function`: secrets |

An answer other than 200 has a stable `code` and a `message` that says what to change. What a
request has begun goes on to its end when its client is gone, and requests that change something
wait for each other.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from aiohttp import ClientPayloadError, web

from emulator.azure.errors import AzureRefusal
from emulator.azure.package_file import MOST_ZIP_BYTES
from emulator.azure.resource_group import Deployed, LocalResourceGroup
from emulator.azure.site import Site
from emulator.loopback import LOOPBACK

_MOST_JSON_BYTES: Final = 1_000_000
_READ_AT_ONCE: Final = 1 << 16
_LAYER: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class AzureService:
    """What the request handlers work with."""

    group: LocalResourceGroup
    uploads: Path
    """Where a package lies while it arrives."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


_SERVICE = web.AppKey("service", AzureService)


def build_http_app(service: AzureService) -> web.Application:
    """Return the application that serves the local Azure."""
    app = web.Application(client_max_size=_MOST_JSON_BYTES, middlewares=[_say_refusals])
    app[_SERVICE] = service
    app.router.add_put("/deployments/{layer}", _deploy)
    app.router.add_get("/deployments/{layer}", _get_deployment)
    app.router.add_get("/tags", _get_tags)
    app.router.add_patch("/tags", _set_tags)
    app.router.add_get("/sites/{name}", _get_site)
    app.router.add_put("/sites/{name}/package", _publish)
    app.router.add_get("/sites/{name}/keys", _get_keys)
    app.router.add_patch("/sites/{name}/tags", _set_site_tags)
    return app


@web.middleware
async def _say_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    # A page in a browser reaches loopback too, by a name of its own for it (DNS rebinding).
    if request.host.partition(":")[0] not in {LOOPBACK, "localhost"}:
        return _refused(AzureRefusal(HTTPStatus.FORBIDDEN, "host_unknown", "Ask for 127.0.0.1."))
    try:
        return await handler(request)
    except AzureRefusal as refusal:
        return _refused(refusal)


def _refused(refusal: AzureRefusal) -> web.Response:
    body = {"code": refusal.code, "message": str(refusal)}
    return web.json_response(body, status=refusal.status)


async def _deploy(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    layer = request.match_info["layer"]
    asked = await _read_object(request)
    match asked:
        case {"module": str(module), "parameters": dict(parameters), "digest": str(digest)} if (
            _LAYER.fullmatch(layer)
        ):
            pass
        case _:
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST,
                "request_invalid",
                "Name the layer in small letters, and give module, parameters and digest.",
            )
    async with service.changing:
        deployed = await service.group.deploy(layer, module, parameters, digest)
    return _show_deployed(deployed)


async def _get_deployment(request: web.Request) -> web.Response:
    layer = request.match_info["layer"]
    deployed = request.app[_SERVICE].group.deployments.get(layer)
    if deployed is None:
        raise AzureRefusal(
            HTTPStatus.NOT_FOUND, "deployment_not_found", f"{layer} has not been deployed."
        )
    return _show_deployed(deployed)


def _show_deployed(deployed: Deployed) -> web.Response:
    return web.json_response({"digest": deployed.digest, "outputs": dict(deployed.outputs)})


async def _get_tags(request: web.Request) -> web.Response:
    return web.json_response(request.app[_SERVICE].group.tags)


async def _set_tags(request: web.Request) -> web.Response:
    group = request.app[_SERVICE].group
    group.tags = await _merge_tags(request, group.tags)
    return web.json_response(group.tags)


async def _get_site(request: web.Request) -> web.Response:
    return _show_site(request.app[_SERVICE].group.find_site(request.match_info["name"]))


def _show_site(site: Site) -> web.Response:
    return web.json_response(
        {
            "name": site.name,
            "state": site.state,
            "url": site.url,
            "package_sha256": site.package_digest,
            "problem": site.problem,
            "tags": dict(site.tags),
        }
    )


async def _get_keys(request: web.Request) -> web.Response:
    site = request.app[_SERVICE].group.find_site(request.match_info["name"])
    return web.json_response(dict(site.keys), headers={"Cache-Control": "no-store"})


async def _set_site_tags(request: web.Request) -> web.Response:
    site = request.app[_SERVICE].group.find_site(request.match_info["name"])
    tags = await _merge_tags(request, site.tags)
    site.tags = tags
    return web.json_response(tags)


async def _publish(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    site = service.group.find_site(request.match_info["name"])
    service.uploads.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=service.uploads, suffix=".zip") as upload:
        received = 0
        try:
            async for chunk in request.content.iter_chunked(_READ_AT_ONCE):
                received += len(chunk)
                if received > MOST_ZIP_BYTES:
                    raise AzureRefusal(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        "package_too_large",
                        f"The package has more than {MOST_ZIP_BYTES:,} bytes.",
                    )
                upload.write(chunk)
        except (ClientPayloadError, ConnectionError):
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST, "upload_cut_off", "The package did not arrive whole."
            ) from None
        upload.flush()
        async with service.changing:
            await site.publish(Path(upload.name))
    return _show_site(site)


async def _merge_tags(request: web.Request, tags: Mapping[str, str]) -> dict[str, str]:
    changes = await _read_object(request)
    if not all(value is None or isinstance(value, str) for value in changes.values()):
        raise AzureRefusal(
            HTTPStatus.BAD_REQUEST, "request_invalid", "Each tag must be a text, or null."
        )
    return {name: value for name, value in {**tags, **changes}.items() if value is not None}


async def _read_object(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AzureRefusal(
            HTTPStatus.BAD_REQUEST, "request_invalid", "The body must be a JSON object."
        )
    return document
