"""Every setting of every deployable, from the declarations that the code itself reads."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import aws_authorizer.settings
import aws_backend.settings
import azure_function_app.declared_settings
from shared.contract import CONTRACT_SETTINGS
from shared.settings_reader import Setting

_TITLES: Final = {
    "contract": "Both clouds, alike",
    "function-app": "The Function App",
    "authorizer": "The authorizer",
    "backend": "The backend",
}


def settings_by_deployable() -> Mapping[str, tuple[Setting[object], ...]]:
    """Return the declared settings; those of the contract stand only under `contract`."""
    own: dict[str, tuple[Setting[object], ...]] = {
        "function-app": azure_function_app.declared_settings.SETTINGS,
        "authorizer": aws_authorizer.settings.SETTINGS,
        "backend": aws_backend.settings.SETTINGS,
    }
    return {"contract": CONTRACT_SETTINGS} | {
        name: tuple(setting for setting in settings if setting not in CONTRACT_SETTINGS)
        for name, settings in own.items()
    }


def to_markdown() -> str:
    """Return the tables as the README shows them."""
    sections = [
        f"### {_TITLES[name]}\n\n{_table(settings)}"
        for name, settings in settings_by_deployable().items()
    ]
    return "\n\n".join(sections)


def to_json() -> str:
    """Return the settings as one JSON object, by deployable."""
    return json.dumps(
        {
            name: [
                {
                    "name": setting.name,
                    "meaning": setting.meaning,
                    "expects": setting.expects,
                    "default": setting.default,
                    "is_secret": setting.is_secret,
                }
                for setting in settings
            ]
            for name, settings in settings_by_deployable().items()
        },
        indent=2,
    )


def _table(settings: Iterable[Setting[object]]) -> str:
    rows = ["| Setting | What it is for | Expected | Default |", "|---|---|---|---|"]
    rows += [
        f"| `{setting.name}` | {_cell(setting.meaning)} | {_cell(setting.expects)} |"
        f" {_default(setting)} |"
        for setting in settings
    ]
    return "\n".join(rows)


def _default(setting: Setting[object]) -> str:
    if setting.default is None:
        return "required"
    return f"`{setting.default}`" if setting.default else "nothing"


def _cell(text: str) -> str:
    # Markdown would take what stands in angle brackets for HTML.
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
