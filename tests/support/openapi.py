"""docs/openapi.yaml, and whether an answer is as it says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text("utf-8")
)

_BASE = "urn:openapi"
_REGISTRY: Registry[Any] = Registry().with_resource(
    _BASE, Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)
_METHODS = ("get", "put", "post", "patch", "delete", "head", "options", "trace")


def described_operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation in the description: method, path, operation."""
    for path, item in DOCUMENT["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def check_described(
    method: str, resource: str, status: int, headers: Mapping[str, str], document: object
) -> None:
    """Raise unless the description has this answer: status, headers, media type and content.

    Header names of the answer are looked up as the description spells them; `document` is None for
    an answer without content.
    """
    operation = DOCUMENT["paths"][resource][method.lower()]
    response = _resolved(operation["responses"][str(status)])
    for name, header in response.get("headers", {}).items():
        if _resolved(header).get("required", False) or name in headers:
            check_schema(headers[name], _resolved(header)["schema"])
    content = response.get("content", {})
    if not content:
        assert document is None
        return
    check_schema(document, content[headers["Content-Type"]]["schema"])


def check_schema(value: object, schema: Mapping[str, Any]) -> None:
    """Raise ValidationError unless the value is what the schema, of the description, allows."""
    Draft202012Validator(_absolute(schema), registry=_REGISTRY).validate(value)


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: f"{_BASE}{value}" if name == "$ref" else _absolute(value)
            for name, value in schema.items()
        }
    return schema
