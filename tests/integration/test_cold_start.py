"""The benchmark's cold starts, under AWS's own runtime client for Python."""

from pathlib import Path

import pytest

from benchmarks.authorizer import material
from benchmarks.authorizer.cold_start import added_cpu_ms, measure_function_starts
from benchmarks.authorizer.contenders import (
    BARE_FUNCTIONS,
    OUR_BUNDLE,
    OUR_FUNCTION,
    Function,
    Language,
)
from benchmarks.authorizer.programs import (
    BenchmarkFailed,
    Programs,
    build_bundle,
    build_python_programs,
    find_programs,
)
from shared.clock import SystemClock

ROOT = Path(__file__).parents[2]
BARE = BARE_FUNCTIONS[Language.PYTHON]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The bundle, a key set and one token, in a folder of their own."""
    found = find_programs(ROOT, tmp_path_factory.mktemp("run"), with_peers=False)
    build_bundle(found, ROOT, OUR_BUNDLE)
    build_python_programs(found)
    material.write_material(found.folder, 1, int(SystemClock().now()), material.ISSUER)
    return found


def _function(programs: Programs, name: str, source: str) -> Function:
    (programs.folder / "python" / f"{name}.py").write_text(source)
    return Function(f"{name}.handler", name, Language.PYTHON)


def test_when_our_function_starts_then_it_decides_and_adds_to_a_bare_one(
    programs: Programs,
) -> None:
    """It lets the good token in, refuses the forged one, and both are processor's time."""
    starts = measure_function_starts(programs, (BARE, OUR_FUNCTION), 2, SystemClock())

    assert {BARE: 2, OUR_FUNCTION: 2} == {name: len(each) for name, each in starts.items()}
    assert all(
        0 < start.cpu_ms and 0 < start.peak_mib for each in starts.values() for start in each
    )
    assert 0 < added_cpu_ms(starts, OUR_FUNCTION)


def test_when_a_function_lets_everything_in_then_it_is_not_measured(programs: Programs) -> None:
    """How quick it is would mean nothing."""
    careless = _function(
        programs,
        "careless",
        "def handler(event, context):\n"
        "    return {'policyDocument': {'Statement': [{'Effect': 'Allow'}]}}\n",
    )

    with pytest.raises(BenchmarkFailed, match="careless does not refuse a forged signature"):
        measure_function_starts(programs, (careless,), 1, SystemClock())


def test_when_a_function_refuses_everything_then_it_is_not_measured(programs: Programs) -> None:
    """A refusal is no decision on the token."""
    sullen = _function(
        programs, "sullen", "def handler(event, context):\n    raise Exception('Unauthorized')\n"
    )

    with pytest.raises(BenchmarkFailed, match="sullen does not let a good token in"):
        measure_function_starts(programs, (sullen,), 1, SystemClock())


def test_when_a_function_cannot_be_imported_then_that_is_no_refusal(programs: Programs) -> None:
    """Its client reports an error too, but another one."""
    broken = _function(programs, "broken", "import nothing_of_that_name\n")

    with pytest.raises(BenchmarkFailed, match="broken does not refuse a forged signature"):
        measure_function_starts(programs, (broken,), 1, SystemClock())


def test_when_a_process_ends_without_an_answer_then_its_last_line_is_told(
    programs: Programs,
) -> None:
    """Nobody waits for what does not come."""
    ended = _function(
        programs,
        "ended",
        "import os\nos.write(2, b'out of luck\\n')\nos._exit(1)\n",
    )

    with pytest.raises(BenchmarkFailed, match="ended gave no answer: out of luck"):
        measure_function_starts(programs, (ended,), 1, SystemClock())
