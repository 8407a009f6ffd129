"""What a venue's report changes. Said twice it changes nothing; said late, nothing that is known better.

What cannot be true is put aside (quarantine), and the books know nothing of it.
"""

from __future__ import annotations

from decimal import DecimalException
from typing import TYPE_CHECKING

import msgspec

from m1cep.grid.machine.state import Awaits, LastTrade, Mode, Order, Phase, Quarantined, State, Stranger
from m1cep.grid.orders import (
    Accepted,
    Cancelled,
    CancelRejected,
    Fill,
    Lifecycle,
    OpenOrders,
    OrderState,
    Rejected,
    Side,
)

if TYPE_CHECKING:
    from m1cep.grid.orders import Report

QUARANTINE_KEPT = 200  # the newest; all of them are counted
STRANGERS_KEPT = 1_000


def apply(state: State, report: Report) -> None:
    """Take one report in."""
    match report:
        case Fill():
            fill(state, report)
        case OpenOrders():
            _open_orders(state, report)
        case OrderState():
            _order_state(state, report)
        case _:
            order = state.order(report.order_id)
            if order is None:
                _of_stranger(state, report)
            elif isinstance(report, Accepted):
                _exists(order)
            elif isinstance(report, Rejected):
                _never_there(state, order, report, f"rejected: {report.reason}")
            elif isinstance(report, Cancelled):
                _ended(state, order, report, report.filled_lots, "cancelled")
            elif order.awaits is Awaits.CANCEL:  # it may be filled, gone, or not yet there: not proof of anything
                order.awaits, order.doubt = Awaits.NOTHING, True


def quarantine(state: State, report: Report, reason: str) -> None:
    """Put a report aside that cannot be true. Said twice it is kept once."""
    entry = Quarantined(reason, type(report).__name__, msgspec.to_builtins(report))
    if entry in state.quarantine:
        return
    state.quarantined += 1
    state.quarantine.append(entry)
    del state.quarantine[:-QUARANTINE_KEPT]


# -- fills


def fill(state: State, report: Fill) -> None:
    """Book a trade, once."""
    order = state.order(report.order_id)
    if order is None:
        _park(state, report)
        return
    content = (report.ticks, report.lots, str(report.fee))
    booked = order.trades.get(report.trade_id)
    if booked is not None:
        if booked != content:
            quarantine(state, report, f"trade {report.trade_id} was {booked} before (ticks, lots, fee)")
        return
    reason = _impossible(order, report)
    if reason:
        quarantine(state, report, reason)
        return
    try:
        state.books.book(report.side, report.ticks, report.lots, report.fee)
    except DecimalException:
        quarantine(state, report, f"expected amounts that can be added exactly, got a fee of {report.fee}")
        return
    order.trades[report.trade_id] = content
    order.filled += report.lots
    order.told = max(order.told, order.filled)
    _exists(order)
    if order.filled == order.lots and order.phase is not Phase.DONE:
        _end(order, "filled")
    _to_its_level(state, order, report)


def _impossible(order: Order, report: Fill) -> str:
    if report.lots < 1 or report.ticks < 1:
        return f"expected ticks and lots above 0, got {report.ticks} and {report.lots}"
    if report.side is not order.side:
        return f"expected {order.side}, the order's side, got {report.side}"
    if not report.fee.is_finite():
        return f"expected a fee, got {report.fee}"
    worse = report.ticks > order.ticks if order.side is Side.BUY else report.ticks < order.ticks
    if worse:
        return f"expected {order.ticks} ticks, the order's limit, or better, got {report.ticks}"
    most = order.told if order.phase is Phase.DONE else order.lots
    if order.filled + report.lots > most:
        what = "the order's size" if most == order.lots else "what the venue said when it ended"
        return f"expected at most {most - order.filled} lots more ({what}: {most}), got {report.lots}"
    return ""


def _to_its_level(state: State, order: Order, report: Fill) -> None:
    if order.id not in state.orders:
        return
    trade = LastTrade(report.time_ms, report.order_id, report.trade_id, report.ticks)
    if state.last is None or trade.key() > state.last.key():
        state.last = trade
    for slot in state.slots:
        if slot.side is order.side and slot.level == order.level:
            slot.filled += report.lots


def _park(state: State, report: Fill) -> None:
    stranger = _stranger(state, report.order_id)
    if stranger is None:
        quarantine(state, report, f"the order is not known, nor are {STRANGERS_KEPT} others: too many to ask for")
    elif all(known.trade_id != report.trade_id for known in stranger.fills):
        stranger.fills.append(report)


# -- orders


def _exists(order: Order) -> None:
    if order.phase in {Phase.PLANNED, Phase.SENT}:
        order.phase = Phase.OPEN
        order.resend = False
        if order.awaits is Awaits.PLACE:
            order.awaits = Awaits.NOTHING


def _end(order: Order, reason: str) -> None:
    order.phase, order.reason = Phase.DONE, reason
    order.awaits, order.doubt, order.resend = Awaits.NOTHING, False, False


def _ended(state: State, order: Order, report: Cancelled | OrderState, filled_lots: int, reason: str) -> None:
    """The venue says that it has ended, and how much of it was filled."""
    least = order.lots if reason == "filled" else order.told
    most = order.told if order.phase is Phase.DONE else order.lots
    if not least <= filled_lots <= most:
        quarantine(state, report, f"expected {least} to {most} lots filled in all, got {filled_lots}")
        return
    order.told = filled_lots
    if order.phase is not Phase.DONE:
        _end(order, reason)


def _never_there(state: State, order: Order, report: Rejected | OrderState, reason: str) -> None:
    """The venue says that it never was in the book."""
    if order.phase is Phase.OPEN or order.told:
        quarantine(
            state, report, f"expected an order that never was in the book, this one was: {order.told} lots filled"
        )
    elif order.phase is not Phase.DONE:
        _end(order, reason)


def _order_state(state: State, report: OrderState) -> None:
    order = state.order(report.order_id)
    if order is None:
        _of_stranger(state, report)
        return
    if report.lifecycle is not Lifecycle.UNKNOWN and not _fits(state, order, report):
        return
    answered = order.awaits is Awaits.ANSWER
    match report.lifecycle:
        case Lifecycle.FILLED:
            _ended(state, order, report, report.filled_lots, "filled")
        case Lifecycle.CANCELLED:
            _ended(state, order, report, report.filled_lots, "cancelled")
        case Lifecycle.REJECTED:
            _never_there(state, order, report, "rejected: said when asked")
        case Lifecycle.OPEN if order.phase is not Phase.DONE:
            _exists(order)
            order.told = max(order.told, report.filled_lots)
            if answered:
                order.awaits = Awaits.NOTHING
        case Lifecycle.UNKNOWN if answered and order.phase is Phase.SENT:
            _unknown(state, order, report.question)
        case _:
            pass


def _fits(state: State, order: Order, report: OrderState) -> bool:
    if report.lifecycle is not Lifecycle.REJECTED and report.lots != order.lots:
        quarantine(state, report, f"expected an order of {order.lots} lots, got {report.lots}")
        return False
    if not 0 <= report.filled_lots <= order.lots:
        quarantine(state, report, f"expected 0 to {order.lots} lots filled, got {report.filled_lots}")
        return False
    return True


def _unknown(state: State, order: Order, question: int) -> None:
    """The venue has never heard of it. That is final only if it was asked when the order could not be on its way any more."""
    if state.mode in {Mode.PLACING, Mode.LIVE, Mode.CLOSING}:
        order.awaits, order.resend = Awaits.NOTHING, True
    elif 0 < order.final_question <= question:
        _end(order, "never arrived")


def _open_orders(state: State, report: OpenOrders) -> None:
    if not 0 < state.listing <= report.question:
        return
    state.listing, state.listed_ms, state.must_list = 0, state.now_ms, False
    listed = set()
    for entry in report.orders:
        listed.add(entry.order_id)
        if state.order(entry.order_id) is not None:
            _order_state(state, entry)
        else:
            _of_stranger(state, entry)
    for order in state.orders.values():
        if order.phase is Phase.OPEN and order.id not in listed and order.awaits is Awaits.NOTHING:
            order.doubt = True


# -- orders that we do not know


def _stranger(state: State, order_id: str) -> Stranger | None:
    known = state.strangers.get(order_id)
    if known is None and len(state.strangers) < STRANGERS_KEPT:
        known = state.strangers[order_id] = Stranger()
    return known


def _of_stranger(state: State, report: Accepted | Rejected | Cancelled | CancelRejected | OrderState) -> None:
    """Only an order said to be open is new; of others only those matter whose fills are parked or which are being cancelled."""
    is_open = isinstance(report, OrderState) and report.lifecycle is Lifecycle.OPEN
    stranger = _stranger(state, report.order_id) if is_open else state.strangers.get(report.order_id)
    if stranger is None or isinstance(report, Accepted):
        return
    if isinstance(report, CancelRejected):
        if stranger.awaits is Awaits.CANCEL:
            stranger.awaits, stranger.open = Awaits.NOTHING, False
        return
    what = report.lifecycle if isinstance(report, OrderState) else "gone"
    for parked in stranger.fills:
        quarantine(state, parked, f"expected one of the grid's orders; the venue says of this one: {what}")
    stranger.fills = []
    if not is_open:
        del state.strangers[report.order_id]
    elif not stranger.open:
        stranger.open, stranger.awaits = True, Awaits.NOTHING
    elif stranger.awaits is Awaits.ANSWER:
        stranger.awaits = Awaits.NOTHING
