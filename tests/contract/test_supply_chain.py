"""What is deployed beside our own code: listed, licensed, pinned and asked after."""

import json
import re
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundling.bundles import find_uv
from releasing.bill_of_materials import BillOfMaterialsBuilder
from releasing.licenses import EXCEPTIONS, License, LicenseReader, check_licenses
from releasing.locks import RUNTIME_LOCKS, LockedEnvironments, pins
from tests.support.tool_environments import DELIVERY_CHECKS, run_tool

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache" / "locked"
LOCKS = sorted([CHECKOUT / "requirements.txt", *(CHECKOUT / "requirements").glob("*.txt")])
VERSION = "1.2.3"

WITHOUT_A_TEXT = {
    "azure-functions-runtime": "its wheel has no license file; it is MIT, as its metadata say",
}
"""Distributions that ship no license text for us to hand on."""

NOWHERE = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "",
    "no_proxy": "",
}
"""An environment without a network: nothing listens on the discard port."""

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""


def environments(cache_folder: Path = CACHE) -> LockedEnvironments:
    """Environments made of locks."""
    return LockedEnvironments(find_uv(CHECKOUT), cache_folder)


def bill(deployable: str, cache_folder: Path = CACHE) -> bytes:
    """What a deployable is made of."""
    lock = RUNTIME_LOCKS[deployable]
    builder = BillOfMaterialsBuilder(environments(cache_folder), DELIVERY_CHECKS / "cyclonedx-py")
    return builder.build(deployable, VERSION, CHECKOUT / lock if lock else None)


@cache
def read_bill(deployable: str) -> dict[str, Any]:
    """The same, read; not to be changed."""
    read: dict[str, Any] = json.loads(bill(deployable))
    return read


def locked(deployable: str) -> dict[str, str]:
    """The pins of a deployable's lock."""
    lock = RUNTIME_LOCKS[deployable]
    return pins((CHECKOUT / lock).read_text(encoding="utf-8")) if lock else {}


def listed(read: dict[str, Any]) -> dict[str, str]:
    """The version of each distribution that a bill lists, by the name in its package URL."""
    return {
        found[1]: found[2]
        for each in read["components"]
        if (found := re.fullmatch(r"pkg:pypi/([^@]+)@([^?]+)", each["purl"]))
    }


def validate(encoded: bytes) -> str:
    """What CycloneDX's own schema finds; "None" if it is nothing."""
    result = run_tool(DELIVERY_CHECKS / "python", "-c", VALIDATE, given=encoded.decode())
    assert 0 == result.returncode, result.stderr
    return result.stdout.strip()


@cache
def licenses() -> tuple[License, ...]:
    """The license of everything that is deployed."""
    reader = LicenseReader(environments(), DELIVERY_CHECKS / "pip-licenses")
    return tuple(reader.read(CHECKOUT / lock for lock in {*RUNTIME_LOCKS.values()} if lock))


# --- what it is made of --------------------------------------------------------------------------


@pytest.mark.parametrize("deployable", RUNTIME_LOCKS)
def test_when_a_deployable_is_listed_then_the_list_is_its_lock(deployable: str) -> None:
    """Every distribution at its pinned version, and nothing else."""
    read = read_bill(deployable)

    assert locked(deployable) == listed(read)
    assert len(read["components"]) == len(listed(read))
    assert (deployable, VERSION) == (
        read["metadata"]["component"]["name"],
        read["metadata"]["component"]["version"],
    )


def test_when_lists_are_compared_then_there_is_something_in_them() -> None:
    """Else the comparison would find nothing wrong in nothing."""
    assert 25 < len(listed(read_bill("FunctionApp")))
    assert {"cryptography"} <= listed(read_bill("AuthorizerFunction")).keys()
    assert {"boto3"} <= listed(read_bill("RecordsFunction")).keys()


@pytest.mark.parametrize("deployable", RUNTIME_LOCKS)
def test_when_a_deployable_is_listed_then_cyclonedx_accepts_the_list(deployable: str) -> None:
    """By the published schema of version 1.6."""
    assert "None" == validate(bill(deployable))


def test_when_a_list_breaks_the_schema_then_that_is_found() -> None:
    """The check bites."""
    wrong = deepcopy(read_bill("AuthorizerFunction"))
    del wrong["components"][0]["name"]

    assert "None" != validate(json.dumps(wrong).encode())


def test_when_a_list_is_made_elsewhere_then_it_is_the_same_bytes(tmp_path: Path) -> None:
    """Neither the folder nor the time is in it."""
    first, second = bill("AuthorizerFunction"), bill("AuthorizerFunction", tmp_path / "elsewhere")

    assert first == second
    assert str(tmp_path).encode() not in second
    assert str(CHECKOUT).encode() not in first


def test_when_a_list_says_what_needs_what_then_each_is_on_it() -> None:
    """From the deployable down: nothing hangs in the air, and nothing points nowhere."""
    for deployable in RUNTIME_LOCKS:
        read = read_bill(deployable)
        refs = {each["bom-ref"] for each in read["components"]}
        root = read["metadata"]["component"]["bom-ref"]
        needs = {each["ref"]: set(each.get("dependsOn", [])) for each in read["dependencies"]}
        reached: set[str] = set()
        pending = [root]
        while pending:
            for ref in needs[pending.pop()] - reached:
                reached.add(ref)
                pending.append(ref)

        assert refs == reached


# --- licenses ------------------------------------------------------------------------------------


def test_when_something_is_deployed_then_its_license_is_allowed() -> None:
    """Each distribution's of each lock; the reasons stand beside the names."""
    check_licenses(licenses())

    assert {name for each in RUNTIME_LOCKS for name in locked(each)} == {
        each.distribution for each in licenses()
    }


def test_when_a_license_is_an_exception_then_something_has_it() -> None:
    """Nobody keeps a door open for what has left."""
    assert EXCEPTIONS.keys() <= {(each.distribution, each.name) for each in licenses()}


def test_when_something_is_deployed_then_its_license_text_goes_along() -> None:
    """As almost every license asks."""
    without = {each.distribution for each in licenses() if not each.text}

    assert WITHOUT_A_TEXT.keys() == without


# --- known faults --------------------------------------------------------------------------------


def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the script says of locks, where there is no network."""
    variables = [f"{name}={value}" for name, value in NOWHERE.items()]
    return subprocess.run(
        ["env", *variables, CHECKOUT / "scripts" / "audit", *arguments],  # noqa: S607 - POSIX's
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_when_there_is_no_network_then_the_audit_fails() -> None:
    """It looked at nothing, so it may not pass; and it says which lock it is about."""
    result = audit(DELIVERY_CHECKS / "pip-audit", "requirements/authorizer.txt")

    assert 0 != result.returncode
    assert "or could not be looked up: requirements/authorizer.txt" in result.stderr


def test_when_a_lock_is_audited_then_what_cannot_be_looked_up_fails() -> None:
    """pip-audit passes over a distribution that its database does not answer for, unless strict."""
    called = audit("echo", "lock.txt").stdout.splitlines()[1].split()

    assert {"--strict", "--require-hashes", "--disable-pip"} <= set(called)
    assert ["--requirement", "lock.txt"] == called[-2:]


def test_when_one_lock_fails_then_the_others_are_still_audited() -> None:
    """One run tells all."""
    result = audit("false", "one.txt", "two.txt")

    assert 1 == result.returncode
    assert result.stderr.endswith("looked up: one.txt two.txt\n")


def test_when_everything_is_audited_then_no_lock_is_left_out() -> None:
    """Those of the tools too: they run where the packages are built."""
    planned = subprocess.run(
        ["make", "--dry-run", "audit"],  # noqa: S607 - the machine's make
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in planned.splitlines() if line.startswith("scripts/audit")]

    assert 10 < len(LOCKS)
    assert {str(lock.relative_to(CHECKOUT)) for lock in LOCKS} == set(line.split()[2:])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.name))
def test_when_a_lock_pins_something_then_its_hashes_are_there(lock: Path) -> None:
    """What is installed is what was locked, whoever serves it."""
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]

    assert pins(text)
    assert [] == [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]


# --- what moves them on --------------------------------------------------------------------------


def test_when_there_is_an_npm_lock_then_dependabot_watches_it() -> None:
    """Every folder that has one, and none that has not."""
    dependabot = yaml.safe_load((CHECKOUT / ".github" / "dependabot.yml").read_text("utf-8"))
    watched = {
        folder
        for each in dependabot["updates"]
        if each["package-ecosystem"] == "npm"
        for folder in each["directories"]
    }
    tracked = subprocess.run(
        ["git", "ls-files", "*package-lock.json"],  # noqa: S607 - the machine's git
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert tracked
    assert {f"/{Path(file).parent.as_posix()}" for file in tracked} == watched


def test_when_something_is_updated_then_it_is_a_week_old() -> None:
    """By Dependabot, and by the workflow that moves the locks."""
    dependabot = yaml.safe_load((CHECKOUT / ".github" / "dependabot.yml").read_text("utf-8"))
    workflow = (CHECKOUT / ".github" / "workflows" / "locks.yml").read_text(encoding="utf-8")

    assert [7, 7] == [each["cooldown"]["default-days"] for each in dependabot["updates"]]
    assert [1, 1] == [len(each["groups"]) for each in dependabot["updates"]]
    assert "--exclude-newer '7 days'" in workflow
