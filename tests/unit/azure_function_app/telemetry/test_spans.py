"""Spans where telemetry is off."""

import subprocess
import sys

import pytest

from azure_function_app.telemetry.spans import NO_SPAN, NO_SPANS


def test_when_telemetry_is_off_then_a_span_is_nothing() -> None:
    """It has no place in a trace, and takes what it is told."""
    with NO_SPANS.span("work", {"a": 1}, calls="https://api.example") as span:
        span.set({"b": 2})
        span.fail("broken")

    assert span.context is None
    assert NO_SPAN is span


def test_when_work_raises_then_it_raises() -> None:
    """The block takes no error away."""
    with pytest.raises(KeyError), NO_SPANS.span("work"):
        raise KeyError


def test_when_telemetry_is_off_then_nothing_imports_open_telemetry() -> None:
    """A cold start pays for it only where it is on."""
    code = (
        "import sys, azure_function_app.bootstrap, azure_function_app.aws_api.client;"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "print(sorted(loaded & {'opentelemetry', 'psutil'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
