"""Entries stay thin, and each deployable reads its environment in one place."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
ENTRIES = {
    "function_app.py": 10,
    "azure_function_app/app.py": 60,
    "azure_function_app/functions/sync_timer.py": 60,
    "azure_function_app/functions/sync_shards.py": 60,
    "azure_function_app/functions/http_proxy.py": 60,
    "azure_function_app/functions/health.py": 60,
    "azure_function_app/functions/doctor.py": 60,
    "aws_authorizer/handler.py": 100,
    "aws_backend/handlers/records.py": 120,
    "aws_backend/handlers/discovery.py": 80,
    "aws_backend/handlers/health.py": 80,
}
DEPLOYABLES = ("azure_function_app", "aws_authorizer", "aws_backend", "shared")


@pytest.mark.parametrize(("path", "most"), ENTRIES.items())
def test_when_an_entry_grows_then_its_logic_must_move_out(path: str, most: int) -> None:
    """An entry has a budget of statements' lines, so that it can be read aloud."""
    tree = ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))
    lines = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not _is_docstring(node)
    }

    assert len(lines) <= most


@pytest.mark.parametrize("package", DEPLOYABLES)
def test_when_the_environment_is_read_then_it_is_in_settings(package: str) -> None:
    """`os.environ` stands in `settings.py` and nowhere else."""
    readers = {
        path.name
        for path in (CHECKOUT / package).rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }

    assert readers <= {"settings.py"}


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
