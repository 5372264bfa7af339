"""What of an installed requirement is not shipped, because nothing reads it in the cloud."""

import re
import shutil
from pathlib import Path
from typing import Final

# cryptography's bindings were compiled when its wheel was made: of cffi only the C module loads.
_UNUSED_PACKAGES: Final = (
    "bin",
    "cffi",
    "pycparser",
    "pycparser-*.dist-info",
    "boto3/examples",
    # azure-identity's credentials run in threads, and tables are asked over our own client.
    "azure/identity/aio",
    "azure/data/tables/aio",
    # Of the exporter: live metrics, which only the distribution around it starts, and its second,
    # asynchronous client, which nothing does.
    "azure/monitor/opentelemetry/exporter/_quickpulse",
    "azure/monitor/opentelemetry/exporter/_gen_ai",
    "azure/monitor/opentelemetry/exporter/_generated/exporter/aio",
    # Reads a set-up of OpenTelemetry from a file.
    "opentelemetry/sdk/_configuration",
    # Ways to choose what is recorded that are not chosen.
    "opentelemetry/sdk/trace/_sampling_experimental",
    # For Python in a browser, for HTTP/2 without httpx, for asyncpg's own tests, for a terminal.
    "urllib3/contrib/emscripten",
    "asyncpg/_testbase",
    "charset_normalizer/cli",
)
# Of werkzeug, azure-functions takes the headers and the forms; these serve web applications. Each
# stays where another distribution imports it, as Flask does.
_UNUSED_UNLESS_IMPORTED: Final = (
    "werkzeug/_reloader.py",
    "werkzeug/debug",
    "werkzeug/middleware",
    "werkzeug/routing",
    "werkzeug/testapp.py",
)
_UNUSED_FILES: Final = (
    # Programs for a terminal, and what only tests of their authors start.
    *("idna/cli.py", "idna/__main__.py", "msal/__main__.py", "asyncpg/cluster.py"),
    *("urllib3/http2/connection.py", "urllib3/contrib/pyopenssl.py", "urllib3/contrib/socks.py"),
    *("*.pyi", "*.h", "*.c", "*.pxd", "*.pxi", "*.pyx", "py.typed"),
    # What each of these libraries imports only where another one is installed, which is not: trio,
    # pytest, h2, socksio, aiohttp, tornado, and click for a command line.
    *("anyio/_backends/_trio.py", "anyio/pytest_plugin.py", "httpcore/_backends/trio.py"),
    *("httpcore/*/http2.py", "httpcore/*/socks_proxy.py", "httpx/_main.py"),
    *("azure/core/pipeline/transport/_requests_trio.py", "azure/core/rest/_requests_trio.py"),
    *("azure/core/pipeline/transport/_aiohttp.py", "azure/core/rest/_aiohttp.py"),
    "tenacity/tornadoweb.py",
    # Systems that neither cloud nor a developer has.
    *("psutil/_psaix.py", "psutil/_psbsd.py", "psutil/_pssunos.py", "psutil/_pswindows.py"),
    # Compiled twins of modules that are there in Python too: to guess how a text is encoded, and to
    # quote URLs for the tables' shared keys, neither of which we do.
    *("charset_normalizer/*.so", "multidict/*.so", "propcache/*.so", "yarl/*.so"),
)
# The names of everything that anybody measures, 0.3 MB; those that some package imports stay.
_CONVENTIONS: Final = "opentelemetry/semconv/_incubating"
_INCUBATING: Final = "semconv._incubating"
_WORD: Final = re.compile(r"\w+")
# Security scanners and licenses need these two of a distribution's records; nothing needs the rest.
_KEPT_RECORDS: Final = re.compile(r"\.dist-info/(METADATA$|licenses/|LICENSE|NOTICE)")
# botocore ships the description of every AWS service, 25 MB; ours call one.
_SERVICE_DATA: Final = ("botocore/data", "boto3/data")
_CALLED_SERVICES: Final = frozenset({"dynamodb"})


def trim(folder: Path) -> None:
    """Delete from a folder of installed requirements what does not run and binds nobody."""
    unused = [path for pattern in _UNUSED_PACKAGES for path in folder.glob(pattern)]
    unused += [path for pattern in _UNUSED_FILES for path in folder.rglob(pattern)]
    unused += [
        path
        for path in folder.glob("*.dist-info/**/*")
        if path.is_file() and not _KEPT_RECORDS.search(path.as_posix())
    ]
    unused += [
        service
        for data in _SERVICE_DATA
        for service in (folder / data).glob("*/")
        if service.name not in _CALLED_SERVICES
    ]
    unused += _unnamed_conventions(folder)
    unused += _unimported_parts(folder)
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for metadata in folder.glob("*.dist-info/METADATA"):
        _cut_description(metadata)


def _cut_description(metadata: Path) -> None:
    """Leave the fields, which scanners read, and no README behind them (Core metadata 2.1)."""
    fields, blank, _ = metadata.read_bytes().partition(b"\n\n")
    metadata.write_bytes(fields + blank)


def _unnamed_conventions(folder: Path) -> list[Path]:
    """Return the modules of semantic conventions that no other source can mean."""
    conventions = {
        source for source in (folder / _CONVENTIONS).rglob("*.py") if source.stem != "__init__"
    }
    if not conventions:
        return []
    named = {
        word
        for source in folder.rglob("*.py")
        if source not in conventions
        if _INCUBATING in (text := source.read_text(encoding="utf-8", errors="replace"))
        for word in _WORD.findall(text)
    }
    return [source for source in conventions if source.stem not in named]


def _unimported_parts(folder: Path) -> list[Path]:
    """Return the parts of `_UNUSED_UNLESS_IMPORTED` that no other distribution imports."""
    parts = [part for part in _UNUSED_UNLESS_IMPORTED if (folder / part).exists()]
    owners = {part.partition("/")[0] for part in parts}
    others = [
        source.read_text(encoding="utf-8", errors="replace")
        for entry in folder.iterdir()
        if owners and entry.name not in owners
        for source in (entry.rglob("*.py") if entry.is_dir() else [entry])
        if source.suffix == ".py"
    ]
    return [folder / part for part in parts if not any(map(_importing(part).search, others))]


def _importing(part: str) -> re.Pattern[str]:
    owner, _, name = part.removesuffix(".py").partition("/")
    ways = (rf"(?:from|import) {owner}\.{name}\b", rf"from {owner} import .*\b{name}\b")
    return re.compile(rf"^\s*(?:{'|'.join(ways)})", re.MULTILINE)
