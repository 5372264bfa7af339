"""`sam build` with the template's own recipes: what it leaves is what is tested everywhere else."""

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from bundling.architecture import ArchitectureMismatch, check_architecture
from bundling.bundles import (
    AWS_PLATFORMS,
    DEFAULT_ARCHITECTURE,
    RECIPES,
    BundleBuilder,
)
from bundling.requirements import find_uv
from emulator.aws.template import load_template
from emulator.aws.template_overlay import functions_in
from tests.support.releases import write_checksums

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "aws"
TEMPLATE = load_template(FOLDER / "template.yaml")
HANDLERS = {name: properties["Handler"] for name, properties in functions_in(TEMPLATE)}
SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
RUNTIME = ROOT / ".tools" / "lambda-runtime" / "bin" / "python"
MOST_AUTHORIZER_BYTES = 6_000_000

UV = find_uv(ROOT)
BUILDER = BundleBuilder(ROOT, UV, ROOT / ".cache" / "bundles")


class Built(NamedTuple):
    """What one `sam build` has left."""

    folder: Path
    architecture: str


def run(command: list[str | Path], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command in the template's folder, without telemetry, and return what it did."""
    return subprocess.run(
        command,
        cwd=FOLDER,
        env={"PATH": f"{UV.parent}:/usr/bin:/bin", "SAM_CLI_TELEMETRY": "0", **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module", params=sorted(AWS_PLATFORMS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Every function, built by `sam build` for one processor."""
    architecture: str = request.param
    folder = tmp_path_factory.mktemp(architecture)
    for function, recipe in RECIPES.items():
        # SAM then finds the requirements installed, and needs no network.
        BUILDER.fill(recipe, folder / "ours" / function, AWS_PLATFORMS[architecture])
    done = run(
        [
            *(SAM, "build", "--build-dir", folder / "build"),
            *("--parameter-overrides", f"Architecture={architecture}"),
        ],
        {"HOME": str(folder), "ARCHITECTURE": architecture},
    )
    assert done.returncode == 0, done.stderr
    return Built(folder / "build", architecture)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, by its path."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_when_sam_has_built_then_every_function_is_there(built: Built) -> None:
    """The built template names a folder for each."""
    template = yaml.safe_load((built.folder / "template.yaml").read_text().replace("!", ""))
    code = {name: template["Resources"][name]["Properties"]["CodeUri"] for name in HANDLERS}

    assert {name: name for name in HANDLERS} == code
    assert HANDLERS.keys() == {each.name for each in built.folder.iterdir() if each.is_dir()}


@pytest.mark.parametrize("function", HANDLERS)
def test_when_sam_has_built_then_the_bytes_are_bundlings(built: Built, function: str) -> None:
    """So what is tested from a bundle is what is deployed."""
    expected = files_in(built.folder.parent / "ours" / function)

    assert len(expected) > 10
    assert expected == files_in(built.folder / function)


def test_when_sam_has_built_then_every_library_is_for_the_processor(built: Built) -> None:
    """The authorizer's come from a lock; for the other processor it would not start."""
    (other,) = AWS_PLATFORMS.keys() - {built.architecture}

    assert 2 == check_architecture(built.folder / "AuthorizerFunction", built.architecture)
    with pytest.raises(ArchitectureMismatch, match=f"is not for {other}; run: ARCHITECTURE="):
        check_architecture(built.folder, other)


@pytest.mark.parametrize("function", HANDLERS)
def test_when_the_runtime_loads_a_handler_then_it_is_there(built: Built, function: str) -> None:
    """In a Python that has AWS's runtime client and nothing else, without one setting."""
    if {"x86_64": "x86_64", "arm64": "aarch64"}[built.architecture] != os.uname().machine:
        # Its libraries are for the other processor; that its files are right, the tests above say.
        return
    module, _, name = HANDLERS[function].rpartition(".")
    program = f"import sys; sys.path.insert(0, sys.argv[1]); from {module} import {name}; {name}"

    loaded = run([RUNTIME, "-B", "-c", program, built.folder / function], {})
    assert (0, "") == (loaded.returncode, loaded.stderr)


def test_when_sam_takes_a_release_then_the_files_are_the_releases(tmp_path: Path) -> None:
    """Each is marked, so that none is one that was built here."""
    (tmp_path / "release").mkdir()
    for function, recipe in RECIPES.items():
        released = tmp_path / "release" / f"{function}-x86_64.zip"
        built = BUILDER.build_zip(recipe, platform=AWS_PLATFORMS["x86_64"])
        shutil.copyfile(built, released)
        with zipfile.ZipFile(released, "a") as archive:
            archive.writestr("released.txt", function)
    write_checksums(tmp_path / "release")

    done = run(
        [SAM, "build", "--build-dir", tmp_path / "build"],
        {
            "HOME": str(tmp_path),
            "ARCHITECTURE": "x86_64",
            "BRIDGE_PACKAGES": str(tmp_path / "release"),
        },
    )

    assert 0 == done.returncode, done.stderr
    for function in RECIPES:
        with zipfile.ZipFile(tmp_path / "release" / f"{function}-x86_64.zip") as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        assert function.encode() == files["released.txt"]
        assert files == files_in(tmp_path / "build" / function)


@pytest.mark.parametrize("architecture", AWS_PLATFORMS)
def test_when_the_authorizer_is_zipped_then_it_is_small(architecture: str) -> None:
    """A cold start fetches it; the promise is 6 MB, on either processor."""
    bundle = BUILDER.build_zip(RECIPES["AuthorizerFunction"], platform=AWS_PLATFORMS[architecture])

    assert 1_000_000 < bundle.stat().st_size <= MOST_AUTHORIZER_BYTES


# --- the recipes, without building ----------------------------------------------------------------


def test_when_a_function_is_built_by_make_then_there_is_its_recipe() -> None:
    """And no recipe without a function."""
    recipes = re.findall(r"\bbuild-(\w+)(?=.*:$)", (FOLDER / "Makefile").read_text(), re.MULTILINE)
    by_make = {
        name
        for name, each in TEMPLATE["Resources"].items()
        if each.get("Metadata", {}).get("BuildMethod") == "makefile"
    }

    assert sorted(HANDLERS) == sorted(recipes)
    assert set(HANDLERS) == by_make


@pytest.mark.parametrize("function", HANDLERS)
@pytest.mark.parametrize("architecture", [None, *AWS_PLATFORMS])
def test_when_a_recipe_is_read_then_it_builds_its_own_function(
    function: str, architecture: str | None
) -> None:
    """For the processor that the environment names, or the template's default."""
    env = {"ARTIFACTS_DIR": "/artifacts"} | ({"ARCHITECTURE": architecture} if architecture else {})

    said = run(["make", "-n", f"build-{function}"], env)
    (command,) = re.findall(r'-m bundling (\w+) "(.*)" --architecture "(\w+)"', said.stdout)
    assert (function, "/artifacts", architecture or DEFAULT_ARCHITECTURE) == command


def test_when_the_tenant_is_named_then_only_the_authorizer_gets_its_key_set() -> None:
    """No other function reads it."""
    said = {
        function: run(["make", "-n", f"build-{function}"], {"ARTIFACTS_DIR": "/artifacts"}).stdout
        for function in HANDLERS
    }

    tests = {
        name: re.findall(
            r'if \[ build-(\w+) = build-(\w+) \] && \[ -n "\$ENTRA_TENANT_ID" \]', text
        )
        for name, text in said.items()
    }

    assert {name: [(name, "AuthorizerFunction")] for name in HANDLERS} == tests
    assert 'bundled_key_set "/artifacts/key_set.json"' in said["AuthorizerFunction"]


# --- the template and its settings under SAM's own program ----------------------------------------


@pytest.mark.parametrize("environment", ["default", "ci"])
def test_when_sam_validates_the_template_then_it_is_valid(environment: str, tmp_path: Path) -> None:
    """With its own linter's rules; the settings file has both environments."""
    said = run(
        [SAM, "validate", "--region", "eu-west-1", "--config-env", environment],
        {"HOME": str(tmp_path)},
    )

    assert 0 == said.returncode, said.stderr
    assert "is a valid SAM Template" in said.stdout


def test_when_sam_validates_a_broken_template_then_it_is_not(tmp_path: Path) -> None:
    """A property that no table has."""
    text = (FOLDER / "template.yaml").read_text()
    broken = text.replace("      BillingMode:", "      BilingMode: x\n      BillingMode:")
    (tmp_path / "template.yaml").write_text(broken)

    said = run(
        [
            *(SAM, "validate", "--lint", "--region", "eu-west-1"),
            *("--template", tmp_path / "template.yaml"),
        ],
        {"HOME": str(tmp_path)},
    )
    assert 0 != said.returncode
    assert "BilingMode" in said.stdout + said.stderr


def test_when_a_job_deploys_then_nobody_is_asked() -> None:
    """At a terminal the changes are shown first; a job has nobody who could answer."""
    settings = tomllib.loads((FOLDER / "samconfig.toml").read_text())
    at_a_terminal, in_a_job = (settings[name]["deploy"]["parameters"] for name in ("default", "ci"))

    assert at_a_terminal["confirm_changeset"] is True
    assert (False, False) == (
        in_a_job["confirm_changeset"],
        in_a_job["fail_on_empty_changeset"],
    )
    assert at_a_terminal["capabilities"] == in_a_job["capabilities"]
