"""Method ARNs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.method_arn import MAX_CHARACTERS, parse_method_arn

PARTITIONS = st.sampled_from(["aws", "aws-cn", "aws-us-gov", "aws-iso-b"])
STAGES = st.from_regex(r"\A[A-Za-z0-9_-]{1,20}\Z") | st.just("$default")


@given(
    PARTITIONS,
    st.from_regex(r"\A[a-z]{2}-[a-z]{4,9}-[1-9]\Z"),
    st.from_regex(r"\A[0-9]{12}\Z").filter(str.isascii),
    st.from_regex(r"\A[a-z0-9]{6,12}\Z"),
    STAGES,
    st.text(),
)
def test_when_an_arn_is_parsed_then_it_round_trips(
    partition: str, region: str, account: str, api: str, stage: str, tail: str
) -> None:
    """Every partition, stage and path, whatever characters are in it, comes out as it went in."""
    stage_arn = f"arn:{partition}:execute-api:{region}:{account}:{api}/{stage}"

    arn = parse_method_arn(f"{stage_arn}/{tail}")

    assert stage_arn == arn.stage_arn
    assert tail == arn.tail
    assert f"{stage_arn}/{tail}" == str(arn)


@given(st.text(max_size=100))
def test_when_text_is_arbitrary_then_it_is_refused(text: str) -> None:
    """Nothing but an ARN is one, and nothing raises anything but ValueError."""
    with pytest.raises(ValueError, match="no method ARN"):
        parse_method_arn(text)


@pytest.mark.parametrize(
    "tail",
    ["GET/", "GET/orders:42", "GET/a//b", "GET/ü/%2F", "GET/*", "GET/a\nb", "$connect", "GET"],
)
def test_when_a_path_is_odd_then_only_the_tail_is_odd(tail: str) -> None:
    """Colons, slashes, unicode, wildcards and line feeds stay behind the stage."""
    arn = parse_method_arn(f"arn:aws:execute-api:eu-west-1:111122223333:abc123/prod/{tail}")

    assert "arn:aws:execute-api:eu-west-1:111122223333:abc123/prod" == arn.stage_arn
    assert (tail == "$connect") == arn.is_websocket_connect


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123/prod",
        "arn:aws:lambda:eu-west-1:111122223333:abc123/prod/GET/",
        "arn:aws:execute-api:*:111122223333:abc123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:*:abc123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:111122223333:*/prod/GET/",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123/*/GET/",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123/pr?d/GET/",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123//GET/",
        "arn:aws:execute-api:eu-west-1:11112222333:abc123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:١١١١٢٢٢٢٣٣٣٣:abc123/prod/GET/",
        "arn:evil:execute-api:eu-west-1:111122223333:abc123/prod/GET/",
        " arn:aws:execute-api:eu-west-1:111122223333:abc123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:111122223333:abc123/prod/GET/" + "x" * MAX_CHARACTERS,
    ],
)
def test_when_a_part_before_the_path_is_odd_then_the_arn_is_refused(text: str) -> None:
    """Whatever goes into a policy is what API Gateway writes there, never a wildcard."""
    with pytest.raises(ValueError, match="no method ARN"):
        parse_method_arn(text)
