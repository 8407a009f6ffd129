"""Orders of the synthetic flow ask the pre-trade check before they are placed: the demo's platform.

    DemoPretrade   the director's side: the agent's process, and an order of the account that the takeover rule has frozen
    Gate           the feeder's side: a rejected order is not placed, and nothing becomes of it

As fast as the worker follows, event time runs a hundred times faster than the clock, and two cores do all of the demo: then
orders of every eighth account ask, and those of the accounts that will be frozen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from streams.demo import command
from streams.demo.market import MARKETS
from streams.demo.score import percentiles
from streams.embedded.ports import any_free_port
from streams.embedded.process import Process
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from streams.rpc.v1.risk_pb2 import Order

log = structlog.get_logger(__name__)

#: The packaged limits are of clients by the clock; here a second brings minutes.
_LIMITS = """
refuse_alerts = "critical"
[feed]
market = false
max_age_ms = 10_000
confirm_within_ms = 2_000
[limits]
order_value = 1_000_000
open_orders = 10_000
symbol_exposure = 100_000_000
account_exposure = 500_000_000
margin = true
"""
EVERY_AT_FULL_SPEED = 8
_LOOKAHEAD, _LOOKAHEAD_S = 1_000, 0.2
_PATIENCE_S = 30.0
_TIMEOUT_S = 10.0


def can_run() -> bool:
    """Whether the extra with gRPC is installed."""
    return all(importlib.util.find_spec(name) for name in ("grpc", "grpc_health", "grpc_reflection"))


@dataclass
class DemoPretrade:
    """The pre-trade check while the demo runs.

    Args:
        folder: of the demo.
        say: tells the person something.

    Attributes:
        address: of the service.
        report: file in which the gate tells what it asked.
        frozen: alerts whose accounts have been seen to be rejected, by account.
    """

    folder: Path
    say: Callable[[str], None]
    address: str = ""
    frozen: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, str] = field(default_factory=dict)
    _asked: int = 0
    _told: dict[str, Any] = field(
        default_factory=lambda: {"checks": 0, "rejected": 0, "rejected_by": {}, "p99_ms": None}
    )
    _client: Any = None

    @property
    def report(self) -> Path:
        """The gate's file."""
        return self.folder / "gate.json"

    def start(self, stack: ExitStack, environment: Mapping[str, str]) -> Process:
        """Start the agent; its process."""
        from streams.rpc.client import RiskClient

        limits = self.folder / "limits.toml"
        prices = (f'[symbols."{symbol}"]\nfirst_price = "{price}"\n' for symbol, price, *_ in MARKETS)
        limits.write_text(_LIMITS + "".join(prices))
        port = any_free_port()
        self.address = f"127.0.0.1:{port}"
        process = Process("the pre-trade check", self.folder / "pretrade.log", grace_s=10.0)
        process.start(
            command.worker("pretrade", "--limits", str(limits)), env={**environment, "M1CEP_RPC_PORT": str(port)}
        )
        stack.enter_context(process)
        self._client = stack.enter_context(RiskClient(self.address, timeout_s=_TIMEOUT_S))
        return process

    def ready(self) -> bool:
        """Whether it decides."""
        return bool(self._client.serving())

    def heard(self, alert: Mapping[str, Any]) -> None:
        """An alert of the rules: those that freeze an account are waited for."""
        if alert["severity"] == "critical" and alert["key"].get("account") not in self.frozen:
            self._waiting[alert["key"]["account"]] = alert["id"]

    def look(self) -> None:
        """Ask whether the accounts that were to be frozen are (each is told of once), and what the gate has asked."""
        from streams.rpc.client import NoAnswer

        with contextlib.suppress(OSError):  # it is not there yet
            self._told = orjson.loads(self.report.read_bytes())
        for account, alert in list(self._waiting.items()):
            self._asked += 1
            try:
                answer = self._client.check(account, f"demo-{self._asked}", "BTC-USD", "buy", "0.01", dry_run=True)
            except NoAnswer:
                continue  # a process that is gone shows where the processes are looked at
            stands = [reason for reason in answer.reasons if alert in reason.alert_ids]
            if stands:
                del self._waiting[account]
                self.frozen[account] = alert
                self.say(f"orders of {account} are rejected: {stands[0].rule_id}, alert {alert}")

    def summary(self) -> dict[str, Any]:
        """The demo's part of the contract."""
        return {**self._told, "frozen": self.frozen}


class Gate:
    """Lets events through whose orders are accepted.

    Args:
        address: of the service.
        report: file for what was asked.
        every: ask for one in so many accounts, and for ``always``.
        speed: multiple of real time, to look ahead no further than a moment; None: as fast as may be.
    """

    def __init__(self, address: str, report: Path, *, every: int, always: Collection[str], speed: float | None) -> None:
        from streams.rpc.client import RiskClient

        self._client = RiskClient(address, timeout_s=_TIMEOUT_S)
        self._report = report
        self._every, self._always = every, frozenset(always)
        self._span_ms = _LOOKAHEAD_S * 1000 * (speed or 1_000_000)
        self._refused: set[str] = set()
        self._checks = self._rejected = 0
        self._reasons: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._told_s = 0.0

    def passed(self, items: Iterable[Any], stopped: Collection[bool]) -> Iterator[Any]:
        """The items whose orders are accepted, in order. A thread asks ahead, so that the feed does not pause for the answers:
        a topic in which nothing comes for a moment is soon taken for idle.

        Args:
            items: as of ``feeder.items``.
            stopped: not empty: end.

        Raises:
            ServerError: the service gives no answer.
        """
        found: queue.Queue[list[Any] | Exception | None] = queue.Queue(maxsize=1)
        thread = threading.Thread(target=self._ask_ahead, args=(items, stopped, found), name="gate", daemon=True)
        thread.start()
        try:
            while (chunk := found.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield from chunk
        finally:
            self._tell()

    def _ask_ahead(
        self, items: Iterable[Any], stopped: Collection[bool], found: queue.Queue[list[Any] | Exception | None]
    ) -> None:
        try:
            for chunk in self._chunks(items):
                found.put(self._let_through(chunk, stopped))
                if stopped:
                    break
            found.put(None)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the items
            found.put(error)

    def _chunks(self, items: Iterable[Any]) -> Iterator[list[Any]]:
        """Items in lots, both sides of a trade in one."""
        chunk: list[Any] = []
        for item in items:
            time_ms = item[1][0]
            full = chunk and (len(chunk) >= _LOOKAHEAD or time_ms - chunk[0][1][0] > self._span_ms)
            if full and time_ms != chunk[-1][1][0]:
                yield chunk
                chunk = []
            chunk.append(item)
        yield chunk

    def _let_through(self, chunk: list[Any], stopped: Collection[bool]) -> list[Any]:
        """What is left of some items."""
        self._ask(
            [event for _, (_, stream, event, _) in chunk if stream == "orders" and self._concerns(event)], stopped
        )
        if time.monotonic() - self._told_s > 1:
            self._tell()
        if not self._refused:
            return chunk
        events = [event for _, (_, _, event, _) in chunk if isinstance(event, dict)]
        trades = {e.get("trade_id") for e in events if e.get("order_id") in self._refused} - {None}
        return [i for i in chunk if not (isinstance(e := i[1][2], dict) and self._is_gone(e, trades))]

    def _is_gone(self, event: Mapping[str, Any], trades: set[Any]) -> bool:
        return event.get("order_id") in self._refused or event.get("trade_id") in trades

    def _concerns(self, event: Any) -> bool:
        if not isinstance(event, dict) or event.get("action") != "new":
            return False
        account = event["account"]
        return account in self._always or zlib.crc32(account.encode()) % self._every == 0

    def _ask(self, events: list[dict[str, Any]], stopped: Collection[bool]) -> None:
        if not events:
            return
        orders = [_order(event) for event in events]
        started_s = time.perf_counter()
        decisions = self._decisions(orders, stopped)
        self._latencies_ms.append((time.perf_counter() - started_s) * 1000)
        self._checks += len(decisions)
        refused = {decision.order_id for decision in decisions if not decision.accepted}
        self._rejected += len(refused)
        self._refused |= refused
        self._reasons.update(reason.rule_id for decision in decisions for reason in decision.reasons)

    def _decisions(self, orders: list[Order], stopped: Collection[bool]) -> Any:
        """Without an answer nothing is placed: ask again, for a while."""
        from streams.rpc.client import NoAnswer

        give_up_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._client.check_batch(orders)
            except NoAnswer as none:
                if stopped:
                    return ()
                if time.monotonic() > give_up_s:
                    raise ServerError(f"the pre-trade check has not answered for {_PATIENCE_S:.0f} s: {none}") from none
                time.sleep(0.1)

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        told = {
            "checks": self._checks,
            "rejected": self._rejected,
            "rejected_by": dict(sorted(self._reasons.items())),
            "p99_ms": percentiles(self._latencies_ms)["p99"],
        }
        temporary = self._report.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(told))
        temporary.replace(self._report)


def _order(event: Mapping[str, Any]) -> Order:
    from streams.rpc.client import order

    price = event["price"]
    return order(
        event["account"],
        event["order_id"],
        event["symbol"],
        event["side"],
        _text(event["qty"]),
        None if price is None else _text(price),
    )


def _text(number: float) -> str:
    return f"{number:.12f}".rstrip("0").rstrip(".")
