"""Reads a SAM template into plain values."""

from pathlib import Path
from typing import Any

import yaml

# CloudFormation's short tags, in the long form that JSON and the SAM transform use.
_FULL_NAMES = {"Ref": "Ref", "Condition": "Condition"}


class _TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's intrinsic functions."""


def _construct_intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: object = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has three kinds of node
        value = loader.construct_mapping(node, deep=True)
    return {_FULL_NAMES.get(suffix, f"Fn::{suffix}"): value}


_TemplateLoader.add_multi_constructor("!", _construct_intrinsic)


def load_template(path: Path) -> dict[str, Any]:
    """Return the template as plain values, every intrinsic function in its long form."""
    template: dict[str, Any] = yaml.load(path.read_text("utf-8"), _TemplateLoader)  # noqa: S506 - a SafeLoader
    return template
