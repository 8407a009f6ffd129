"""What happens on the platform, as postings.

    fill, buy      clearing -> client  BASE      client -> clearing  QUOTE      client -> fees  QUOTE
    fill, sell     client -> clearing  BASE      clearing -> client  QUOTE      client -> fees  QUOTE
    deposit        omnibus -> client                                            (debit -> credit: see ``postings``)
    withdrawal_requested         hold    client -> omnibus, until it is decided
    withdrawal_rejected          release
    withdrawal                   settle  client -> omnibus; without a request, or after it expired, by itself

A withdrawal's request, decision and payment are one by their ``request_id``; a request without one, or without an amount, sets
nothing aside. Amounts are exact: numbers in JSON are read digit by digit, and one with more decimals than its asset has is
refused. What is reckoned, price times quantity and fees, is rounded to the asset's minor unit.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from m1cep.errors import LedgerError
from m1cep.ledger.accounts import PLATFORM, AccountKey, Kind
from m1cep.ledger.chart import Chart, check_name, check_number, multiply
from m1cep.ledger.postings import How, Leg, Posting
from m1cep.model.time import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A request of a withdrawal that nobody has decided on is over after so long.
HOLD_MS = 7 * 86_400_000
_MOST_MS = 2**53 - 1
_Millis = Annotated[int, msgspec.Meta(ge=0, le=_MOST_MS)]
EventT = TypeVar("EventT")


class Fill(msgspec.Struct, frozen=True):
    """One side of a trade, of the stream ``fills``."""

    event_id: str
    account: str
    symbol: str
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    ts: _Millis | str
    fee: Decimal | None = None


class AccountEvent(msgspec.Struct, frozen=True):
    """What happened to an account, of the stream ``accounts``."""

    event_id: str
    account: str
    kind: str
    ts: _Millis | str
    asset: str | None = None
    amount: Decimal | None = None
    request_id: str | None = None


_fills = msgspec.json.Decoder(Fill)
_accounts = msgspec.json.Decoder(AccountEvent)


def fill_postings(value: bytes | None, chart: Chart) -> Sequence[Posting]:
    """The posting of a record of the fills.

    Raises:
        LedgerError: it is none, or its assets are not in the chart.
    """
    fill = _decoded(_fills, value)
    base, quote = chart.pair(fill.symbol)
    mine_base, mine_quote = (chart.account(Kind.CLIENT, fill.account, asset) for asset in (base, quote))
    quantity = chart.units(base, fill.qty)
    paid = chart.rounded(quote, multiply(fill.price, fill.qty))
    fee = 0 if fill.fee is None else chart.rounded(quote, check_number(fill.fee, "fee", least=None))
    sides = [
        (mine_base, _platform(Kind.CLEARING, base), quantity),
        (mine_quote, _platform(Kind.CLEARING, quote), -paid),
    ]
    if fill.side == "sell":
        sides = [(mine, other, -units) for mine, other, units in sides]
    sides.append((mine_quote, _platform(Kind.FEES, quote), -fee))
    legs = tuple(_leg(mine, other, gains) for mine, other, gains in sides if gains)
    return [Posting(f"fills/{check_name(fill.event_id, 'event_id')}", "fill", fill.account, _millis(fill.ts), legs)]


def account_postings(value: bytes | None, chart: Chart, hold_ms: int = HOLD_MS) -> Sequence[Posting]:
    """The posting of a record of the accounts' events; none of one that moves nothing, such as a login.

    Raises:
        LedgerError: it is none, or lacks what it needs.
    """
    event = _decoded(_accounts, value)
    make = _ACCOUNT_EVENTS.get(event.kind)
    if make is None:
        return ()
    posting = make(event, chart, hold_ms)
    return () if posting is None else (posting,)


def _deposit(event: AccountEvent, chart: Chart, _hold_ms: int) -> Posting:
    leg = _leg(*_sides(event, chart), _units(event, chart))
    return Posting(_id(event), "deposit", event.account, _millis(event.ts), (leg,))


def _withdrawal(event: AccountEvent, chart: Chart, _hold_ms: int) -> Posting:
    leg = _leg(*_sides(event, chart), -_units(event, chart))
    hold = _hold_id(event)
    how = How.SETTLE if hold else How.POST
    return Posting(_id(event), "withdrawal", event.account, _millis(event.ts), (leg,), how, hold=hold)


def _requested(event: AccountEvent, chart: Chart, hold_ms: int) -> Posting | None:
    if not event.request_id or (event.amount is None and event.asset is None):
        return None
    leg, time_ms = _leg(*_sides(event, chart), -_units(event, chart)), _millis(event.ts)
    # Under the request's id, not the event's: by that it is paid out or rejected.
    name, expires_ms = _hold_id(event), time_ms + hold_ms
    return Posting(name, "withdrawal_requested", event.account, time_ms, (leg,), How.HOLD, expires_ms=expires_ms)


def _rejected(event: AccountEvent, _chart: Chart, _hold_ms: int) -> Posting | None:
    if not event.request_id:
        return None
    time_ms, hold = _millis(event.ts), _hold_id(event)
    return Posting(_id(event), "withdrawal_rejected", event.account, time_ms, (), How.RELEASE, hold=hold)


_ACCOUNT_EVENTS = {
    "deposit": _deposit,
    "withdrawal": _withdrawal,
    "withdrawal_requested": _requested,
    "withdrawal_rejected": _rejected,
}


def _decoded(decoder: msgspec.json.Decoder[EventT], value: bytes | None) -> EventT:
    try:
        return decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError("bad_event", f"expected an event that can be posted: {error}") from None


def _id(event: AccountEvent) -> str:
    return f"accounts/{check_name(event.event_id, 'event_id')}"


def _hold_id(event: AccountEvent) -> str:
    if not event.request_id:
        return ""
    return f"request/{check_name(event.account, 'account')}/{check_name(event.request_id, 'request_id', 150)}"


def _millis(ts: int | str) -> int:
    if isinstance(ts, int):
        return ts
    try:
        found = parse_rfc3339(ts, "ms")
    except ValueError as error:
        raise LedgerError("bad_event", f"ts: {error}") from None
    if not 0 <= found <= _MOST_MS:
        raise LedgerError("bad_event", f"ts: expected a time since 1970, got {ts[:40]!r}")
    return found


def _platform(kind: Kind, asset: str) -> AccountKey:
    return AccountKey(kind, PLATFORM, asset)


def _sides(event: AccountEvent, chart: Chart) -> tuple[AccountKey, AccountKey]:
    if event.asset is None:
        raise LedgerError("bad_event", f"expected an asset in a {event.kind}")
    return chart.account(Kind.CLIENT, event.account, event.asset), _platform(Kind.OMNIBUS, event.asset)


def _units(event: AccountEvent, chart: Chart) -> int:
    if event.amount is None or event.asset is None:
        raise LedgerError("bad_event", f"expected asset and amount in a {event.kind}")
    return chart.units(event.asset, event.amount)


def _leg(mine: AccountKey, other: AccountKey, gains: int) -> Leg:
    """A leg by which a client's account (grows by credit) gains from, or loses to, another."""
    return Leg(other, mine, gains) if gains > 0 else Leg(mine, other, -gains)
