"""All that the dashboard keeps, in one place; who is told when something of it changes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from m1cep.alert_states import AlertStates
from m1cep.errors import AlertStateError
from streams.codec import ALERT_STATES, ALERTS, STATUS
from streams.errors import ShellError
from streams.grid.log import GRID_LOG, GRIDS
from streams.rules.record import RULES
from streams.web.dashboard.alerts import MOST_ALERTS, AlertStore
from streams.web.dashboard.documents import Documents
from streams.web.dashboard.feed import Source
from streams.web.dashboard.grids import Grids
from streams.web.dashboard.hub import Hub
from streams.web.dashboard.overview import Overview
from streams.web.dashboard.reserves import Reserves
from streams.web.dashboard.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from m1cep import Rule, Stream
    from streams.custody.roster import Roster
    from streams.web.dashboard.custody import Custody

_log = structlog.get_logger(__name__)

_STANDING = "m1cep.custody.standing.v1"
_TAIL, _STATUS_TAIL, _LOG_TAIL = 100_000, 2_000, 20_000
_TICK_S = 1.0
_MOST_STATES = 100_000
_STATEMENTS_EVERY_S = 5.0
#: How old a document may be; those that change with every event are large, and read by people.
_AGES_S = {"overview": 0.9, "rules": 5.0, "grids": 2.0, "custody": 0.9, "reserves": 5.0}


@dataclass(frozen=True)
class BoardOptions:
    """What the dashboard shows beside the topics.

    Attributes:
        rules: of files, each with its origin: ``packaged`` or ``file``.
        streams: as declared.
        roster: of custody; None: custody is not shown, as nobody's letters could be checked.
        statements: folder below which ``m1cep ledger prove`` publishes; None: reserves are not shown.
    """

    rules: Sequence[tuple[Rule, str]]
    streams: Mapping[str, Stream]
    roster: Roster | None = None
    statements: Path | None = None


class Board:
    """What is shown.

    Attributes:
        hub: who watches.
        ready: whether everything that was there at the start has been read.
    """

    def __init__(self, options: BoardOptions) -> None:
        self.options = options
        self.hub = Hub()
        self.ready = False
        self.store = AlertStore(())
        self.states, self.overview, self.grids = AlertStates(), Overview(), Grids()
        self.rules = Rules(options.rules, options.streams)
        self.custody = _custody(options.roster)
        self._reserves = Reserves(options.statements)
        self._statements: dict[str, Any] = {"statements": None}
        self.documents = Documents()
        makers = {
            "overview": lambda: self.overview.plain(now_ms()),
            "rules": lambda: self.rules.plain(self.overview, now_ms()),
            "grids": self.grids.plain,
            "custody": lambda: {"requests": None, "vaults": None} if self.custody is None else self.custody.plain(),
            "reserves": lambda: self._statements,
        }
        for name, make in makers.items():
            self.documents.add(name, make, _AGES_S[name])

    def sources(self) -> list[Source]:
        """What is to be read."""
        found = [
            Source(ALERTS, self._alert, MOST_ALERTS),
            Source(ALERT_STATES, self._state, _TAIL),
            Source(STATUS, lambda r: self.overview.status(r.key, r.value, r.timestamp), _STATUS_TAIL),
            Source(RULES, self._rule, _TAIL),
            Source(GRIDS, lambda r: self.grids.stands(r.key, r.value), _LOG_TAIL),
            Source(GRID_LOG, lambda r: self.grids.hears(r.key, r.value), _LOG_TAIL),
        ]
        if (custody := self.custody) is not None:
            found.append(Source(_STANDING, lambda r: custody.take(r.value, r.timestamp), _TAIL))
        return found

    def alerts_begin(self, begin: tuple[int, ...]) -> None:
        """Where alerts are read from."""
        self.store = AlertStore(begin)

    def caught_up(self) -> None:
        """Everything that was there has been read."""
        self.ready = True
        _log.info("dashboard.ready", alerts=len(self.store))

    async def run(self) -> None:
        """Tell what has changed, once a second; until cancelled."""
        looked_s = -_STATEMENTS_EVERY_S
        while True:
            if time.monotonic() - looked_s >= _STATEMENTS_EVERY_S:
                looked_s = time.monotonic()
                self._statements = await asyncio.to_thread(self._reserves.look)
            self.overview.tick(now_ms())
            if self.ready and self.hub.watched:
                for name, data in self.documents.changed():
                    self.hub.document(name, data)
            await asyncio.sleep(_TICK_S)

    def _alert(self, record: Any) -> None:
        found = self.store.add(record.partition, record.offset, record.timestamp or 0, record.value)
        if found is not None:
            self.overview.alert(found.rule, found.received_ms)
            if self.ready:
                self.hub.alerts((found,))

    def _rule(self, record: Any) -> None:
        try:
            self.rules.take(record.key, record.value)
        except ShellError as error:
            _log.warning("rule.refused", offset=record.offset, reason=str(error)[:300])

    def _state(self, record: Any) -> None:
        try:
            found = self.states.hear(record.key, record.value)
        except AlertStateError as error:
            _log.warning("alert_state.refused", offset=record.offset, reason=str(error)[:300])
            return
        if len(self.states.last) > _MOST_STATES:
            del self.states.last[next(iter(self.states.last))]
        if found is not None and self.ready:
            self.hub.state(found.to_json())


def _custody(roster: Roster | None) -> Custody | None:
    if roster is None:
        return None
    from streams.web.dashboard.custody import Custody  # needs the extra custody

    return Custody(roster)


def now_ms() -> int:
    """Of the wall clock."""
    return time.time_ns() // 1_000_000
