"""Records of the topics into the book."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from m1cep.alert_states import AlertState, State
from m1cep.errors import PretradeError
from m1cep.model.time import parse_rfc3339
from m1cep.pretrade.amounts import of_decimal
from m1cep.pretrade.limits import SEVERITIES
from m1cep.pretrade.orders import MAX_NAME, NewOrder, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.pretrade.book import Book

MAX_BYTES = 1_048_576
#: What the check reads: the streams it takes its facts from, and what rules have to say.
KINDS = ("orders", "fills", "accounts", "market", "alerts", "states", "actions")
#: An action that takes back what an alert has brought upon an account.
LIFT = "lift"


class _Order(msgspec.Struct):
    account: str
    order_id: str
    symbol: str
    action: Literal["new", "cancel"]
    side: Literal["buy", "sell"]
    qty: Decimal
    price: Decimal | None = None


class _Fill(msgspec.Struct):
    account: str
    order_id: str
    trade_id: str
    symbol: str
    side: Literal["buy", "sell"]
    qty: Decimal
    price: Decimal


class _Event(msgspec.Struct):
    account: str
    kind: str
    event_id: str = ""
    equity_usd: Decimal | None = None
    maintenance_usd: Decimal | None = None
    ts: int | str = 0


class _Market(msgspec.Struct):
    symbol: str
    action: str
    price: Decimal


class _Alert(msgspec.Struct):
    id: str
    rule: str
    severity: str
    key: dict[str, Any]
    row: dict[str, Any]


class _Action(msgspec.Struct):
    id: str
    action: str
    account: str | None = None
    rule: str = ""
    lifts: str = ""


_TYPES: dict[str, type[msgspec.Struct]] = {
    "orders": _Order,
    "fills": _Fill,
    "accounts": _Event,
    "market": _Market,
    "alerts": _Alert,
    "states": AlertState,
    "actions": _Action,
}
_DECODE = {kind: msgspec.json.Decoder(found, strict=False).decode for kind, found in _TYPES.items()}
_SIDE = {"buy": Side.BUY, "sell": Side.SELL}
_TRADE, _MARGIN = b'"trade"', b'"margin_update"'
_MARKS = {"market": _TRADE, "accounts": _MARGIN}


class Hearing:
    """Takes records into a book.

    Args:
        book: the state.
        refuse_alerts: severity from which on alerts refuse orders; None: none do.
    """

    def __init__(self, book: Book, refuse_alerts: str | None) -> None:
        self.book = book
        self._grave = frozenset(SEVERITIES[SEVERITIES.index(refuse_alerts) :]) if refuse_alerts else frozenset()
        self._take: Mapping[str, Callable[[Any, int], None]] = {
            "orders": self._order,
            "fills": self._fill,
            "accounts": self._event,
            "market": self._market,
            "alerts": self._alert,
            "states": self._state,
            "actions": self._action,
        }

    def hear(self, kind: str, value: bytes | None, now_ms: int) -> None:
        """Take a record in.

        Args:
            kind: one of KINDS.
            value: JSON.
            now_ms: the clock.

        Raises:
            PretradeError: the record does not fit; nothing of it is taken in.
        """
        if value is None or len(value) > MAX_BYTES:
            raise PretradeError(f"expected a record of at most {MAX_BYTES} bytes, got {value and len(value)}")
        mark = _MARKS.get(kind)
        if mark is not None and mark not in value:
            return  # most of the market is orders of others: not decoding them is most of the speed here
        try:
            record = _DECODE[kind](value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PretradeError(f"expected a record of {kind}: {error}") from None
        self._take[kind](record, now_ms)

    def _order(self, record: _Order, now_ms: int) -> None:
        _check_names(record.account, record.order_id, record.symbol)
        side, qty = _SIDE[record.side], of_decimal(record.qty)
        if record.action == "cancel":
            self.book.cancelled(record.account, record.order_id, record.symbol, side, qty, now_ms)
        else:
            price = None if record.price is None else of_decimal(record.price)
            order = NewOrder(record.account, record.order_id, record.symbol, side, qty, price)
            self.book.announced(record.account, order, now_ms)

    def _fill(self, record: _Fill, now_ms: int) -> None:
        _check_names(record.account, record.order_id, record.symbol, record.trade_id)
        self.book.filled(
            record.account,
            record.order_id,
            record.trade_id,
            record.symbol,
            _SIDE[record.side],
            of_decimal(record.qty),
            of_decimal(record.price),
            now_ms,
        )

    def _event(self, record: _Event, _now_ms: int) -> None:
        if record.kind != "margin_update" or record.equity_usd is None or record.maintenance_usd is None:
            return
        _check_names(record.account)
        equity, maintenance = record.equity_usd, record.maintenance_usd
        if not (equity.is_finite() and maintenance.is_finite()):
            raise PretradeError(
                f"expected numbers, got an equity of {equity} and a maintenance margin of {maintenance}"
            )
        try:
            ts = record.ts if isinstance(record.ts, int) else parse_rfc3339(record.ts, "ms")
        except ValueError as error:
            raise PretradeError(f"expected a time, got {record.ts!r}") from error
        self.book.margin(record.account, record.event_id, ts, short=equity < maintenance)

    def _market(self, record: _Market, _now_ms: int) -> None:
        if record.action == "trade":
            _check_names(record.symbol)
            if price := of_decimal(record.price):
                self.book.price(record.symbol, price)

    def _alert(self, record: _Alert, _now_ms: int) -> None:
        account = record.key.get("account") or record.row.get("account")
        if record.severity in self._grave and isinstance(account, str):
            self.book.alerted(account, record.id, record.rule)

    def _state(self, record: AlertState, _now_ms: int) -> None:
        if record.state is State.CLOSED:
            self.book.alert_closed(record.alert)
        else:
            self.book.alert_reopened(record.alert)

    def _action(self, record: _Action, _now_ms: int) -> None:
        if record.account is None:
            return
        if record.action == "freeze_account":
            self.book.froze(record.account, record.id, record.rule)
        elif record.action == LIFT:
            if not record.lifts:
                raise PretradeError("expected an action `lift` to say what it lifts, as `lifts`: an alert's id")
            self.book.lifted(record.account, record.lifts)


def _check_names(*names: str) -> None:
    """A venue may have longer ids than we let clients use: only what would eat memory is refused."""
    for name in names:
        if not 0 < len(name) <= 4 * MAX_NAME:
            raise PretradeError(f"expected 1 to {4 * MAX_NAME} characters in a name, got {len(name)}")
