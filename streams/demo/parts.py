"""The systems beside the rules, as far as they are installed: grid, custody, pre-trade check, ledger, its statements, dashboard.

They start side by side: what takes long without us, the database that makes its servers, begins first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from streams.config import ACCESS, PREFIX
from streams.demo import custody, grid, ledger, pretrade, reserves, web
from streams.demo.feeder import FeedOptions, synthetic_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from streams.config import Settings
    from streams.demo.director import DemoOptions
    from streams.demo.show import Show
    from streams.embedded.process import Process


class Parts:
    """What runs beside the rules; a part that is not installed is None.

    Args:
        stack: ends all of them.
        settings: with the broker's address.
        folder: of the demo.
        options: what the person asked for.
        show: where the demo shows itself.
        started: gets the processes.
    """

    def __init__(
        self,
        stack: ExitStack,
        settings: Settings,
        folder: Path,
        options: DemoOptions,
        show: Show,
        started: list[Process],
    ) -> None:
        self._stack, self._settings, self._folder = stack, settings, folder
        self._options, self._show, self._started = options, show, started
        self.environment = environment(settings, folder)
        self.grid: grid.DemoGrid | None = None
        self.custody: custody.DemoCustody | None = None
        self.pretrade: pretrade.DemoPretrade | None = None
        self.ledger: ledger.DemoLedger | None = None
        self.reserves: reserves.DemoReserves | None = None
        self._page = web.DemoPage(settings, folder)
        self._page_is_told = False

    def start(self, phase: Callable[[str], None]) -> None:
        """Start all but the ledger's agent, whose database takes the longest.

        Args:
            phase: is told what comes next, and may raise to end it there.
        """
        if ledger.can_run():
            phase("starting the database")
            self.ledger = ledger.DemoLedger(self._settings, self._folder)
            self.ledger.prepare(self._stack)
        if self._options.real and grid.can_plan(self._settings.home):
            phase("starting the grid and its exchange")
            self.grid = grid.DemoGrid(self._settings, self._folder, self._show.note)
            self._stack.enter_context(self.grid.tail)
            self._started.append(self._stack.enter_context(self.grid.worker(self.environment)))
        if custody.can_run():
            phase("starting signers and coordinator")
            self.custody = custody.DemoCustody(self._settings, self._folder, self._attacked(), self._show.note)
            self._started += self.custody.start(self._stack, self.environment)
        if pretrade.can_run():
            phase("starting the pre-trade check")
            self.pretrade = pretrade.DemoPretrade(self._folder, self._show.note)
            self._started.append(self.pretrade.start(self._stack, self.environment))
        phase("starting the dashboard")
        self._started.append(self._page.start(self._stack, self.environment, self._roster))

    def start_ledger(self) -> None:
        """The ledger's agent, and what is shown of the books; once its database is ready."""
        if self.ledger is None:
            return
        self._started.append(self.ledger.start(self._stack, self.environment, self._roster))
        office = None if self.custody is None else self.custody.office
        self.reserves = reserves.DemoReserves(self.ledger.settings, self._folder, office, self._show.note)
        self.reserves.start(self._stack)

    def heard(self, alert: Mapping[str, Any]) -> None:
        """An alert of the rules."""
        for part in (self.custody, self.pretrade):
            if part is not None:
                part.heard(alert)

    def find_page(self) -> None:
        """Tell the person where the dashboard is, once it is there."""
        if not self._page_is_told and (url := self._page.url()) is not None:
            self._page_is_told = True
            self._show.page(url)

    def look(self) -> None:
        """Now and then: take in what has happened."""
        self.find_page()
        for part in (self.pretrade, self.grid):
            if part is not None:
                part.look()

    @property
    def _roster(self) -> Path | None:
        return None if self.custody is None else self.custody.roster_file

    def _attacked(self) -> str | None:
        """The account on which the account-takeover rule will alert."""
        if not self._options.attacks:
            return None
        planted = synthetic_flow(FeedOptions(self._settings.broker, None, "", "", self._options.seed), 0).planted
        return next((one.account for one in planted if one.rule_family == "account_takeover"), None)


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    """Of the demo's processes. The port of the web page is not that of every worker; what they write goes with the folder."""
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    theirs = (*(PREFIX + name.upper() for name in ACCESS), "M1CEP_WEB_PORT")
    return {
        **{name: value for name, value in os.environ.items() if not name.upper().startswith(theirs)},
        "M1CEP_BROKER": settings.broker,
        "M1CEP_STATE_DIR": str(folder / "state"),
        "M1CEP_HOME": str(settings.home),
        "TMPDIR": str(scratch),
    }
