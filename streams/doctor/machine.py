"""The machine: open files, programs that tests use, ports, the disk."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from streams.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.config import Settings

_FILES = 1024  # a worker with many partitions and clients of its page needs some hundred
_LEAST_FREE_MB = 1024
_DASHBOARD_PORT = 8080


def look() -> Iterator[Finding]:
    """What settings do not change."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except ImportError:  # Windows has none
        pass
    else:
        few = limit != resource.RLIM_INFINITY and limit < _FILES
        remedy = f"ulimit -n {_FILES * 4}, or LimitNOFILE= of the service" if few else ""
        yield Finding("machine", "open files", "warn" if few else "ok", f"at most {limit} at once", remedy)
    java = _first_line(["java", "-version"])
    yield _program("java", java, "for tests on Apache Kafka and Flink", "install OpenJDK 17")
    chromium = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    yield _program("chromium", chromium, "for tests of the dashboard", "install the package chromium")


def look_at_home(settings: Settings) -> Iterator[Finding]:
    """The folders that are written to, and the port of the page."""
    for name, variable in (("home", "M1CEP_HOME"), ("state_dir", "M1CEP_STATE_DIR")):
        folder = getattr(settings, name)
        there = folder
        while not there.exists():
            there = there.parent
        free_mb = shutil.disk_usage(there).free // 1_000_000
        short = free_mb < _LEAST_FREE_MB
        text = f"{folder}: {free_mb:,} MB free"
        remedy = f"make room, or set {variable} to a larger disk" if short else ""
        yield Finding("machine", f"disk of {name}", "warn" if short else "ok", text, remedy)
    from streams.embedded.ports import is_free

    port = settings.web_port or _DASHBOARD_PORT
    if is_free(port):
        yield Finding("machine", "web port", "ok", f"{port} is free")
    elif settings.web_port is None:
        yield Finding("machine", "web port", "ok", f"{port} is taken; the next free one is used")
    else:
        yield Finding(
            "machine", "web port", "warn", f"{port} is taken", "set M1CEP_WEB_PORT to another, or see who has it"
        )


def _program(name: str, found: str, purpose: str, remedy: str) -> Finding:
    if found:
        return Finding("machine", name, "ok", f"{found}, {purpose}")
    return Finding("machine", name, "warn", f"missing, {purpose}", remedy)


def _first_line(command: list[str]) -> str:
    if (path := shutil.which(command[0])) is None:
        return ""
    try:
        said = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((said.stderr or said.stdout).splitlines()), "") if said.returncode == 0 else ""
