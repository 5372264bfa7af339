"""Examines this app and all that it depends on, and names what is wrong and what to change.

First the probes look at everything at once, each within a time limit of its own; then the
judgements, which do no I/O, compare what was seen. So a failure is named where it begins, and what
follows from it is not called a failure of its own.
"""
