"""The kinds of credential, each a class of its own."""

from collections import Counter

from azure_function_app.identity.credential_kinds import CredentialKind, CredentialSettings


def test_when_a_kind_can_be_named_then_exactly_one_class_is_of_it() -> None:
    """`kind` is what health tells, so no class may have another one's."""
    assert Counter(CredentialKind) == Counter(
        kind.kind for kind in CredentialSettings.__value__.__args__
    )
