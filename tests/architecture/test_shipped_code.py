"""What is deployed imports nothing that is not deployed with it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundling.bundles import RECIPES

CHECKOUT = Path(__file__).parents[2]
SHIPPED = {
    # tests/contract/test_funcignore.py holds that Azure gets these and no others.
    "FunctionApp": ("function_app.py", "azure_function_app", "shared"),
    **{function: (recipe.package, "shared") for function, recipe in RECIPES.items()},
}
OURS = {file.parent.name for file in CHECKOUT.glob("*/__init__.py")} | {"scripts"}


@pytest.mark.parametrize("deployable", SHIPPED)
def test_when_code_ships_then_all_that_it_imports_of_ours_ships_with_it(deployable: str) -> None:
    """An import of the emulator, the bundle builder or the command line fails in the cloud."""
    shipped = {Path(name).stem for name in SHIPPED[deployable]}

    strays = {
        f"{file.relative_to(CHECKOUT)}: {name}"
        for file in _files(SHIPPED[deployable])
        for name in _mentioned_modules(file)
        if name.partition(".")[0] in OURS - shipped
    }

    assert set() == strays


def test_when_the_function_app_ships_then_it_has_no_client_of_queues() -> None:
    """The local host's environment has one, which would hide that the deployed app has none."""
    strays = {
        f"{file.relative_to(CHECKOUT)}: {name}"
        for file in _files(SHIPPED["FunctionApp"])
        for name in _mentioned_modules(file)
        if name.startswith("azure.storage.queue")
    }

    assert set() == strays


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = CHECKOUT / name
        files = list(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, f"{name} is not there"
        yield from files


def _mentioned_modules(file: Path) -> Iterator[str]:
    """Every import, late ones too, and every text that could name a module to import by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module
            case ast.Constant(value=str(text)) if text.partition(".")[2].isidentifier():
                yield text
            case _:
                pass
