"""Functions that note what they were given, and do what their message says."""

import asyncio
import json
import os
import time
import typing
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def note(**members: object) -> None:
    """Append a line to the notes; several processes write there."""
    line = json.dumps({"process": os.getpid(), "at": time.time(), **members})  # noqa: TID251 - an app of its own
    with Path(os.environ["NOTES"]).open("a") as notes:  # noqa: TID251 - as above
        notes.write(line + "\n")


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="result", queue_name="%RESULT_QUEUE%", connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage, result: func.Out[str]) -> None:
    """Do what the message says: `succeed`, `fail`, or `dawdle` for some seconds."""
    text = message.get_body().decode()
    moment = message.insertion_time
    note(
        began=text,
        id=message.id,
        attempt=message.dequeue_count,
        inserted=moment.isoformat() if moment else None,
    )
    result.set(f"result of {text}")
    verb, _, seconds = text.partition(" ")
    if verb == "dawdle":
        await asyncio.sleep(float(seconds))
    if verb == "fail":
        raise RuntimeError("asked to fail")
    note(ended=text)


@app.queue_trigger(
    arg_name="message", queue_name="%POISON_QUEUE%", connection="AzureWebJobsStorage"
)
def poisoned(message: func.QueueMessage) -> None:
    """Fail on what has failed already."""
    note(poisoned=message.get_body().decode(), attempt=message.dequeue_count)
    raise RuntimeError("this one fails too")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
@app.queue_output(
    arg_name="messages", queue_name="%RESULT_QUEUE%", connection="AzureWebJobsStorage"
)
def plan(
    timer: func.TimerRequest,
    messages: func.Out[typing.List[str]],  # noqa: UP006 - the worker library refuses list[str]
) -> None:
    """Send two messages, and then fail if there is a file that says so."""
    note(planned=timer.past_due)
    messages.set(['{"shard": 0}', '{"shard": 1}'])
    if Path(os.environ["NOTES"]).with_name("plan-fails").exists():  # noqa: TID251 - as above
        raise RuntimeError("after its outputs were set")


@app.route(route="send")
@app.queue_output(arg_name="message", queue_name="%RESULT_QUEUE%", connection="%ABSENT%")
async def unconnected(req: func.HttpRequest, message: func.Out[bytes]) -> str:
    """Set an output whose connection is nowhere."""
    message.set(req.get_body())
    return "sent"


@app.route(route="return")
@app.queue_output(arg_name="message", queue_name="%RESULT_QUEUE%", connection="AzureWebJobsStorage")
async def forward(req: func.HttpRequest, message: func.Out[bytes]) -> str:
    """Set an output to the bytes of the body."""
    message.set(req.get_body())
    return "sent"
