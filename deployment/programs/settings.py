"""The environment that the programs which we run get; the only place that reads it."""

import os
from collections.abc import Mapping


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these variables set, for a program that we run."""
    return {**os.environ, **variables}
