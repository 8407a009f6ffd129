"""The grid of the demo: planned from the real trades, trading on the paper exchange against the real flow.

It is planned from the same half hour that it trades in: what is shown is how a grid runs, not what it earns; ``m1cep grid
backtest`` keeps the two apart. An alert that halts it is shown, and an operator lets it go on.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
from kafka import KafkaProducer

from m1cep.grid import wire
from m1cep.grid.machine import Resume, Start
from streams.agents.outbox import keyed_partition
from streams.agents.sequencer import Origin
from streams.demo import command, dataset
from streams.demo.tail import TopicTail
from streams.embedded.process import Process
from streams.files import load_streams, packaged_rules_dir, read_text
from streams.grid.desk import send_event
from streams.grid.log import GRIDS, PAPER_LOG
from streams.grid.markets import load_markets
from streams.topic_table import topics_of
from streams.topics import broker_errors, create_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from m1cep.grid.machine import GridSpec
    from streams.config import Settings

NAME, ACCOUNT, SYMBOL = "demo", "desk-1", "BTC-USD"
CAPITAL = Decimal(10_000)
#: Event time runs many times as fast as the clock here, so the exchange's fills come late by it: to a topic of their own.
FILLS = "m1cep.demo-fills.v1"
RESUMED_AFTER_S = 0.5
_SETTLED_S = 0.5
_SHOWN = ("generations", "fills", "grid_profit", "floating_pnl", "fees", "equity_change", "unexplained")


def can_plan(home: Path) -> bool:
    """Whether there are real trades, and the extra that plans is installed."""
    return all(importlib.util.find_spec(name) for name in ("numpy", "polars")) and dataset.load(home) is not None


def plan(settings: Settings) -> GridSpec:
    """A grid from the real trades."""
    from m1cep.grid.plan import PlanOptions, plan_grid
    from m1cep.grid.start import grid_spec
    from streams.grid.history import BITSTAMP, load_history

    market = load_markets()[SYMBOL]
    return grid_spec(plan_grid(load_history(BITSTAMP, settings, SYMBOL), market, PlanOptions(capital=CAPITAL)))


@dataclass
class DemoGrid:
    """The grid while the demo runs.

    Args:
        settings: with the broker's address.
        folder: of the demo.
        say: tells the person something.
    """

    settings: Settings
    folder: Path
    say: Callable[[str], None]
    tail: TopicTail = field(init=False)
    status: dict[str, Any] = field(default_factory=dict)
    halts: list[str] = field(default_factory=list)
    _resume_s: float | None = None
    _changed_s: float = 0.0

    def __post_init__(self) -> None:
        """Read along from the beginning."""
        self.tail = TopicTail(self.settings, GRIDS, wait_ms=100)

    def worker(self, environment: Mapping[str, str]) -> Process:
        """Its worker and that of its exchange, started; the real book of the beginning is there."""
        declared = self.folder / "streams.sql"
        text = read_text(packaged_rules_dir() / "streams.sql")
        declared.write_text(text.replace("'m1cep.fills.v1'", f"'{FILLS}'"), encoding="utf-8")
        create_topics(self.settings, topics_of(load_streams(declared).values()), partitions=command.PARTITIONS)
        self._rest_orders()
        worker = Process("the grid's worker", self.folder / "grid-worker.log", grace_s=10.0)
        options = ["--stats-file", str(self._stats), "--stats-every-ms", "200", "--streams", str(declared)]
        worker.start(command.worker("grid,paper_exchange", *options), env=dict(environment))
        return worker

    def ready(self) -> bool:
        """Whether the worker is."""
        return bool(self._read().get("ready"))

    def _rest_orders(self) -> None:
        """Put the orders that rested when the capture began into the exchange's book."""
        found = dataset.load(self.settings.home)
        assert found is not None
        lines = found.book.read_bytes().rstrip(b"\n").split(b"\n")
        number = keyed_partition(SYMBOL.encode(), command.PARTITIONS)
        with broker_errors(self.settings):
            producer = KafkaProducer(**self.settings.client_settings(), acks="all", enable_idempotence=False)
            try:
                for at in range(0, len(lines), 1000):
                    origin = Origin("book", "demo", at).header()
                    value = b"\n".join(lines[at : at + 1000])
                    producer.send(PAPER_LOG, value, partition=number, headers=[origin]).get(10)
            finally:
                producer.close()

    def start(self, spec: GridSpec) -> None:
        """Ask the worker to start it."""
        plain = wire.spec_plain(spec)
        send_event(self.settings, NAME, Start("demo"), spec=plain, account=ACCOUNT, venue="paper")

    def look(self) -> None:
        """Take in how it stands; let it go on some time after a halt."""
        now_s = time.monotonic()
        for value, _ in self.tail.take():
            status = orjson.loads(value)
            if status["state"] == "halted" and status["reason"] not in self.halts:
                self.halts.append(status["reason"])
                self._resume_s = now_s + RESUMED_AFTER_S
                self.say(f"the grid is halted by {status['reason'].replace(':', ' ')}: all its orders are cancelled")
            if status != self.status:
                self.status, self._changed_s = status, now_s
        if self._resume_s is not None and now_s > self._resume_s:
            self._resume_s = None
            send_event(self.settings, NAME, Resume(f"demo-{len(self.halts)}"))
            self.say("an operator lets the grid go on")

    def settled(self) -> bool:
        """Whether its worker has taken everything, and nothing has changed for a moment."""
        self.look()
        agents = self._read().get("agents", {}).values()
        lag = sum(behind for agent in agents for behind in agent["lag"].values())
        still = time.monotonic() - self._changed_s > _SETTLED_S
        return still and lag == 0 and self._resume_s is None and self.status.get("state") in {"live", "stopped"}

    @property
    def _stats(self) -> Path:
        return self.folder / "grid-stats.json"

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = orjson.loads(self._stats.read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def summary(self) -> dict[str, Any]:
        """The demo's part of the contract."""
        return {
            **{name: self.status.get(name) for name in _SHOWN},
            "state": self.status.get("state"),
            "halts": len(self.halts),
        }
