"""A person's word that what is missing from a new generation is meant to be deleted."""

from dataclasses import replace

from azure_function_app.deadline import Deadline
from azure_function_app.sync.checkpoint_store import CheckpointStore
from azure_function_app.sync.sweep import SweepPhase


async def accept_deletions(
    checkpoints: CheckpointStore, *, deadline: Deadline | None = None
) -> int | None:
    """Let the sweep that is held mark its records as deleted, and return how many it counted.

    None means that no sweep is held, and then nothing is changed. The word holds for this
    generation only: it stands in the checkpoint, by the same compare-and-swap as all else there.

    Raises:
        CheckpointConflict: a run moved the checkpoint in the same moment; try again.
        StoreUnavailable: unknown whether it was saved; try again.

    """
    checkpoint = await checkpoints.load(deadline=deadline)
    sweep = checkpoint.sweep
    if sweep is None or sweep.phase is not SweepPhase.HELD:
        return None
    accepted = replace(sweep, phase=SweepPhase.MARKING, position="")
    await checkpoints.save(
        replace(checkpoint, sweep=accepted), replacing=checkpoint, deadline=deadline
    )
    return sweep.missing
