"""Each refusal of the proxy stands on the troubleshooting page, with its status."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from azure_function_app.errors import BackendContractError, RequestRefused
from azure_function_app.problem_details import problem_of

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def _codes() -> Iterator[str]:
    """Every code that the proxy's own modules give an error."""
    for file in (CHECKOUT / "azure_function_app" / "proxy").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                match node.value:
                    case ast.Constant(value=str(code)):
                        yield code
                    case _:
                        # Handed on from an error that has it from one of these modules.
                        assert isinstance(node.value, (ast.Name, ast.Attribute))


def test_when_the_proxy_refuses_then_the_page_says_what_to_do() -> None:
    """No code without a row, no row without a code, and no wrong status."""
    section = PAGE.partition("## What the proxy answers itself")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", section, re.MULTILINE)

    statuses = {
        code: str(
            problem_of(
                RequestRefused("", code=code)
                if code.startswith("request_")
                else BackendContractError("", code=code)
            ).status.value
        )
        for code in _codes()
    }
    assert len(rows) == len(dict(rows))
    assert statuses == dict(rows)
