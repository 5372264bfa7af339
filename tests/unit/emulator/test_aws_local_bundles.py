"""What the local bundles have beside what AWS gets."""

import zipfile
from pathlib import Path

import pytest

from bundling.bundles import BundleBuilder, Recipe
from emulator.aws import local_bundles
from emulator.aws.local_bundles import build_local_bundles

ROOT = Path(__file__).parents[3]
RECIPE = Recipe("aws_backend", None)


def test_when_a_bundle_is_local_then_it_starts_the_handler_in_a_named_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The provided runtimes exec `bootstrap`, which holds no path of this machine."""
    monkeypatch.setattr(local_bundles, "RECIPES", {"HealthFunction": RECIPE})

    bundle = build_local_bundles(ROOT)["HealthFunction"]

    with zipfile.ZipFile(bundle) as archive:
        bootstrap = archive.read("bootstrap").decode()
        mode = archive.getinfo("bootstrap").external_attr >> 16 & 0o777
    assert 0o755 == mode
    assert 'exec "$LOCAL_LAMBDA_PYTHON" -m awslambdaric "$_HANDLER"' in bootstrap
    assert str(ROOT) not in bootstrap


def test_when_a_bundle_is_local_then_the_rest_of_it_is_what_aws_gets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything but `bootstrap` is the same bytes, where nothing is compiled for a CPU."""
    monkeypatch.setattr(local_bundles, "RECIPES", {"HealthFunction": RECIPE})
    builder = BundleBuilder(ROOT, uv=Path("no-uv"), cache=tmp_path)

    local = contents(build_local_bundles(ROOT)["HealthFunction"])
    for_aws = contents(builder.build_zip(RECIPE, platform="aarch64-manylinux_2_28"))

    del local["bootstrap"]
    assert for_aws == local


def contents(bundle: Path) -> dict[str, bytes]:
    """The files of a zip, by name."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
