"""What the tests run is what ships: each local bundle is AWS's, but for the machine's own parts."""

import re
import zipfile
from pathlib import Path

import pytest

from bundling.bundles import AWS_PLATFORMS, DEFAULT_ARCHITECTURE, RECIPES, BundleBuilder
from bundling.requirements import find_uv
from emulator.aws.local_bundles import build_local_bundles

CHECKOUT = Path(__file__).parents[2]
LOCAL_ONLY = {"bootstrap"}
_MACHINE = re.compile(r"(aarch64|x86_64|arm64)-(linux-gnu|linux-musl|darwin)")


def contents(bundle: Path) -> dict[str, bytes | None]:
    """Each file's bytes by its name; of a compiled module only that it is there."""
    with zipfile.ZipFile(bundle) as archive:
        return {
            _MACHINE.sub("machine", name): None if ".so" in name else archive.read(name)
            for name in archive.namelist()
        }


@pytest.mark.parametrize("function", RECIPES)
def test_when_a_function_runs_locally_then_its_bundle_is_the_one_that_ships(function: str) -> None:
    """Same files, same bytes, sources and bytecode; only compiled modules are the machine's."""
    builder = BundleBuilder(CHECKOUT, find_uv(CHECKOUT), CHECKOUT / ".cache" / "bundles")
    platform = AWS_PLATFORMS[DEFAULT_ARCHITECTURE]
    shipped = contents(builder.build_zip(RECIPES[function], platform=platform))
    local = contents(build_local_bundles(CHECKOUT)[function])

    differing = {name for name in {*shipped, *local} if shipped.get(name) != local.get(name)}
    assert 20 <= len(shipped)
    assert LOCAL_ONLY == {*local} - {*shipped}
    assert LOCAL_ONLY == differing
