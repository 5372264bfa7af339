"""The SAM template as CloudFormation gets it: transformed, and read with the parameters' values.

The transform is AWS's own, in process. What CloudFormation does afterward is done here: the
conditions, and the intrinsic functions that the template uses, as far as they need no resource.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from emulator.aws.template_overlay import functions_in

type Template = dict[str, Any]

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")
_NOTHING = object()

# It says at each transform that nobody collects its metrics.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


def transform(template: Mapping[str, Any], parameters: Mapping[str, str]) -> Template:
    """Return what AWS's SAM transform makes of the template with these parameters."""
    packaged = deepcopy(dict(template))
    packaged["Globals"]["Function"].pop("CodeUri")
    for name, properties in functions_in(packaged):
        properties["CodeUri"] = f"s3://bucket/{name}.zip"
    session = boto3.session.Session(region_name="eu-west-1")
    transformed: Template = Translator({}, Parser(), boto_session=session).translate(
        packaged, dict(parameters)
    )
    return transformed


def parameter_values(template: Template, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value: the given one, or its default."""
    return {
        name: str(parameters.get(name, declared.get("Default", "")))
        for name, declared in template["Parameters"].items()
    }


def deployed(template: Template, parameters: Mapping[str, str]) -> Template:
    """Return the resources and outputs that these parameters leave, with their values read in.

    References to resources and to pseudo parameters stay as they are.
    """
    reader = _Reader(template, parameter_values(template, parameters))
    return {
        section: {
            name: reader.read({key: value for key, value in each.items() if key != "Condition"})
            for name, each in template[section].items()
            if reader.holds(each.get("Condition"))
        }
        for section in ("Resources", "Outputs")
    }


def broken_rules(template: Template, parameters: Mapping[str, str]) -> list[str]:
    """Return what CloudFormation says of parameters that the template's rules refuse together."""
    reader = _Reader(template, parameter_values(template, parameters))
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if reader.is_true(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not reader.is_true(assertion["Assert"])
    ]


def references(value: Any) -> Iterator[str]:
    """Return the name of everything that the value refers to, as often as it does."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, inside in value.items():
            if key == "Ref":
                yield inside
            elif key == "Fn::GetAtt":
                yield inside[0] if isinstance(inside, list) else inside.partition(".")[0]
            elif key == "Fn::Sub":
                yield from (name.partition(".")[0] for name in _VARIABLE.findall(inside))
            else:
                yield from references(inside)


def dependencies(resource: Mapping[str, Any]) -> set[str]:
    """Return the logical IDs that CloudFormation makes before the resource."""
    named = resource.get("DependsOn", [])
    return {
        *references(resource.get("Properties", {})),
        *references(resource.get("Metadata", {})),
        *([named] if isinstance(named, str) else named),
    }


class _Reader:
    def __init__(self, template: Template, values: Mapping[str, str]) -> None:
        self._conditions = template.get("Conditions", {})
        self._values = values

    def holds(self, condition: str | None) -> bool:
        return condition is None or self.is_true(self._conditions[condition])

    def is_true(self, condition: Any) -> bool:
        ((function, of),) = condition.items()
        match function:
            case "Fn::Equals":
                left, right = (self.read(each) for each in of)
                return bool(left == right)
            case "Fn::Not":
                return not self.is_true(of[0])
            case "Fn::Or":
                return any(self.is_true(each) for each in of)
            case "Fn::And":
                return all(self.is_true(each) for each in of)
            case "Condition":
                return self.holds(of)
            case _:
                raise NotImplementedError(function)

    def read(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self.read(item) for item in value]
            return [item for item in items if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, of),) = value.items()
            if function in {"Ref", "Fn::If", "Fn::Sub", "Fn::Split"}:
                return self._call(function, of)
        read = {key: self.read(inside) for key, inside in value.items()}
        return {key: inside for key, inside in read.items() if inside is not _NOTHING}

    def _call(self, function: str, of: Any) -> Any:
        if function == "Ref":
            return _NOTHING if of == "AWS::NoValue" else self._values.get(of, {"Ref": of})
        if function == "Fn::If":
            return self.read(of[1] if self.holds(of[0]) else of[2])
        if function == "Fn::Split":
            return str(self.read(of[1])).split(of[0])
        return self._substitute(of)

    def _substitute(self, of: Any) -> Any:
        text, given = (of, {}) if isinstance(of, str) else of
        values = {name: self.read(each) for name, each in given.items()}
        open_values = [each for each in values.values() if not isinstance(each, str)]
        known = {name: each for name, each in values.items() if isinstance(each, str)}

        def fill(found: re.Match[str]) -> str:
            name = found[1]
            return str(known.get(name, self._values.get(name, found[0])))

        filled = _VARIABLE.sub(fill, text)
        if open_values:
            return {"Fn::Join": ["", [{"Fn::Sub": _without(filled, values)}, *open_values]]}
        return {"Fn::Sub": filled} if _VARIABLE.search(filled) else filled


def _without(text: str, values: Mapping[str, Any]) -> str:
    for name in values:
        text = text.replace(f"${{{name}}}", "")
    return text
