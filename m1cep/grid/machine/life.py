"""From one state to the next.

    IDLE ─ Start ─▶ (WAITING for the trigger price) ─▶ CANCELLING ─ barrier ─▶ PLACING ─▶ LIVE
                                                          ▲                       │         │
                                                          └── a level is full ────┴─────────┘
    CANCELLING ─ barrier ─▶ PAUSED | HALTED ─ Resume ─▶ CANCELLING;   CANCELLING ─ barrier ─▶ STOPPED
    stop-loss, take-profit: CANCELLING ─ barrier ─▶ CLOSING ─ all is sold ─▶ STOPPED

The barrier: every order of the generation has ended, all its fills are here, and no order that we do not know is open. What is
built behind it depends on *which* trades the generation had, not on the order in which they were told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.grid.machine import reports
from m1cep.grid.machine.books import EXACT
from m1cep.grid.machine.events import Halt, Pause, Reconnected, Resume, Start, Stop
from m1cep.grid.machine.ladder import build
from m1cep.grid.machine.state import Awaits, Mode, Order, Phase, Slot, Then, order_id
from m1cep.grid.orders import Accepted, Cancelled, Side

if TYPE_CHECKING:
    from m1cep.grid.machine.events import Price, Request
    from m1cep.grid.machine.state import State
    from m1cep.grid.orders import Report

REQUESTS_KEPT = 1_000
_REST = {Then.PAUSE: Mode.PAUSED, Then.HALT: Mode.HALTED, Then.STOP: Mode.STOPPED}
_UNANSWERED = {Phase.PLANNED, Phase.SENT}
# An order that was turned away for these may be taken a little later; for other reasons its level is given up.
_FOR_NOW = {"cancelled", "rejected: post_only", "rejected: rate_limit", "rejected: halted", "rejected: expired"}


# -- what is asked of the grid


def request(state: State, asked: Request) -> None:
    """Start, pause, resume, stop, halt, reconnected: each once."""
    name = asked.alert_id if isinstance(asked, Halt) else asked.request_id
    known = f"{type(asked).__name__}:{name}"
    if known in state.requests:
        return
    state.requests.append(known)
    del state.requests[:-REQUESTS_KEPT]
    match asked:
        case Start() if state.mode is Mode.IDLE:
            _begin(state, f"start:{name}")
        case Resume() if state.mode in {Mode.PAUSED, Mode.HALTED}:
            _begin(state, f"resume:{name}")
        case Resume() if state.mode is Mode.CANCELLING and state.then in {Then.PAUSE, Then.HALT}:
            state.then, state.reason = Then.BUILD, ""
            state.wish = (_newest_price(state), f"resume:{name}")
        case Pause():
            rest(state, Then.PAUSE, f"pause:{name}")
        case Stop():
            rest(state, Then.STOP, f"stop:{name}")
        case Halt():
            state.alerts.append(name)
            del state.alerts[:-REQUESTS_KEPT]
            rest(state, Then.HALT, f"alert:{name}")
        case Reconnected():
            state.listing, state.listing_due = 0, state.mode not in {Mode.IDLE, Mode.WAITING}
        case _:
            pass


def rest(state: State, then: Then, reason: str) -> None:
    """Cancel everything and place nothing more. The larger of two wishes counts."""
    if state.mode is Mode.STOPPED or (state.mode is Mode.HALTED and then is Then.PAUSE):
        return
    if state.mode in {Mode.PLACING, Mode.LIVE}:
        _cancel(state, then)
        state.reason = reason
    elif state.mode is Mode.CLOSING:
        if then is Then.STOP:
            _cancel(state, then)
            state.reason = reason
    elif state.mode is Mode.CANCELLING:
        if then > state.then:
            state.then, state.reason = then, reason
    else:
        state.mode, state.reason = _REST[then], reason


def _begin(state: State, cause: str) -> None:
    state.reason = ""
    if state.spec.trigger_ticks is not None and not state.triggered:
        state.mode = Mode.WAITING
        _check_trigger(state)
        return
    state.wish = (_newest_price(state), cause)
    _cancel(state, Then.BUILD)
    state.must_list = state.listing_due = True
    state.listing = 0


def _newest_price(state: State) -> int:
    if not state.centre:
        return state.spec.trigger_ticks or state.spec.centre_ticks
    return state.price or state.centre


# -- prices


def price(state: State, heard: Price) -> bool:
    """The market's price: trigger, stop-loss, take-profit, trailing. Whether anything comes of it."""
    if heard.time_ms <= state.price_ms or heard.ticks < 1:
        return False
    before = state.mode, state.then
    state.price, state.price_ms = heard.ticks, heard.time_ms
    if state.first_price is None:
        state.first_price = heard.ticks
    if state.mode is Mode.WAITING:
        _check_trigger(state)
    _guard(state)
    if state.mode is Mode.CLOSING and heard.ticks < state.slots[0].ticks:  # it fell below what is asked: ask less
        _cancel(state, Then.CLOSE)
    elif state.mode is Mode.LIVE:
        spec, away = state.spec, heard.ticks - state.centre
        up, down = spec.trail_up_ticks, spec.trail_down_ticks
        if (up is not None and away >= up) or (down is not None and -away >= down):
            state.wish = (heard.ticks, f"trail:{heard.time_ms}")
            _cancel(state, Then.BUILD)
    return (state.mode, state.then) != before


def _check_trigger(state: State) -> None:
    """Reached: at the trigger, or on the other side of it than the first price that was heard."""
    trigger, now, first = state.spec.trigger_ticks, state.price, state.first_price
    if trigger is None or now is None or first is None:
        return
    if (now >= trigger) if first <= trigger else (now <= trigger):
        state.triggered = True
        _begin(state, f"trigger:{state.price_ms}")


def _guard(state: State) -> None:
    """Stop-loss and take-profit."""
    spec = state.spec
    if not state.active or state.price is None:
        return
    then = Then.STOP if spec.close_ticks is None else Then.CLOSE
    if spec.stop_loss_ticks is not None and state.price <= spec.stop_loss_ticks:
        rest(state, then, f"stop_loss:{state.price}")
    elif spec.take_profit_ticks is not None and state.price >= spec.take_profit_ticks:
        rest(state, then, f"take_profit:{state.price}")


# -- onwards


def advance(state: State) -> None:
    """Go as far as what is known allows."""
    _guard(state)
    mode = None
    while mode is not state.mode:
        mode = state.mode
        _onwards(state)


def _onwards(state: State) -> None:
    if state.mode in {Mode.PLACING, Mode.LIVE}:
        _keep_levels(state)
        if any(slot.filled and _is_full(slot, state.spec.recreate_lots) for slot in state.slots):
            _cancel(state, Then.BUILD)
        elif state.mode is Mode.PLACING and not any(o.phase in _UNANSWERED for o in state.orders.values()):
            state.mode, state.listing_due = Mode.LIVE, True
    elif state.mode is Mode.CLOSING:
        _keep_levels(state)
        if state.slots[0].given_up or state.slots[0].filled == state.slots[0].lots:
            _cancel(state, Then.STOP)
    elif state.mode is Mode.CANCELLING and barrier(state):
        _settle(state)
        if state.then is Then.BUILD:
            _build(state)
        elif state.then is Then.CLOSE:
            _close(state)
        else:
            state.mode = _REST[state.then]


def waits_for_more(state: State, report: Report) -> bool:
    """Whether this is one answer of many and another is still missing, so that nothing comes of it yet."""
    match report:
        case Accepted() if state.mode is Mode.PLACING:
            return any(order.phase in _UNANSWERED for order in reversed(state.orders.values()))
        case Cancelled() if state.mode is Mode.CANCELLING:
            order = state.orders.get(report.order_id)
            settled = order is not None and order.settled
            return settled and not all(order.settled for order in reversed(state.orders.values()))
        case _:
            return False


def barrier(state: State) -> bool:
    """Nothing of the generation can come any more, and nothing else is open."""
    return (
        not state.must_list
        and all(order.settled for order in state.orders.values())
        and not any(stranger.open for stranger in state.strangers.values())
    )


def _is_full(slot: Slot, enough: int | None) -> bool:
    """Of a level that was traded at all."""
    most = slot.lots if enough is None else min(enough, slot.lots)
    return slot.filled >= most or bool(slot.given_up)


def _cancel(state: State, then: Then) -> None:
    """Leave what stands; orders that were never sent are dropped."""
    state.mode, state.then = Mode.CANCELLING, then
    for order in state.orders.values():
        if order.phase is Phase.PLANNED:
            order.phase, order.reason = Phase.DONE, "never sent"
        elif order.alive and order.awaits is not Awaits.ANSWER:
            order.awaits, order.doubt = Awaits.NOTHING, False
    for slot in state.slots:
        slot.retry_ms = None


def _keep_levels(state: State) -> None:
    """Give again what ended without being filled, if it may."""
    spec = state.spec
    for slot in state.slots:
        if slot.given_up or slot.filled >= slot.lots:
            continue
        order = state.orders[slot.order_id]
        if not order.settled:
            continue
        if slot.retry_ms is None:
            if order.reason not in _FOR_NOW or slot.attempt >= spec.retries:
                slot.given_up = order.reason
            elif EXACT.compare(state.books.money(slot.ticks * (slot.lots - slot.filled)), spec.market.min_notional) < 0:
                slot.given_up = "less than min_notional is left"
            else:
                slot.retry_ms = state.now_ms + spec.retry_ms
        elif state.now_ms >= slot.retry_ms:
            slot.attempt, slot.retry_ms = slot.attempt + 1, None
            _plan(state, slot)
            state.mode = Mode.CLOSING if state.mode is Mode.CLOSING else Mode.PLACING


def _settle(state: State) -> None:
    """Close the generation: what was traded beyond whole levels is carried, and its orders are remembered for a while."""
    for slot in state.slots:
        beyond = slot.filled - (slot.base if slot.filled >= slot.lots else 0)
        state.carry += beyond if slot.side is Side.BUY else -beyond
    state.slots = []
    state.past.update(state.orders)
    state.orders = {}
    oldest = state.generation - state.spec.remember
    for known in list(state.past):
        if state.past[known].generation > oldest:
            break
        del state.past[known]
    if state.last is not None:
        state.wish = (state.last.ticks, f"trade:{state.last.order_id}:{state.last.trade_id}")
        state.last = None
    elif not state.wish[0]:
        state.wish = (state.centre, f"again:{state.generation}")


def _build(state: State) -> None:
    """The next generation: around the last trade, or around what was wished."""
    state.centre, state.cause = state.wish
    state.wish = (0, "")
    state.generation += 1
    if not state.books.start_ticks:
        state.books.start_ticks = state.centre
    state.slots = build(state.spec, state.books, state.centre, state.carry)
    state.mode = Mode.PLACING
    state.reason = "" if state.slots else "no level: cash, holdings or exposure do not suffice for the smallest order"
    for slot in state.slots:
        _plan(state, slot)


def _close(state: State) -> None:
    """Offer all that is held, low enough to trade at once."""
    lots, ticks = state.books.lots, max(1, (state.price or state.centre) - (state.spec.close_ticks or 0))
    if lots < 1 or EXACT.compare(state.books.money(ticks * lots), state.spec.market.min_notional) < 0:
        state.mode = Mode.STOPPED
        return
    state.mode, state.cause = Mode.CLOSING, state.reason
    state.generation += 1
    state.slots = [Slot(Side.SELL, 0, ticks, lots, lots)]
    _plan(state, state.slots[0])


def _plan(state: State, slot: Slot) -> None:
    slot.order_id = order_id(state, slot)
    lots = slot.lots - slot.filled
    state.orders[slot.order_id] = Order(slot.order_id, slot.side, slot.level, slot.ticks, lots, state.generation)
    parked = state.strangers.pop(slot.order_id, None)
    for fill in parked.fills if parked else ():
        reports.fill(state, fill)
