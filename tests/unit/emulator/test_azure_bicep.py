"""What a Bicep module comes to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.bicep import BicepError, Evaluated, Resource, ResourceGroup, evaluate

GROUP = ResourceGroup(
    subscription_id="5b5b5b5b-0000-4000-8000-000000000001",
    tenant_id="11111111-2222-4333-8444-555555555555",
    name="rg-bridge-dev",
    location="westeurope",
)
ACCOUNT = (
    "resource store 'Microsoft.Storage/storageAccounts@2025-06-01' = {\n"
    "  name: 'store'\n"
    "  location: resourceGroup().location\n"
    "}\n"
)
ACCOUNT_ID = f"{GROUP.id}/providers/Microsoft.Storage/storageAccounts/store"


def run(folder: Path, text: str, lookup: Any = None, **values: object) -> Evaluated:
    """What the module says, with every resource in this state."""
    file = folder / "main.bicep"
    file.write_text(text, "utf-8")
    return evaluate(file, values, lambda _resource: {"properties": lookup or {}}, GROUP)


def worth(folder: Path, expression: str, before: str = "", **values: object) -> object:
    """What the expression is worth after these lines."""
    made = run(
        folder,
        f"{before}\nresource only 'Some.Provider/things@1' = {{\n"
        f"  name: 'only'\n  properties: {{\n    value: {expression}\n  }}\n}}\n",
        **values,
    )
    return made.resources[-1].properties["value"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'plain'", "plain"),
        ("'a${'b${'c'}'}${1}d'", "abc1d"),
        (r"'it\'s \${no} \\ \n'", "it's ${no} \\ \n"),
        ("null", None),
        ("-3 + 5 - 1", 1),
        ("10 - 4 - 3", 3),
        ("1 + 2 > 2 && 3 <= 3 || false", True),
        ("true || false && false", True),
        ("!true == false", True),
        ("2 > 1 ? 'more' : 'less'", "more"),
        ("'a' == 'b' ? 1 : 'a' == 'c' ? 2 : 3", 3),
        ("1 == true", False),
        ("'A' == 'a'", False),
        ("null ?? 'other'", "other"),
        ("false ?? true", False),
        ("{ a: { b: [1, 2] } }.a.b[1]", 2),
        ("{ a: 1 }.?b ?? 'none'", "none"),
        ("[1][?3] ?? 'none'", "none"),
        ("{ '${'k'}ey': 1, other: 2 }", {"key": 1, "other": 2}),
        ("[for each in ['a', 'b']: '${each}!']", ["a!", "b!"]),
        ("[for (each, at) in ['a', 'b']: { '${each}': at }]", [{"a": 0}, {"b": 1}]),
        ("union({ a: { x: 1 }, b: 1 }, { a: { y: 2 }, b: 2 })", {"a": {"x": 1, "y": 2}, "b": 2}),
        ("union([1, 2], [2, 3])", [1, 2, 3]),
        ("concat([1], [], [1])", [1, 1]),
        ("[empty(''), empty([]), empty({}), empty(null), empty('x')]", [True] * 4 + [False]),
        ("items({ b: 2, a: 1 })", [{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
        ("filter([1, 2, 3], each => each > 1)", [2, 3]),
        ("toObject(['a', 'b'], each => each, each => '${each}!')", {"a": "a!", "b": "b!"}),
        ("min(3, int('2'))", 2),
        ("string(512)", "512"),
        ("[startsWith('abc', 'AB'), startsWith('abc', 'b')]", [True, False]),
        ("join(['a', 'b'], ', ')", "a, b"),
        ("tenant().tenantId", GROUP.tenant_id),
        ("resourceGroup().name", GROUP.name),
        ("environment().suffixes.storage", "core.windows.net"),
        (
            "subscriptionResourceId('A.B/kinds', 'one')",
            f"/subscriptions/{GROUP.subscription_id}/providers/A.B/kinds/one",
        ),
    ],
)
def test_when_an_expression_is_evaluated_then_it_is_worth_what_bicep_says(
    tmp_path: Path, expression: str, expected: object
) -> None:
    """Operators bind, associate and compare as in Bicep; functions do what their pages say."""
    assert expected == worth(tmp_path, expression)


def test_when_a_guid_is_made_then_it_depends_on_every_argument(tmp_path: Path) -> None:
    """The same arguments make the same name, so that a second deployment changes nothing."""
    first, again, other = (
        worth(tmp_path, f"guid('a', '{last}')", f"// {turn}")
        for turn, last in enumerate(["b", "b", "c"])
    )

    assert first == again
    assert first != other


def test_when_only_one_side_is_taken_then_the_other_is_not_evaluated(tmp_path: Path) -> None:
    """What is not deployed has no properties, and nobody asks for them."""
    text = "param is_on bool = false\nresource maybe 'A.B/c@1' = if (is_on) {\n  name: 'c'\n}\n"

    value = worth(tmp_path, "is_on ? maybe.properties.x : 'off'", text)

    assert "off" == value


# --- parameters -----------------------------------------------------------------------------------

BOUNDED = """
@description('How many.')
@minValue(1)
@maxValue(3)
param many int = 2
@allowed([
  'a'
  'b'
])
param kind string = 'a'
@minLength(2)
@maxLength(4)
param short string = 'abc'
param maybe int?
param must string
param follows string = '${must}-${kind}'
output all array = [many, kind, short, maybe ?? 0, follows]
"""


def test_when_parameters_are_left_out_then_their_defaults_hold(tmp_path: Path) -> None:
    """A default may be made of other parameters."""
    assert [2, "a", "abc", 0, "x-a"] == run(tmp_path, BOUNDED, must="x").outputs["all"]


def test_when_parameters_are_given_then_they_hold(tmp_path: Path) -> None:
    """At their bounds too."""
    made = run(tmp_path, BOUNDED, must="x", many=3, kind="b", short="ab", maybe=7)

    assert [3, "b", "ab", 7, "x-b"] == made.outputs["all"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "'must' is missing"),
        ({"must": None}, "'must' is missing"),
        ({"must": 1}, "'must' is int, not string"),
        ({"must": "x", "many": True}, "'many' is bool, not int"),
        ({"must": "x", "many": "2"}, "'many' is string, not int"),
        ({"must": "x", "many": 0}, r"'many' is outside @minValue\(1\)"),
        ({"must": "x", "many": 4}, r"'many' is outside @maxValue\(3\)"),
        ({"must": "x", "short": "a"}, r"'short' is outside @minLength\(2\)"),
        ({"must": "x", "short": "abcde"}, r"'short' is outside @maxLength\(4\)"),
        ({"must": "x", "kind": "A"}, "'kind' is none of a, b"),
        ({"must": "x", "othr": 1}, "there is no parameter 'othr'"),
    ],
)
def test_when_a_parameter_is_not_right_then_it_is_named(
    tmp_path: Path, values: dict[str, object], problem: str
) -> None:
    """As Resource Manager would refuse it, before anything is made."""
    with pytest.raises(BicepError, match=problem):
        run(tmp_path, BOUNDED, **values)


# --- resources ------------------------------------------------------------------------------------


def test_when_a_resource_is_made_then_it_has_its_name_id_and_body(tmp_path: Path) -> None:
    """The body is all but what says where the resource stands."""
    (store,) = run(tmp_path, ACCOUNT).resources

    assert store == Resource(
        symbol="store",
        type="Microsoft.Storage/storageAccounts",
        api_version="2025-06-01",
        name="store",
        id=ACCOUNT_ID,
        is_existing=False,
        body={"location": "westeurope"},
        depends_on=(),
    )


def test_when_a_resource_has_a_parent_or_a_scope_then_its_id_says_so(tmp_path: Path) -> None:
    """A child's name begins with its parent's; a role stands below what it is for."""
    made = run(
        tmp_path,
        "resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {\n"
        "  parent: store\n  name: 'default'\n}\n"
        "resource role 'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n"
        "  scope: store\n  name: 'r'\n  dependsOn: [\n    blobs\n  ]\n}\n" + ACCOUNT,
    )

    assert ["store", "blobs", "role"] == [each.symbol for each in made.resources]
    assert "store/default" == made.resources[1].name
    assert f"{ACCOUNT_ID}/blobServices/default" == made.resources[1].id
    assert f"{ACCOUNT_ID}/providers/Microsoft.Authorization/roleAssignments/r" == (
        made.resources[2].id
    )
    assert (f"{ACCOUNT_ID}/blobServices/default",) == made.resources[2].depends_on


def test_when_a_condition_does_not_hold_then_the_resource_is_not_made(tmp_path: Path) -> None:
    """Nor does anything depend on it then."""
    made = run(
        tmp_path,
        "param is_on bool\nresource maybe 'A.B/c@1' = if (is_on) {\n  name: 'c'\n}\n"
        "resource always 'A.B/c@1' = {\n  name: 'd'\n  dependsOn: [\n    maybe\n  ]\n}\n",
        is_on=False,
    )

    assert [("always", ())] == [(each.symbol, each.depends_on) for each in made.resources]


def test_when_a_resource_stands_in_a_loop_then_there_is_one_for_each_item(tmp_path: Path) -> None:
    """Each can be had by its place."""
    made = run(
        tmp_path,
        "resource zones 'A.B/zones@1' = [for each in ['x', 'y']: {\n  name: each\n}]\n"
        "resource links 'A.B/zones/links@1' = [for (each, at) in ['x', 'y']: {\n"
        "  parent: zones[at]\n  name: 'link'\n}]\n",
    )

    assert ["x", "y", "x/link", "y/link"] == [each.name for each in made.resources]


def test_when_a_made_resource_is_looked_up_then_it_is_asked_for_once(tmp_path: Path) -> None:
    """What makes an identity must not make two."""
    asked: list[Resource] = []
    file = tmp_path / "main.bicep"
    file.write_text(
        f"{ACCOUNT}output a string = store.properties.x\noutput b string = store.properties.x\n",
        "utf-8",
    )

    def lookup(resource: Resource) -> Mapping[str, object]:
        asked.append(resource)
        return {"properties": {"x": "y"}}

    outputs = evaluate(file, {}, lookup, GROUP).outputs

    assert {"a": "y", "b": "y"} == outputs
    assert [ACCOUNT_ID] == [resource.id for resource in asked]


def test_when_a_resource_exists_already_then_it_is_looked_up_and_not_made(tmp_path: Path) -> None:
    """`existing` refers to what another module has made."""
    made = run(
        tmp_path,
        "resource old 'A.B/c@1' existing = {\n  name: 'c'\n}\noutput x string = old.properties.x\n",
        {"x": "y"},
    )

    assert ((), {"x": "y"}) == (made.resources, made.outputs)


# --- what is refused ------------------------------------------------------------------------------

CIRCLE = (
    "resource a 'A.B/c@1' = {\n  name: 'a'\n  x: b.id\n}\n"
    "resource b 'A.B/c@1' = {\n  name: 'b'\n  x: a.id\n}\n"
)
ABSENT = "resource no 'A.B/c@1' = if (false) {\n  name: 'c'\n}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("var a = b\nvar b = a\noutput x string = a\n", "'a' needs itself"),
        ("param a string = a\n", "'a' needs itself"),
        (
            CIRCLE,
            "'a' needs itself",
        ),
        ("output x string = nobody\n", "'nobody' is declared nowhere"),
        ("output x string = uniqueString('a')\n", r"uniqueString\(\) is not evaluated"),
        ("output x string = listKeys('a', 'b')\n", r"listKeys\(\) is not evaluated"),
        ("output x bool = empty()\n", r"empty\(\) takes other arguments"),
        ("output x bool = empty(1)\n", r"empty\(\) takes no int"),
        ("output x string = string(true)\n", "takes a string or a number, no bool"),
        ("output x string = string([1])\n", "takes a string or a number, no array"),
        ("output x string = 'a${true}'\n", "bool cannot stand in a string"),
        ("output x string = 'a${null}'\n", "null cannot stand in a string"),
        ("output x int = int('1.5')\n", "a string of digits"),
        ("output x int = 7 / 2\n", "'/' is not evaluated"),
        ("output x bool = 'a' < 'b'\n", "expected a number, not string"),
        ("output x bool = true && 1\n", "is no bool, but int"),
        ("output x string = 1 ? 'a' : 'b'\n", "is no bool, but int"),
        ("output x string = { a: 1 }.b\n", "'b' is not in the object"),
        ("output x string = 1\n", "'x' is int, not string"),
        ("output x int = [1][2]\n", "2 is not in the array"),
        ("output x int = [1][true]\n", "True is not in the array"),
        ("output x array = filter([1], each => 1)\n", "by a bool, not by int"),
        ("output x array = filter([1], 1)\n", "takes a lambda"),
        ("output x array = [for each in 'ab': each]\n", "over an array, not over string"),
        ("output x array = union([1], { a: 1 })\n", "takes no array with object"),
        (f"{ACCOUNT}output x array = [store]\n", "no value that can be sent"),
        (f"{ACCOUNT}output x string = store.properties.y\n", "'y' is not in the object"),
        (f"{ACCOUNT}output x string = store.identity.y\n", "nobody knows the 'identity'"),
        (
            f"{ABSENT}output x string = no.properties.y\n",
            "'no' is not deployed",
        ),
        ("resource x 'A.B/c@1' = {\n  location: 'a'\n}\n", "'x' has no name"),
        ("resource x 'A.B/c/d@1' = {\n  name: 'a'\n}\n", "does not fit its type"),
        ("resource x 'A.B/c@1' = {\n  name: 'a'\n  scope: 'b'\n}\n", "scope of 'x'"),
        ("resource x 'A.B/c/d@1' = {\n  name: 'a'\n  parent: 'b'\n}\n", "parent of 'x'"),
        ("@sealed()\nparam x object = {}\n", "@sealed, which is not evaluated"),
    ],
)
def test_when_a_module_asks_for_what_cannot_be_had_then_it_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    """Never a guess: what is not evaluated here, or wrong, is an error that says which."""
    with pytest.raises(BicepError, match=problem):
        run(tmp_path, text)


def test_when_each_string_is_made_of_two_then_it_ends_before_memory_does(tmp_path: Path) -> None:
    """Sixty lines would say 2^60 characters."""
    lines = [
        "var v0 = 'xxxxxxxx'",
        *(f"var v{at} = '${{v{at - 1}}}${{v{at - 1}}}'" for at in range(1, 60)),
    ]

    with pytest.raises(BicepError, match="longer than 131072"):
        run(tmp_path, "\n".join([*lines, "output x string = v59", ""]))


def test_when_each_array_is_made_of_two_then_it_ends_before_memory_does(tmp_path: Path) -> None:
    """The same with items."""
    lines = ["var v0 = [1]", *(f"var v{at} = concat(v{at - 1}, v{at - 1})" for at in range(1, 40))]

    with pytest.raises(BicepError, match="more than 10000 items"):
        run(tmp_path, "\n".join([*lines, "output x array = v39", ""]))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(
            [
                "var v0 = 1",
                *(f"var v{at} = v{at - 1}" for at in range(1, 2000)),
                "output x int = v1999",
                "",
            ]
        ),
        f"output x int = {'1 + ' * 3000}1\n",
        "var a = {}\noutput x object = a" + ".a" * 3000 + "\n",
        f"output x int = {'(' * 3000}1{')' * 3000}\n",
        f"output x array = {'[' * 3000}1{']' * 3000}\n",
        "output x string = " + "'${" * 3000 + "1" + "}'" * 3000 + "\n",
        "output x int = " + "true ? " * 3000 + "1" + " : 2" * 3000 + "\n",
        "output x array = " + "filter([1], a => " * 200 + "true" + ")" * 200 + "\n",
    ],
    ids=["names", "sum", "members", "brackets", "arrays", "strings", "choices", "lambdas"],
)
def test_when_values_need_each_other_too_deep_then_it_is_refused(tmp_path: Path, text: str) -> None:
    """A RecursionError would say nothing of where."""
    with pytest.raises(BicepError, match="too deep"):
        run(tmp_path, text)


def test_when_each_item_is_two_of_the_one_before_then_it_ends_before_memory_does(
    tmp_path: Path,
) -> None:
    """Arrays of arrays share what is in them, until they are sent."""
    lines = ["var v0 = [1]", *(f"var v{at} = [v{at - 1}, v{at - 1}]" for at in range(1, 40))]

    with pytest.raises(BicepError, match="more than 10000 items"):
        run(tmp_path, "\n".join([*lines, "output x array = v39", ""]))


def test_when_loops_stand_in_each_other_then_the_work_is_bounded(tmp_path: Path) -> None:
    """Five loops of a hundred turns would take ten thousand million."""
    hundred = "[" + ", ".join(["1"] * 100) + "]"
    loops = "".join(f"[for v{at} in v: " for at in range(5))

    with pytest.raises(BicepError, match="too often"):
        run(tmp_path, f"var v = {hundred}\noutput x array = {loops}1{']' * 5}\n")
