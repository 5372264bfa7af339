"""What `bridge up` prints: where everything is, and lines to paste into another terminal."""

import json
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emulator.functions_host.settings import LOCAL_SETTINGS
from emulator.stack import LocalStack


def write_settings_file(stack: LocalStack) -> Path:
    """Write the Function App's settings where `bridge sync --settings` finds them.

    Only their owner may read the file: there are secrets among them, though of this stack only.
    """
    file = stack.folder / LOCAL_SETTINGS
    document = {"IsEncrypted": False, "Values": dict(stack.function_settings)}
    file.touch(mode=0o600)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return file


def places_of(stack: LocalStack) -> tuple[tuple[str, str], ...]:
    """Return where everything is: a name for each place, and the place."""
    return (
        ("Function App", stack.functions.url),
        ("API in AWS", stack.api_url),
        ("AWS endpoint", f"{stack.aws_endpoint_url} (any key, region eu-west-1)"),
        ("Entra ID", f"{stack.entra.authority}, {stack.entra.https_authority_host}"),
        ("table in AWS", stack.deployment.table_name),
        ("records and checkpoint", stack.store_place),
        ("settings", str(stack.folder / LOCAL_SETTINGS)),
        ("logs", f"{stack.log_folder}/*.log"),
    )


def print_up_page(stack: LocalStack, console: Console, console_url: str | None) -> None:
    """Print the URLs, the local console's first, ready-made curl lines and where the logs are."""
    places = Table(title="The bridge is up; Ctrl-C stops it", title_justify="left", box=None)
    places.add_column("", style="bold")
    places.add_column("", overflow="fold")
    if console_url is not None:
        places.add_row("local console", f"[bold]{console_url}[/] (open it in a browser)")
    for name, place in places_of(stack):
        places.add_row(name, place)
    console.print(places)
    console.print()
    for comment, lines in _curl_lines(stack):
        console.print(f"[dim]# {comment}[/]", highlight=False)
        # Never wrapped, so that a line can be copied whole.
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        console.print()


def bridge_program(installed: Path) -> str:
    """Return how to call the `bridge` that is installed there: by its name where that finds it."""
    found = shutil.which("bridge")
    is_found = found is not None and Path(found).resolve() == installed.resolve()
    return "bridge" if is_found else shlex.quote(str(installed))


def _curl_lines(stack: LocalStack) -> tuple[tuple[str, tuple[str, ...]], ...]:
    bridge = bridge_program(Path(sys.executable).parent / "bridge")
    settings = shlex.quote(str(stack.folder / LOCAL_SETTINGS))
    functions, api, entra = stack.functions.url, stack.api_url, stack.entra.authority
    directory, editor = stack.tenant.directory, stack.tenant.editor
    return (
        ("the Function App's health", (f"curl -s {functions}/api/health",)),
        ("one record, through the proxy", (f"curl -si {functions}/api/aws/v1/records/EGLL",)),
        (
            "run the sync now, without waiting for the timer",
            (
                (
                    f"curl -si -X POST {functions}/admin/functions/sync_timer"
                    " -H 'Content-Type: application/json' -d '{\"input\":\"\"}'"
                ),
            ),
        ),
        (
            "run it from here, and watch it; then its state",
            (
                f"{bridge} sync --settings {settings}",
                f"{bridge} sync status --settings {settings}",
            ),
        ),
        (
            "why the Function App's token is let in or refused, check by check",
            (f"{bridge} explain --local --folder {shlex.quote(str(stack.folder))}",),
        ),
        ("the API without a token: 401", (f"curl -si {api}/v1/records",)),
        (
            "a token of an application that may read and write, and the API with it",
            (
                (
                    f"TOKEN=$(curl -s {entra}/{directory.tenant_id}/oauth2/v2.0/token"
                    f" -d grant_type=client_credentials -d client_id={editor.client_id}"
                    f" -d client_secret={editor.secrets[0]}"
                    f" -d scope={directory.api.app_id_uri}/.default"
                    " | python3 -c 'import json,sys;"
                    """ print(json.load(sys.stdin)["access_token"])')"""
                ),
                f'curl -si "{api}/v1/records?limit=2" -H "Authorization: Bearer $TOKEN"',
                (
                    f"curl -si -X PUT {api}/v1/records/DEMO"
                    ' -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"'
                    """ -d '{"name":"mine"}'"""
                ),
            ),
        ),
        ("rotate Entra's signing key", (f"curl -si -X POST {entra}/_emulator/rotate-signing-key",)),
    )
