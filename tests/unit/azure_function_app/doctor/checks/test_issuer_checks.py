"""What the doctor says of the issuer's keys, in words for a person."""

import pytest

from azure_function_app.doctor.report import CheckName
from azure_function_app.identity.token_diagnosis import shown
from tests.support.doctor_evidence import answered, judged


@pytest.mark.parametrize(("ids", "told"), [(["k1"], "1 key,"), (["k1", "k2"], "2 keys,")])
def test_when_keys_are_counted_then_the_word_fits_the_number(ids: list[str], told: str) -> None:
    """And a plain value stands without quotes."""
    key_set = answered({"keys": [{"kid": key_id} for key_id in ids]})

    found = judged(key_set=key_set)[CheckName.KEY_SET].found

    assert found.startswith(told)
    assert "the token's key k1 is" in found


@pytest.mark.parametrize("odd", ["", "a b", "x'y", "[bold]", "-o", "x" * 81])
def test_when_a_value_is_no_plain_word_then_its_end_can_be_seen(odd: str) -> None:
    """It is in quotes."""
    assert shown(odd).startswith("'")
    assert shown(odd).endswith("'")
