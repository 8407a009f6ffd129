"""Python, packages, extras, the package index."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from streams.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (3, 11)
#: What each extra is for.
EXTRAS = {
    "cache": "lists, parameters and results in Valkey or Redis; m1cep cache",
    "embedded": "a Kafka broker of our own: m1cep broker, m1cep demo",
    "postgres": "snapshots in PostgreSQL, the ledger, m1cep db",
    "grid": "m1cep grid plan and backtest",
    "custody": "threshold signatures: m1cep custody",
    "custody-bitcoin": "Bitcoin vaults, a local chain",
    "custody-solana": "Solana vaults, a local chain",
    "custody-evm": "Ethereum vaults and Safes, a local chain",
    "rpc": "the pre-trade check over gRPC",
    "dubbo": "a Dubbo client, for a test",
    "ccxt": "real venues behind grids",
    "flink": "a test that runs rules on Flink; needs Java 17",
}
_NAME = re.compile(r"^\s*([A-Za-z0-9._-]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_INDEX_TIMEOUT_S = 20


def look() -> Iterator[Finding]:
    """Python, m1cep, the packages that it always needs, and each extra."""
    version = platform.python_version()
    if sys.version_info < OLDEST:
        yield Finding("installation", "python", "fail", version, "install Python 3.11 or newer")
    else:
        yield Finding("installation", "python", "ok", f"{version}, {sys.executable}")
    try:
        needed = metadata.requires("m1cep") or []
        yield Finding("installation", "m1cep", "ok", metadata.version("m1cep"))
    except metadata.PackageNotFoundError:
        yield Finding(
            "installation", "m1cep", "fail", "it is not installed", "run python3 run.py setup, or pip install m1cep"
        )
        return
    by_extra: dict[str, list[str]] = {}
    for one in needed:
        if name := _NAME.match(one):
            marked = _EXTRA.search(one)
            by_extra.setdefault(marked[1] if marked else "", []).append(name[1])
    missing = _missing(by_extra.get("", []))
    count = len(by_extra.get("", []))
    if missing:
        yield Finding("installation", "packages", "fail", f"missing: {', '.join(missing)}", "pip install m1cep")
    else:
        yield Finding("installation", "packages", "ok", f"all {count} that are always needed")
    for extra, purpose in EXTRAS.items():
        missing = _missing([name for name in by_extra.get(extra, []) if name != "m1cep"])
        text = f"{purpose}; missing: {', '.join(missing)}" if missing else purpose
        remedy = f"pip install 'm1cep[{extra}]'" if missing else ""
        yield Finding("installation", f"extra {extra}", "warn" if missing else "ok", text, remedy)


def look_at_index() -> Iterator[Finding]:
    """Whether the package index that pip is set to answers."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--dest"]
    try:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run(  # noqa: S603 - our own interpreter
                [*command, folder, "--quiet", "iniconfig"],
                capture_output=True,
                text=True,
                timeout=_INDEX_TIMEOUT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired):
        yield Finding("index", "package index", "warn", f"no answer within {_INDEX_TIMEOUT_S} s", _INDEX_REMEDY)
        return
    if said.returncode == 0:
        yield Finding("index", "package index", "ok", "pip gets packages from it")
    elif "No module named pip" in said.stderr:
        yield Finding("index", "package index", "ok", "not asked: this environment has no pip (uv made it)")
    else:
        last = (said.stderr.strip().splitlines() or ["pip failed"])[-1]
        yield Finding("index", "package index", "warn", last[:200], _INDEX_REMEDY)


_INDEX_REMEDY = "check the network and pip's settings: pip config list"


def _missing(names: list[str]) -> list[str]:
    found = []
    for name in dict.fromkeys(names):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(name)
    return found
