"""The workflows: what linters find in them, and that whatever they name is there."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from bridge_cli.main import app
from tests.support.tool_environments import DELIVERY_CHECKS, run_tool

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
DEPENDABOT = CHECKOUT / ".github" / "dependabot.yml"
PAGE = (CHECKOUT / "docs" / "releasing.md").read_text(encoding="utf-8")

NAMES = {
    "audit.yml",
    "deploy-environment.yml",
    "deploy.yml",
    "key-set.yml",
    "locks.yml",
    "release.yml",
    "site.yml",
    "test.yml",
}

# All of them run by Node.js 24. Dependabot moves the workflows on; who reviews that looks in the
# action's own repository whether the commit is the tag's, and changes the line here.
ACTIONS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/deploy-pages": ("cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5.0.0"),
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
    "Azure/login": ("f5d393ae46f8fde4be8b75f32e3fc50e654ad0ca", "v3.0.1"),
    "aws-actions/configure-aws-credentials": (
        "e6de054238d6b7531b4efff3b6587d9aade6a06c",
        "v6.2.3",
    ),
}

WRITE_PERMISSIONS = {
    ("release.yml", "publish", "contents"): "makes the release",
    ("release.yml", "publish", "id-token"): "signs",
    ("release.yml", "publish", "attestations"): "keeps the attestations",
    ("release.yml", "deploy", "id-token"): "hands it on to the deployment",
    ("deploy.yml", "dev", "id-token"): "hands it on to the deployment",
    ("deploy.yml", "prod", "id-token"): "hands it on to the deployment",
    ("key-set.yml", "dev", "id-token"): "hands it on to the deployment",
    ("key-set.yml", "prod", "id-token"): "hands it on to the deployment",
    ("deploy-environment.yml", "deploy", "id-token"): "signs in to both clouds",
    ("site.yml", "publish", "pages"): "publishes the docs' site",
    ("site.yml", "publish", "id-token"): "says to Pages which workflow publishes",
    ("locks.yml", "propose", "contents"): "pushes the branch",
    ("locks.yml", "propose", "pull-requests"): "opens the pull request",
}
"""Every right to write that a job has, by file, job and permission."""

# `uses: $/…` is the same repository at the same commit; a `uses:` of another one is pinned.
_USED = re.compile(r"^\s*(?:- )?uses: (\S+)(?: # (\S+))?$", re.MULTILINE)
_BRIDGE = re.compile(r"\.venv/bin/bridge ([^\n;&|]+)")


def read(file: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)
    return workflow


WORKFLOWS = {file.name: read(file) for file in FILES}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each job, with its file and its name."""
    for name, workflow in WORKFLOWS.items():
        for job, described in workflow["jobs"].items():
            yield name, job, described


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step, with its file."""
    for name, _, job in jobs():
        for step in job.get("steps", []):
            yield name, step


def used(text: str) -> list[tuple[str, str]]:
    """Every action that the text uses, with its comment."""
    return [(name, comment) for name, comment in _USED.findall(text) if not name.startswith("$/")]


def unpinned(text: str) -> list[str]:
    """The actions that are not the table's."""
    pinned = {(f"{name}@{commit}", tag) for name, (commit, tag) in ACTIONS.items()}
    return [name for name, comment in used(text) if (name, comment) not in pinned]


def make_targets(text: str) -> set[str]:
    """The targets of each `make` in the text, but for comments."""
    commands = [
        re.split(r"&&|[;|]", line) for line in text.splitlines() if not line.strip().startswith("#")
    ]
    words = [shlex.split(command) for line in commands for command in line if "make " in command]
    return {
        word for command in words if command[0] == "make" for word in command[1:] if "=" not in word
    }


def unknown_targets(text: str) -> set[str]:
    """The targets that the Makefile does not have."""
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    return make_targets(text) - set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def problem_of_command(line: str) -> str | None:
    """What of a `bridge` command there is not; None if there is all of it."""
    command = typer.main.get_command(app)
    for word in line.split():
        if word.startswith("-"):
            if word not in {option for each in command.params for option in each.opts}:
                return word
        elif isinstance(command, TyperGroup):
            if word not in command.commands:
                return word
            command = command.commands[word]
    return None


def shell_lines(workflow: Mapping[str, Any]) -> str:
    """All that the workflow runs."""
    return "\n".join(
        step.get("run", "") for job in workflow["jobs"].values() for step in job.get("steps", [])
    )


def broken(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A copy of the checkout's workflows, one of them changed."""
    root = tmp_path / "broken"
    shutil.copytree(CHECKOUT / ".github", root / ".github")
    file = root / ".github" / name
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r} that could be broken"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return root


# --- linters -------------------------------------------------------------------------------------


def zizmor(root: Path) -> tuple[int, list[str], int]:
    """Its status, what it finds, and how many files it read."""
    result = run_tool(
        DELIVERY_CHECKS / "zizmor",
        *("--offline", "--no-progress", "--persona", "auditor", "--no-ignores"),
        *("--strict-collection", "--format", "json-v1"),
        root,
    )
    read_files = len(re.findall(r"completed \S+", result.stderr))
    return result.returncode, [each["ident"] for each in json.loads(result.stdout)], read_files


def actionlint(root: Path) -> tuple[int, str]:
    """Its status, and what it finds."""
    files = sorted((root / ".github" / "workflows").glob("*.yml"))
    result = run_tool(DELIVERY_CHECKS / "actionlint", "-no-color", *files)
    return result.returncode, result.stdout


def schema(name: str, *files: Path) -> tuple[int, str]:
    """Its status, and what it finds."""
    result = run_tool(DELIVERY_CHECKS / "check-jsonschema", "--builtin-schema", name, *files)
    return result.returncode, result.stdout


def test_when_the_workflows_are_looked_for_then_all_are_seen() -> None:
    """Else every other test would find nothing wrong in nothing."""
    assert NAMES == {file.name for file in FOLDER.iterdir()}
    assert 10 < len(list(jobs()))
    assert 20 < len(list(steps()))


def test_when_zizmor_reads_the_workflows_then_it_finds_nothing() -> None:
    """As an auditor, the strictest that it can be, and without a comment that silences it."""
    status, found, read_files = zizmor(CHECKOUT / ".github")

    assert (0, []) == (status, found)
    assert len(FILES) + 1 == read_files


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        (
            "workflows/test.yml",
            "- run: make test",
            "- run: make test ${{ github.event.pull_request.title }}",
            "template-injection",
        ),
        ("workflows/test.yml", "  pull_request:", "  pull_request_target:", "dangerous-triggers"),
        ("workflows/audit.yml", "persist-credentials: false", "fetch-depth: 1", "artipacked"),
        (
            "workflows/audit.yml",
            "permissions: {}",
            "permissions: write-all",
            "excessive-permissions",
        ),
        (
            "workflows/audit.yml",
            "@3d3c42e5aac5ba805825da76410c181273ba90b1",
            "@v7",
            "unpinned-uses",
        ),
        ("dependabot.yml", "default-days: 7", "default-days: 1", "dependabot-cooldown"),
    ],
)
def test_when_a_workflow_is_insecure_then_zizmor_finds_it(
    tmp_path: Path, name: str, old: str, new: str, finding: str
) -> None:
    """The check bites."""
    status, found, _ = zizmor(broken(tmp_path, name, old, new))

    assert 0 != status
    assert finding in found


def test_when_actionlint_reads_the_workflows_then_it_finds_nothing() -> None:
    """Expressions, contexts, inputs of the reusable workflows, schedules."""
    assert (0, "") == actionlint(CHECKOUT)


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("release.yml", "matrix.machine }}\n    runs", "matrix.engine }}\n    runs", "engine"),
        ("deploy.yml", "needs: dev", "needs: development", "development"),
        (
            "deploy-environment.yml",
            "steps.release.outputs.tag",
            "steps.found.outputs.tag",
            "found",
        ),
        ("key-set.yml", "17 5 * * 1", "17 25 * * 1", "cron"),
    ],
)
def test_when_a_workflow_is_wrong_then_actionlint_finds_it(
    tmp_path: Path, name: str, old: str, new: str, finding: str
) -> None:
    """The check bites."""
    status, found = actionlint(broken(tmp_path, f"workflows/{name}", old, new))

    assert 0 != status
    assert finding in found


def test_when_the_files_are_compared_with_their_schemas_then_they_pass() -> None:
    """GitHub's, as SchemaStore publishes them."""
    assert 0 == schema("vendor.github-workflows", *FILES)[0]
    assert 0 == schema("vendor.dependabot", DEPENDABOT)[0]


@pytest.mark.parametrize(
    ("kind", "name", "old", "new"),
    [
        ("vendor.github-workflows", "workflows/test.yml", "timeout-minutes:", "timeout-hours:"),
        ("vendor.dependabot", "dependabot.yml", "cooldown:", "cool-down:"),
    ],
)
def test_when_a_key_is_misspelled_then_the_schema_finds_it(
    tmp_path: Path, kind: str, name: str, old: str, new: str
) -> None:
    """The check bites."""
    status, found = schema(kind, broken(tmp_path, name, old, new) / ".github" / name)

    assert 0 != status
    assert new.rstrip(":") in found


# --- what they use -------------------------------------------------------------------------------


def test_when_an_action_is_used_then_it_is_the_commit_in_the_table() -> None:
    """Whole, with its tag behind it; and no line of the table is left over."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in FILES)

    assert 10 < len(used(text))
    assert [] == unpinned(text)
    assert ACTIONS.keys() == {name.partition("@")[0] for name, _ in used(text)}


@pytest.mark.parametrize(
    "line",
    [
        "      - uses: actions/checkout@v7 # v7.0.1",
        "      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b2 # v7.0.1",
        "      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.2",
        "      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "      - uses: someone/else@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    ],
)
def test_when_an_action_is_not_the_tables_then_it_is_found(line: str) -> None:
    """The check bites."""
    assert 1 == len(unpinned(line))


def test_when_a_job_may_write_then_it_is_in_the_table() -> None:
    """Each right by itself; no workflow gives one to all of its jobs."""
    written = {
        (name, job, permission)
        for name, job, described in jobs()
        for permission, level in described["permissions"].items()
        if level == "write"
    }

    assert WRITE_PERMISSIONS.keys() == written
    assert [{}] * len(WORKFLOWS) == [each["permissions"] for each in WORKFLOWS.values()]


def test_when_a_job_can_sign_in_to_a_cloud_then_it_is_in_an_environment() -> None:
    """Its reviewers let it start; the clouds trust the environment's name."""
    signing = [
        (name, job)
        for name, job, described in jobs()
        if "steps" in described
        and described["permissions"].get("id-token") == "write"
        and "environment" not in described
    ]

    assert [] == signing


def problems_of_calls(workflows: Mapping[str, dict[str, Any]]) -> list[str]:
    """What a call of another workflow lacks, or has too much of; actionlint knows no `$/`."""
    found = []
    for name, workflow in workflows.items():
        for job, described in workflow["jobs"].items():
            if "uses" not in described:
                continue
            called = workflows[described["uses"].removeprefix("$/.github/workflows/")]
            inputs = (called["on"]["workflow_call"] or {}).get("inputs", {})
            given = described.get("with", {}).keys()
            required = {each for each, about in inputs.items() if about["required"]}
            found += [f"{name} {job}: input {each}" for each in (given - inputs.keys())]
            found += [f"{name} {job}: input {each}" for each in (required - given)]
            needed = {
                right for each in called["jobs"].values() for right in each["permissions"].items()
            }
            lent = described["permissions"].items()
            found += [f"{name} {job}: {each[0]}" for each in needed if each not in lent]
            found += [f"{name} {job}: {each[0]}" for each in lent if each not in needed]
    return found


def test_when_a_workflow_calls_another_then_it_hands_on_what_that_declares() -> None:
    """Its inputs, and its rights: one less fails on GitHub only, one more is lent to no end."""
    assert [] == problems_of_calls(WORKFLOWS)


@pytest.mark.parametrize(
    ("place", "new", "problem"),
    [
        (("with", "environment"), None, "input environment"),
        (("with", "environments"), "dev", "input environments"),
        (("permissions", "id-token"), None, "id-token"),
        (("permissions", "packages"), "read", "packages"),
    ],
)
def test_when_a_call_is_wrong_then_it_is_found(
    place: tuple[str, str], new: str | None, problem: str
) -> None:
    """The check bites."""
    workflows = deepcopy(WORKFLOWS)
    table, key = place
    changed = workflows["key-set.yml"]["jobs"]["prod"][table]
    changed.pop(key, None)
    if new is not None:
        changed[key] = new

    assert [f"key-set.yml prod: {problem}"] == problems_of_calls(workflows)


def test_when_a_job_runs_then_it_ends_by_itself() -> None:
    """After its own time-out, not after GitHub's six hours; and never twice at once."""
    assert [] == [
        (name, job)
        for name, job, each in jobs()
        if "steps" in each and "timeout-minutes" not in each
    ]
    assert [] == [
        name
        for name, each in WORKFLOWS.items()
        if not {"group", "cancel-in-progress"} <= each["concurrency"].keys()
    ]


def test_when_a_secret_is_named_then_it_is_found() -> None:
    """No workflow reads one; GitHub's own token of the job is none of ours."""
    named = re.findall(
        r"secrets\s*[.\[]|secrets:", "\n".join(file.read_text("utf-8") for file in FILES)
    )

    assert [] == named


def test_when_a_pull_request_is_tested_then_it_has_no_rights() -> None:
    """It may come from anybody."""
    started = {name for name, each in WORKFLOWS.items() if "pull_request" in each["on"]}

    assert {"test.yml"} == started
    assert [{"contents": "read"}] == [
        job["permissions"] for job in WORKFLOWS["test.yml"]["jobs"].values()
    ]


def test_when_a_workflow_makes_something_then_the_makefile_has_the_target() -> None:
    """CI runs what can be run here."""
    text = "\n".join(shell_lines(each) for each in WORKFLOWS.values())

    assert {"test", "release", "deploy-tools", "audit", "lock", "site"} == make_targets(text)
    assert set() == unknown_targets(text)


@pytest.mark.parametrize("line", ["make tests", 'make release TAG="v1" publish', "true && make it"])
def test_when_there_is_no_such_target_then_it_is_found(line: str) -> None:
    """The check bites."""
    assert 1 == len(unknown_targets(line))


def test_when_a_release_is_deployed_then_its_verified_packages_are() -> None:
    """From the folder in which each zip's attestation was looked at, and nothing built since."""
    commands = shell_lines(WORKFLOWS["deploy-environment.yml"])
    parts = (
        "--dir .bridge/release",
        "cd .bridge/release",
        "sha256sum --check SHA256SUMS",
        "for file in *.zip",
        'gh attestation verify "$file"',
        "--packages .bridge/release",
    )

    assert sorted(map(commands.index, parts)) == [commands.index(part) for part in parts]
    assert 1 == commands.count("bridge deploy")


def test_when_a_workflow_calls_bridge_then_there_is_such_a_command() -> None:
    """With all of its options."""
    called = [line for each in WORKFLOWS.values() for line in _BRIDGE.findall(shell_lines(each))]

    assert [
        'deploy --env "$ENVIRONMENT" --packages .bridge/release --until azure-package'
    ] == called
    assert [None] == [problem_of_command(line) for line in called]


@pytest.mark.parametrize("line", ["deplow --env dev", "sync --environment dev"])
def test_when_there_is_no_such_command_then_it_is_found(line: str) -> None:
    """The check bites."""
    assert problem_of_command(line) is not None


def test_when_a_variable_or_environment_is_named_then_the_page_says_what_to_set() -> None:
    """Whoever sets GitHub up reads one page."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
    variables = set(re.findall(r"\bvars\.([A-Z_]+)", text))
    environments = {
        each["with"]["environment"]
        for _, _, each in jobs()
        if "environment" in each.get("with", {})
    } | {each["environment"] for _, _, each in jobs() if isinstance(each.get("environment"), str)}

    assert {"AWS_ROLE_ARN", "AZURE_CLIENT_ID"} <= variables
    assert {"dev", "prod", "release", "github-pages"} == environments
    assert [] == [name for name in sorted(variables | environments) if f"`{name}`" not in PAGE]


def test_when_the_page_names_a_variable_then_a_workflow_reads_it() -> None:
    """Nobody sets what nothing reads."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
    named = re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)

    assert 6 <= len(named)
    assert [] == [name for name in named if f"vars.{name}" not in text]


def test_when_a_workflow_is_written_then_the_page_tells_of_it() -> None:
    """Each by its file's name."""
    assert [] == [name for name in sorted(NAMES) if f"`.github/workflows/{name}`" not in PAGE]


# --- what they run, run -------------------------------------------------------------------------

GH = """\
#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in api) printf '%s' "$DEPLOYED" ;; esac
"""
PAGES = "https://github.com/owner/name/releases/tag/"


def find_release(
    tmp_path: Path, *, asked: str = "", deployed: str = ""
) -> tuple[int, dict[str, str], str]:
    """The step that finds the release: its status, its outputs, and what it asked GitHub."""
    (step,) = [step for _, step in steps() if step.get("id") == "release"]
    program, output, calls = (tmp_path / name for name in ("gh", "output", "calls"))
    program.write_text(GH)
    program.chmod(0o755)
    for file in (output, calls):
        file.touch()
    variables = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "ENVIRONMENT": "prod",
        "RELEASE": asked,
        "DEPLOYED": deployed,
        "CALLS": str(calls),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_REPOSITORY_OWNER": "owner",
    }
    # As GitHub starts it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return result.returncode, outputs, calls.read_text()


@pytest.mark.parametrize("tag", ["v1.2.0", "v10.0.0-rc.1"])
def test_when_a_release_is_named_then_that_one_is_deployed(tmp_path: Path, tag: str) -> None:
    """And GitHub is not asked."""
    assert (0, {"tag": tag, "url": f"{PAGES}{tag}"}, "") == find_release(tmp_path, asked=tag)


def test_when_none_is_named_then_the_deployed_one_is_deployed_again(tmp_path: Path) -> None:
    """The environment's own, by the page that its last deployment left."""
    status, outputs, calls = find_release(tmp_path, deployed=f"{PAGES}v1.2.0")

    assert (0, {"tag": "v1.2.0", "url": f"{PAGES}v1.2.0"}) == (status, outputs)
    assert "-f owner=owner -f name=name -f environment=prod" in calls


@pytest.mark.parametrize(
    ("asked", "deployed"),
    [
        ("", ""),
        ("", "https://elsewhere.example/releases/tag/v1.2.0"),
        ("", f"{PAGES}main"),
        ("main", ""),
        ("v1.2", ""),
        ("v1.2.0; curl evil.example", ""),
        ("v1.2.0\ntag=v6.6.6", ""),
        ("../v1.2.0", ""),
    ],
)
def test_when_there_is_no_such_release_then_nothing_is_deployed(
    tmp_path: Path, asked: str, deployed: str
) -> None:
    """Nor is anything put out that a later step would take."""
    status, outputs, _ = find_release(tmp_path, asked=asked, deployed=deployed)

    assert (1, {}) == (status, outputs)


@pytest.mark.parametrize(
    "name", [name for name in sorted(NAMES) if "schedule" in read(FOLDER / name)["on"]]
)
def test_when_a_workflow_runs_by_itself_then_the_page_says_when(name: str) -> None:
    """Each has a row."""
    assert f"| `.github/workflows/{name}` |" in PAGE


def test_when_the_release_is_attested_then_the_deployment_asks_for_the_same_workflow() -> None:
    """Renamed in one place, it would refuse every release."""
    (signer,) = re.findall(
        r'--signer-workflow "\$GITHUB_REPOSITORY/(\S+)"',
        shell_lines(WORKFLOWS["deploy-environment.yml"]),
    )
    attesting = {
        name for name, step in steps() if step.get("uses", "").startswith("actions/attest@")
    }

    assert {signer} == {f".github/workflows/{name}" for name in attesting}
