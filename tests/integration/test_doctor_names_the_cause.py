"""`bridge doctor` names the cause of each misconfiguration, and what it says puts it right."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.misconfigurations.installation import Installation, running_installation
from tests.misconfigurations.misconfiguration import Misconfiguration, row
from tests.misconfigurations.proof import find_failures, prove
from tests.misconfigurations.repair import NotDoableError, apply
from tests.misconfigurations.table import ROWS

BY_NAME = {row.name: row for row in ROWS}
pytestmark = pytest.mark.timeout(120)
in_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """The two sides, set up right; each row starts from there."""
    async with running_installation(tmp_path_factory.mktemp("misconfigured")) as running:
        yield running


def test_when_the_table_is_read_then_it_is_long_and_no_row_is_there_twice() -> None:
    """Each cause that is expected is one that the doctor knows."""
    assert 50 <= len(ROWS)
    assert len(ROWS) == len({row.name for row in ROWS}) == len({row.set_up for row in ROWS})


@in_one_loop
async def test_when_nothing_is_wrong_then_the_doctor_finds_nothing(
    installation: Installation,
) -> None:
    """Neither as a command nor in the running app."""
    async with installation.trial("nothing-wrong") as on:
        await on.start_app()
        code, output, errors = await on.run_bridge("doctor", "--json")
        report = await on.doctor_route()

    assert 0 == code, output + errors
    assert [] == find_failures(report)
    assert "well" == report["verdict"]


@in_one_loop
@pytest.mark.parametrize("wrong", ROWS, ids=lambda wrong: wrong.name)
async def test_when_the_two_sides_are_set_up_wrong_then_the_doctors_fix_puts_it_right(
    installation: Installation, wrong: Misconfiguration
) -> None:
    """The call fails, the doctor names the cause, its fix is made, the call passes."""
    await prove(installation, wrong)


async def _nothing(_: Installation) -> None:
    """Set nothing up wrong."""


@in_one_loop
async def test_when_nothing_is_broken_then_a_row_proves_nothing(
    installation: Installation,
) -> None:
    """A row whose fault breaks no call does not pass for one that was put right."""
    with pytest.raises(AssertionError):
        await prove(installation, row("nothing", "Nothing is wrong.", _nothing, "wrong_tenant"))


@in_one_loop
async def test_when_another_cause_is_named_then_the_row_fails(installation: Installation) -> None:
    """However well its fix may work."""
    wrong = replace(BY_NAME["no-stage"], causes=frozenset({"wrong_tenant"}))

    with pytest.raises(AssertionError, match="not wrong_tenant"):
        await prove(installation, wrong)


@in_one_loop
@pytest.mark.parametrize(
    "fix",
    [
        {"where": "function_app", "setting": None, "value": None, "value_from": "the portal"},
        {"where": "function_app", "setting": "AZURE_CLIENT_ID", "value": None, "value_from": "?"},
        {"where": "entra", "setting": "something", "value": "2", "value_from": None},
    ],
    ids=["nothing-to-set", "no-such-place", "no-such-setting"],
)
async def test_when_a_fix_does_not_say_enough_then_it_is_not_doable(
    installation: Installation, fix: Mapping[str, str | None]
) -> None:
    """Nobody guesses what was meant."""
    async with installation.trial("not-doable") as on:
        before = dict(on.app_settings)
        with pytest.raises(NotDoableError):
            await apply(fix, on)

        assert before == on.app_settings
