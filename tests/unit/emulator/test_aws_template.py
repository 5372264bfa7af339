from pathlib import Path
from typing import Any

import pytest

from emulator.aws.template import load_template


def loaded(folder: Path, text: str) -> dict[str, Any]:
    """The text, read as a template."""
    file = folder / "template.yaml"
    file.write_text(text)
    return load_template(file)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref Table", {"Ref": "Table"}),
        ("!Condition IsBig", {"Condition": "IsBig"}),
        ("!GetAtt Table.Arn", {"Fn::GetAtt": ["Table", "Arn"]}),
        ("!GetAtt Stack.Outputs.Url", {"Fn::GetAtt": ["Stack", "Outputs.Url"]}),
        ("!Sub a-${b}", {"Fn::Sub": "a-${b}"}),
        ("!Equals [!Ref A, '']", {"Fn::Equals": [{"Ref": "A"}, ""]}),
        ("!Sub ['${x}', {x: !Ref A}]", {"Fn::Sub": ["${x}", {"x": {"Ref": "A"}}]}),
        ("!Transform {Name: AWS::Include}", {"Fn::Transform": {"Name": "AWS::Include"}}),
    ],
)
def test_when_a_function_is_short_then_it_is_read_in_its_long_form(
    tmp_path: Path, short: str, long: object
) -> None:
    """CloudFormation's tags become what its JSON form says, at any depth."""
    assert {"value": long} == loaded(tmp_path, f"value: {short}")


def test_when_a_value_has_no_tag_then_it_is_plain_yaml(tmp_path: Path) -> None:
    """Numbers, booleans and quoted text stay what they are."""
    template = loaded(tmp_path, 'a: 1\nb: true\nc: "1"\nd: [x, {e: f}]')

    assert {"a": 1, "b": True, "c": "1", "d": ["x", {"e": "f"}]} == template


def test_when_a_tag_would_make_an_object_then_it_is_only_a_function_name(tmp_path: Path) -> None:
    """Python's own YAML tags are not obeyed."""
    with pytest.raises(Exception, match="python/object"):
        loaded(tmp_path, "a: !!python/object/apply:os.getcwd []")
