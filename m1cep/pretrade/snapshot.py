"""The book to bytes and back. Orders that were accepted and not announced are not in it: see ``docs/pretrade.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.errors import PretradeError
from m1cep.pretrade.holdings import Order
from m1cep.pretrade.orders import Side

if TYPE_CHECKING:
    from m1cep.pretrade.book import Book

VERSION = 2


class _Account(msgspec.Struct, array_like=True):
    """Amounts are beyond 64 bits, so they are text."""

    orders: list[tuple[str, str, int, str, str, str, str, bool, int]]
    positions: dict[str, str]
    frozen: dict[str, str]
    alerts: dict[str, str]
    margin: tuple[int, str, bool] | None


class _State(msgspec.Struct):
    version: int
    accounts: dict[str, _Account]
    prices: dict[str, tuple[str, int]]
    over: list[list[str]]
    fills: list[list[str]]
    lifts: list[list[str]]
    closed: dict[str, list[tuple[str, bool, str]]] = {}  # states of before alerts could be closed have none


def dump(book: Book) -> bytes:
    """All that must survive."""
    accounts = {}
    for name, account in book.accounts.items():
        orders = [
            (
                i,
                o.symbol,
                int(o.side),
                _text(o.size),
                _text(o.price),
                _text(o.left),
                str(o.filled),
                o.announced,
                o.until_ms,
            )
            for i, o in account.orders.items()
            if o.announced or o.filled or o.left is not None
        ]
        positions = {symbol: str(holding.position) for symbol, holding in account.holdings.items() if holding.position}
        accounts[name] = _Account(orders, positions, account.frozen, account.alerts, account.margin)
    prices = {
        symbol: (str(m.price), m.rank) for symbol, m in book.markets.items() if m.price is not None and not m.given
    }
    state = _State(VERSION, accounts, prices, book.over.state(), book.fills.state(), book.lifts.state(), book.closed)
    return msgspec.msgpack.encode(state)


def load(book: Book, data: bytes, now_ms: int, *, market: bool = True) -> None:
    """Put what ``dump`` gave into a fresh book.

    Args:
        book: fresh.
        data: from ``dump``.
        now_ms: the caller's clock.
        market: whether the market's trades will be heard; if not, a price of one gives way to those of fills.

    Raises:
        PretradeError: it is no such state, or one of another version.
    """
    try:
        version: Any = msgspec.msgpack.decode(data)["version"]
        if version != VERSION:
            raise PretradeError(f"expected a state of version {VERSION}, got version {version!r}")
        _fill(book, msgspec.msgpack.decode(data, type=_State), 2 if market else 1)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise PretradeError(f"expected a state of the pre-trade check: {error}") from None
    book.expect_again(now_ms)


def _fill(book: Book, state: _State, best_rank: int) -> None:
    for known, names in ((book.over, state.over), (book.fills, state.fills), (book.lifts, state.lifts)):
        known.load(names)
    book.closed.update(state.closed)
    for symbol, (price, rank) in state.prices.items():
        book.price(symbol, int(price), min(rank, best_rank))
    for name, kept in state.accounts.items():
        for symbol, position in kept.positions.items():
            book.put_back_position(name, symbol, int(position))
        for order_id, symbol, side, size, price, left, filled, announced, until_ms in kept.orders:
            order = Order(
                symbol, Side(side), _number(size), _number(price), _number(left), int(filled), announced, until_ms
            )
            book.put_back(name, order_id, order)
        for alert_id, rule in kept.frozen.items():
            book.froze(name, alert_id, rule)
        for alert_id, rule in kept.alerts.items():
            book.alerted(name, alert_id, rule)
        if kept.margin is not None:
            time_ms, event_id, short = kept.margin
            book.margin(name, event_id, time_ms, short=short)


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(text: str) -> int | None:
    return int(text) if text else None
