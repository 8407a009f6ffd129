"""The demo's web page: the dashboard as a process of its own, so that browsers cost the other workers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from streams.demo import command
from streams.demo.reserves import statements_folder
from streams.embedded.ports import is_free
from streams.embedded.process import Process
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from streams.config import Settings


def check_port(settings: Settings) -> None:
    """Before anything is started.

    Raises:
        UsageError: M1CEP_WEB_PORT is taken.
    """
    if settings.web_port and not is_free(settings.web_port):
        remedy = "give another, or unset it: the next free one is used"
        raise UsageError(f"M1CEP_WEB_PORT: port {settings.web_port} is taken", remedy)


class DemoPage:
    """The dashboard while the demo runs. It takes its port by itself: one that is chosen here could be gone until it starts.

    Args:
        settings: M1CEP_WEB_PORT and M1CEP_WEB_HOST.
        folder: of the demo.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._stats = folder / "dashboard-stats.json"

    def start(self, stack: ExitStack, environment: Mapping[str, str], roster: Path | None) -> Process:
        """Start it; its process. The page is there a few seconds later.

        Args:
            stack: ends it.
            environment: of the demo's workers.
            roster: of custody, if there is any.
        """
        process = Process("the dashboard", self._folder / "dashboard.log", grace_s=5.0)
        options = ["--statements", str(statements_folder(self._folder)), "--stats-file", str(self._stats)]
        custody = [] if roster is None else ["--custody", str(roster)]
        port = self._settings.web_port
        wanted = {} if port is None else {"M1CEP_WEB_PORT": str(port)}
        process.start(command.worker("dashboard", *options, *custody, nice=10), env={**environment, **wanted})
        return stack.enter_context(process)

    def url(self) -> str | None:
        """Where it is, once it is there."""
        try:
            found: str | None = orjson.loads(self._stats.read_bytes())["web"]
        except (OSError, ValueError, KeyError):
            return None
        return found
