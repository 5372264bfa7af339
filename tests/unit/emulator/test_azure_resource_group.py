"""What the local Azure makes of resource types."""

from emulator.azure import resource_group
from emulator.azure.resource_group import WITHOUT_EFFECT


def test_when_a_type_has_no_effect_then_the_reason_is_said() -> None:
    """A list without reasons grows by itself; and no type both has an effect and has none."""
    assert all(WITHOUT_EFFECT.values())
    assert not WITHOUT_EFFECT.keys() & resource_group._WITH_EFFECT
