"""The queues of open pages."""

import pytest

from bridge_cli.console.audience import MOST_MEMBERS, MOST_WAITING, Audience, AudienceFullError


async def test_when_something_is_published_then_everyone_gets_it_in_order() -> None:
    """Each page by a queue of its own."""
    audience = Audience()
    with audience.join() as one, audience.join() as other:
        for event in (b"1", b"2"):
            audience.publish(event)
        heard = [await member.next() for member in (one, other) for _ in range(2)]

    assert [b"1", b"2", b"1", b"2"] == heard
    assert 0 == len(audience)


async def test_when_one_falls_behind_then_it_is_let_go_and_nobody_waits() -> None:
    """What waits for a page is bounded, and the others get everything."""
    audience = Audience()
    with audience.join() as slow, audience.join() as quick:
        for number in range(MOST_WAITING + 5):
            audience.publish(b"%d" % number)
            heard = await quick.next()
            assert b"%d" % number == heard

        assert slow.fell_behind.is_set()
        assert not quick.fell_behind.is_set()
        assert 1 == len(audience)


async def test_when_too_many_pages_are_open_then_another_one_is_refused() -> None:
    """Until one of them is closed."""
    audience = Audience()
    members = [audience.join() for _ in range(MOST_MEMBERS)]
    for member in members:
        member.__enter__()
    with pytest.raises(AudienceFullError), audience.join():
        pass
    members[0].__exit__(None, None, None)

    with audience.join():
        assert MOST_MEMBERS == len(audience)
