"""What the strict JSON readers have in common."""

import json

import pytest

from shared.formats.json_rules import is_deeper_than, refuse_constant, unique_members


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"o":{"a":1,"b":2,"a":3}}', '[{"":0,"":1}]'])
def test_when_a_member_comes_twice_then_the_object_is_refused(text: str) -> None:
    """At any depth, and also where both values are the same."""
    with pytest.raises(ValueError, match="duplicate"):
        json.loads(text, object_pairs_hook=unique_members)


def test_when_each_member_comes_once_then_the_object_is_read() -> None:
    """Objects inside one another may repeat each other's names."""
    assert {"a": {"a": 1}, "b": {}} == json.loads(
        '{"a":{"a":1},"b":{}}', object_pairs_hook=unique_members
    )


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_when_a_number_is_none_then_it_is_refused(name: str) -> None:
    """Python reads them by itself, JSON has no word for them."""
    with pytest.raises(ValueError, match=f"^{name} is not JSON$"):
        json.loads(f"[{name}]", parse_constant=refuse_constant)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("{}", 1),
        ("[]", 1),
        ('{"a":1}', 1),
        ('{"a":[],"b":1}', 2),
        ('{"a":[1,{}],"b":{}}', 3),
        ("[[[[]]],[]]", 4),
    ],
)
def test_when_containers_nest_then_their_levels_are_counted(text: str, levels: int) -> None:
    """The outermost is the first level, and the deepest branch counts."""
    container = json.loads(text)

    assert [True, False] == [
        is_deeper_than(levels - 1, container),
        is_deeper_than(levels, container),
    ]
