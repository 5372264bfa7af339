"""What an invocation tells of the trace that it belongs to."""

import azure.functions as func

from azure_function_app.call_trace import TraceHeaders


def trace_headers(context: func.Context) -> TraceHeaders:
    """Return the host's own span; some hosts hand over None where there is none."""
    trace = context.trace_context
    return TraceHeaders(trace.trace_parent or "", trace.trace_state or "")
