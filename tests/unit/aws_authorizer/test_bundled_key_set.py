"""The bundled key set."""

import runpy
import sys
from pathlib import Path

import pytest

from aws_authorizer import bundled_key_set
from aws_authorizer.bundled_key_set import (
    build_bundled_key_set,
    load_bundled_key_set,
    main,
    parse_bundled_key_set,
)
from aws_authorizer.key_set_fetch import FetchedKeySet, FetchFailed
from aws_authorizer.signing_key import KeySetMalformed
from tests.support.fake_clock import FakeClock
from tests.support.keys import KEY_ID, TENANT_ID, key_set


def test_when_a_fetched_set_is_bundled_then_it_is_read_back_with_its_time() -> None:
    """The file is a key set that knows how old it is."""
    content = build_bundled_key_set(FetchedKeySet(key_set() + b"\n", None), FakeClock(now=1234.9))
    bundled = parse_bundled_key_set(content)

    assert {KEY_ID} == bundled.key_set.keys.keys()
    assert 1234.0 == bundled.retrieved_at


def test_when_an_answer_has_no_usable_key_then_it_is_not_bundled() -> None:
    """A broken answer must break the build, not the deployment."""
    with pytest.raises(KeySetMalformed):
        build_bundled_key_set(FetchedKeySet(b'{"keys":[]}', None), FakeClock())


@pytest.mark.parametrize("retrieved_at", [None, True, "1700000000", 1.5, [1]])
def test_when_a_file_is_not_dated_then_it_is_not_used(retrieved_at: object) -> None:
    """A key set of unknown age must not be trusted."""
    with pytest.raises(KeySetMalformed, match="not_dated"):
        parse_bundled_key_set(key_set(retrieved_at=retrieved_at))


def test_when_a_file_is_missing_then_it_cannot_be_loaded(tmp_path: Path) -> None:
    """Missing and malformed are told apart."""
    with pytest.raises(FileNotFoundError):
        load_bundled_key_set(str(tmp_path / "key_set.json"))


def test_when_the_command_is_run_then_it_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One argument, the file; the tenant comes from the environment."""
    fetched: list[tuple[str, float]] = []

    def fetch(url: str, seconds: float) -> FetchedKeySet:
        fetched.append((url, seconds))
        return FetchedKeySet(key_set(), None)

    monkeypatch.setenv("ENTRA_TENANT_ID", TENANT_ID)
    monkeypatch.setattr(bundled_key_set, "fetch_key_set", fetch)
    file = tmp_path / "key_set.json"

    assert 0 == main([str(file)])
    assert {KEY_ID} == load_bundled_key_set(str(file)).key_set.keys.keys()
    url = f"https://login.microsoftonline.com/{TENANT_ID}/discovery/v2.0/keys"
    assert [(url, 10.0)] == fetched


def test_when_the_command_fails_then_it_says_why_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing setting, an endpoint that is down, and a wrong call."""

    def fetch(_url: str, _seconds: float) -> FetchedKeySet:
        raise FetchFailed("unreachable")

    monkeypatch.delenv("ENTRA_TENANT_ID", raising=False)
    monkeypatch.setattr(bundled_key_set, "fetch_key_set", fetch)
    file = tmp_path / "key_set.json"

    assert 1 == main([str(file)])
    assert "ENTRA_TENANT_ID" in capsys.readouterr().err

    monkeypatch.setenv("ENTRA_TENANT_ID", TENANT_ID)
    assert 1 == main([str(file)])
    assert "no key set: unreachable\n" == capsys.readouterr().err

    assert 2 == main([])
    assert 2 == main([str(file), str(file)])
    assert not file.exists()


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["key_set.json"], 1)])
def test_when_the_module_is_run_then_it_is_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
) -> None:
    """`python -m aws_authorizer.bundled_key_set FILE`, whose exit status a build looks at."""
    monkeypatch.delenv("ENTRA_TENANT_ID", raising=False)
    monkeypatch.setattr(sys, "argv", ["bundled_key_set", *arguments])
    monkeypatch.delitem(sys.modules, "aws_authorizer.bundled_key_set")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("aws_authorizer.bundled_key_set", run_name="__main__")

    assert status == ended.value.code
    assert ("usage" if status == 2 else "ENTRA_TENANT_ID") in capsys.readouterr().err
