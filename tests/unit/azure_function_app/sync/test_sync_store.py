"""What a sweep's next step needs; the rest is among the promises of the stores."""

import pytest

from azure_function_app.sync.checkpoint_store import Checkpoint
from azure_function_app.sync.sweep import Sweep, SweepPhase
from azure_function_app.sync.sync_store import sweep_of


@pytest.mark.parametrize(
    "sweep", [None, Sweep(SweepPhase.HELD, ""), Sweep(SweepPhase.MARKING, None)]
)
def test_when_no_sweep_can_go_on_then_asking_for_one_is_an_error(sweep: Sweep | None) -> None:
    """A sweep that is held, above all, marks nothing by mistake."""
    with pytest.raises(ValueError, match="no sweep"):
        sweep_of(Checkpoint("c", "f", 1, is_rereading=True, sweep=sweep))
