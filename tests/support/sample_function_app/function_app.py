"""Functions that show what reached them, fail, dawdle, or tick."""

import asyncio
import base64
import json
import logging
import os
import time
from pathlib import Path

import azure.functions as func

LOG = logging.getLogger(__name__)
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="echo/{*path}")
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """What the worker made of the request."""
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
        "body": base64.b64encode(req.get_body()).decode(),
        "traceparent": context.trace_context.trace_parent,
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="items/{id:int}", methods=["GET"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    """A synchronous function with a constrained parameter."""
    LOG.info("item asked for")
    return func.HttpResponse(req.route_params["id"])


@app.route(route="respond", methods=["GET", "HEAD"])
async def respond(req: func.HttpRequest) -> func.HttpResponse:
    """A response with the status and the headers that the query asks for."""
    response = func.HttpResponse(
        b"\x00\xff body", status_code=int(req.params.get("status", "200")), mimetype="x/y"
    )
    for pair in filter(None, req.params.get("headers", "").split("|")):
        name, _, value = pair.partition(":")
        response.headers.add(name, value)
    return response


@app.route(route="text")
async def text(req: func.HttpRequest) -> str:
    """Text in place of a response."""
    return f"{req.method} text"


@app.route(route="fail")
async def fail(req: func.HttpRequest) -> func.HttpResponse:
    """No response at all."""
    raise RuntimeError(f"private reason of {req.method} {req.params.get('token', '')}")


@app.route(route="nothing")
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    """None, where a response is due."""
    LOG.info("%s gets nothing", req.method)
    return None  # type: ignore[return-value]  # the mistake that is tested


@app.route(route="dawdle")
async def dawdle(req: func.HttpRequest) -> func.HttpResponse:
    """A response after as many seconds as asked for."""
    LOG.info("dawdling")
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("at last")


@app.route(route="stick")
def stick(req: func.HttpRequest) -> func.HttpResponse:
    """A thread that is held for as many seconds as asked for."""
    LOG.info("sticking")
    time.sleep(float(req.params["seconds"]))
    return func.HttpResponse("at last")


@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%")
async def tick(timer: func.TimerRequest) -> None:
    """Note that the timer fired."""
    with Path(os.environ["TICK_FILE"]).open("a") as ticks:  # noqa: TID251, ASYNC230 - an app of its own
        ticks.write(
            json.dumps(
                {"past_due": timer.past_due, "status": getattr(timer, "schedule_status", None)}
            )
            + "\n"
        )
