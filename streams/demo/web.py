"""The demo's web page: the dashboard as a process of its own, so that browsers cost the other workers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.demo import command
from streams.demo.reserves import statements_folder
from streams.embedded.ports import any_free_port, free_port_from, is_free
from streams.embedded.process import Process
from streams.errors import UsageError
from streams.web.server import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from streams.config import Settings


def start(
    stack: ExitStack, settings: Settings, folder: Path, environment: Mapping[str, str], roster: Path | None
) -> tuple[Process, str]:
    """Start it; its process and address. The page is there a few seconds later.

    Args:
        stack: ends it.
        settings: M1CEP_WEB_PORT and M1CEP_WEB_HOST.
        folder: of the demo.
        environment: of its workers.
        roster: of custody, if there is any.

    Raises:
        UsageError: the port that was asked for is taken.
        ServerError: no port is free.
    """
    port = _port(settings)
    process = Process("the dashboard", folder / "dashboard.log", grace_s=5.0)
    options = ["--statements", str(statements_folder(folder))]
    custody = [] if roster is None else ["--custody", str(roster)]
    process.start(
        command.worker("dashboard", *options, *custody, nice=10), env={**environment, "M1CEP_WEB_PORT": str(port)}
    )
    stack.enter_context(process)
    return process, f"http://{settings.web_host}:{port}"


def _port(settings: Settings) -> int:
    wanted = settings.web_port
    if wanted is None:
        return free_port_from(DEFAULT_PORT)
    if wanted == 0:
        return any_free_port()
    if not is_free(wanted):
        raise UsageError(
            f"M1CEP_WEB_PORT: port {wanted} is taken", "give another, or unset it: the next free one is used"
        )
    return wanted
