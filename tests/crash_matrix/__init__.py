"""Ends the sync at every point, breaks what is around it, and looks at what is in the sink then.

`docs/crash-matrix.md` says what is covered and how to read the result.
"""
