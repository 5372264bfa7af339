"""The whole deployment on empty local clouds, by the commands and on real processes.

`make rehearse` does more: it kills the deployment at every step by itself, each time from empty
clouds. Here the kills come one after another, on the same clouds.
"""

import pytest

from tests.rehearsal.acts import (
    deploy_at_once,
    deploy_by_two_people,
    empty_clouds,
    kill_in_turn,
)

pytestmark = pytest.mark.timeout(300)


def test_when_an_administrator_registers_the_api_then_the_deployer_does_the_rest() -> None:
    """Everything is there once; smoke passes; deployed again, nothing is written or started."""
    with empty_clouds() as clouds:
        faults = deploy_by_two_people(clouds)

    assert [] == faults


def test_when_killed_at_every_step_in_turn_then_the_next_run_completes() -> None:
    """Each run goes on from what the killed one has left, in the clouds and nowhere else."""
    with empty_clouds() as clouds:
        faults = kill_in_turn(clouds)

    assert [] == faults


def test_when_two_deploy_at_once_then_neither_harms() -> None:
    """At most they tell one that somebody else deploys; then everything is there, once."""
    with empty_clouds() as clouds:
        faults = deploy_at_once(clouds)

    assert [] == faults
