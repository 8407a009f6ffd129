"""Bitstamp's public order flow, as captured by ob-analytics, converted to events of the ``market`` stream.

The capture is two CSV files: ``orders.csv`` (id, timestamp, exchange_timestamp, price, volume, action, direction) and
``trades.csv`` (trade_id, timestamp, exchange_timestamp, price, amount, buy_order_id, sell_order_id, side). What it means,
found by looking at all of it:

- ``exchange_timestamp`` is the venue's time, in epoch milliseconds: the event time here. ``timestamp`` is when the message
  arrived at whoever captured it, 62 ms or more later.
- ``volume`` is what is left of the order, in BTC: of a created order its size, of a changed or deleted one the rest. A
  deleted order with 0 left was filled, one with a rest was cancelled. Every change is a fill (the venue has no amendments).
- A market order is created with the price 999999999 (buy) or 0 (sell), as the venue sends it. Later events of an order
  may show another price than its first (the price of the fill, or the best one when it was cancelled).
- Two kinds of rows were not sent by the venue: the order book at the beginning, as ``created`` rows with one time, and a
  ``deleted`` row for every order left at the end, which arrived in the very millisecond it happened. The former are
  the *book* here, apart from the market's events; the latter are left out.
- Each trade made two order events, the maker's and the taker's; it stands directly after the second.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SYMBOL = "BTC-USD"

Part = Literal["book", "market", "closing"]
Event = dict[str, Any]

_ORDER_COLUMNS = ("id", "timestamp", "exchange_timestamp", "price", "volume", "action", "direction")
_TRADE_COLUMNS = ("trade_id", "exchange_timestamp", "price", "amount", "buy_order_id", "sell_order_id", "side")
_AGGRESSOR = {"buy": "bid", "sell": "ask"}
_ACTIONS = frozenset({"created", "changed", "deleted"})
_SIDES = frozenset({"bid", "ask"})


class CaptureError(ValueError):
    """A capture file is not what it should be: which file, which line, what was expected."""


def convert(orders: Iterable[str], trades: Iterable[str]) -> Iterator[tuple[Part, Event]]:
    """Events in event-time order from the lines of the two CSV files, header lines included.

    Yields:
        ("book", event): an order resting when the capture began, as a ``created`` event;
        ("market", event): what the venue sent;
        ("closing", event): a ``deleted`` event that the capture made up at its end, for counting only.

    Raises:
        CaptureError: a column is missing or a value is not readable.
    """
    lifes: Counter[str] = Counter()  # events so far of each order that may have more
    placing = _TradePlacing(_read_trades(trades))
    opening: tuple[int, int] | None = None
    for row in _read_orders(orders):
        for trade in placing.left_behind(row.time):
            yield "market", trade
        opening = opening or (row.time, row.arrival)
        part: Part = "market"
        if row.action == "created" and (row.time, row.arrival) == opening:
            part = "book"
        elif row.action == "deleted" and row.time == row.arrival:
            part = "closing"
        yield part, _order_event(row, lifes[row.order_id])
        lifes[row.order_id] += 1
        if row.action == "deleted":
            del lifes[row.order_id]
        if part == "market" and row.action != "created" and (done := placing.completed_by(row)):
            yield "market", done
    for trade in placing.left_behind(None):
        yield "market", trade


class _OrderRow(NamedTuple):
    order_id: str
    time: int  # ms, at the venue
    arrival: int  # ms, at the capture
    price: float
    rest: float
    action: str
    side: str


def _order_event(row: _OrderRow, nth: int) -> Event:
    return {
        "event_id": f"bs-{row.order_id}.{nth}",
        "symbol": SYMBOL,
        "action": row.action,
        "order_id": row.order_id,
        "side": row.side,
        "price": row.price,
        "qty": row.rest,
        "ts": row.time,
    }


class _TradePlacing:
    """Finds for each trade its place among the order events: after the two that it made."""

    def __init__(self, trades: list[Event]) -> None:
        self._in_order = deque(trades)
        self._of_order: defaultdict[str, deque[Event]] = defaultdict(deque)
        self._halves: Counter[str] = Counter()
        self._placed: set[str] = set()
        for trade in trades:
            self._of_order[trade["buy_order_id"]].append(trade)
            self._of_order[trade["sell_order_id"]].append(trade)

    def completed_by(self, row: _OrderRow) -> Event | None:
        """The trade whose second order event this one is."""
        waiting = self._of_order.get(row.order_id)
        if not waiting or waiting[0]["ts"] != row.time:
            return None
        trade = waiting.popleft()
        self._halves[trade["event_id"]] += 1
        if self._halves[trade["event_id"]] < 2 or trade["event_id"] in self._placed:
            return None
        self._placed.add(trade["event_id"])
        return trade

    def left_behind(self, time: int | None) -> Iterator[Event]:
        """Trades from before ``time`` (None: all) whose order events never came: they stand at the end of their time."""
        while self._in_order and (time is None or self._in_order[0]["ts"] < time):
            trade = self._in_order.popleft()
            if trade["event_id"] not in self._placed:
                self._placed.add(trade["event_id"])
                yield trade


def _read_orders(lines: Iterable[str]) -> list[_OrderRow]:
    rows: list[_OrderRow] = []
    for number, row in _read(lines, "orders.csv", _ORDER_COLUMNS):
        order_id, arrival, time, price, rest, action, side = row
        if action not in _ACTIONS or side not in _SIDES:
            raise CaptureError(f"orders.csv, line {number}: unknown action {action!r} or direction {side!r}")
        try:
            rows.append(_OrderRow(order_id, int(time), int(arrival), float(price), float(rest), action, side))
        except ValueError as error:
            raise CaptureError(f"orders.csv, line {number}: {error}") from None
    rows.sort(key=lambda row: row.time)  # stable: rows of one time stay as they were in the file
    return rows


def _read_trades(lines: Iterable[str]) -> list[Event]:
    trades: list[Event] = []
    for number, row in _read(lines, "trades.csv", _TRADE_COLUMNS):
        trade_id, time, price, amount, buy_order_id, sell_order_id, side = row
        if side not in _AGGRESSOR:
            raise CaptureError(f"trades.csv, line {number}: expected side buy or sell, got {side!r}")
        try:
            trades.append(
                {
                    "event_id": f"bs-t{trade_id}",
                    "symbol": SYMBOL,
                    "action": "trade",
                    "side": _AGGRESSOR[side],
                    "price": float(price),
                    "qty": float(amount),
                    "buy_order_id": buy_order_id,
                    "sell_order_id": sell_order_id,
                    "ts": int(time),
                }
            )
        except ValueError as error:
            raise CaptureError(f"trades.csv, line {number}: {error}") from None
    trades.sort(key=lambda trade: trade["ts"])
    return trades


def _read(lines: Iterable[str], name: str, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Line number and the wanted columns of every row."""
    reader = csv.reader(lines)
    header = next(reader, [])
    missing = [column for column in columns if column not in header]
    if missing:
        raise CaptureError(f"{name}: expected the columns {', '.join(columns)}; {', '.join(missing)} is missing")
    wanted = [header.index(column) for column in columns]
    for row in reader:
        if len(row) != len(header):
            raise CaptureError(f"{name}, line {reader.line_num}: expected {len(header)} values, got {len(row)}")
        yield reader.line_num, [row[i] for i in wanted]
