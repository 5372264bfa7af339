"""The part of Microsoft Graph that registers an API and assigns its app roles.

What it answers follows Microsoft's reference where that says it. The messages of errors are those
that public programs match; not verified against the real service are: that the codes stand beside
exactly these messages, that an update replaces the whole of `api` (the harsher of two readings),
and how long a change takes to be seen.
"""
