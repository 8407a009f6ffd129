"""Which commands are due, in the order of what matters: cancel all, place buys, place sells, check status."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from m1cep.grid.machine.state import Awaits, Mode, Phase
from m1cep.grid.orders import AskFills, AskOpenOrders, AskOrder, Cancel, CancelAll, Place, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.grid.machine.state import Order, State
    from m1cep.grid.orders import Command

_SECOND_MS = 1_000
NEVER = 1 << 62
_COMPARED = {Mode.LIVE, Mode.CLOSING}  # where fills come unasked, so that only a comparison shows that one was lost


def commands(state: State) -> list[Command]:
    """Those that are due and that the rate allows; the others wait for the next Tick."""
    sends = state.sends
    while sends and sends[0] <= state.now_ms - _SECOND_MS:
        sends.pop(0)
    # A generator that changes the state just before each command: what is not taken has not happened.
    now = list(islice(_due(state), state.spec.rate_per_s - len(sends)))
    sends.extend([state.now_ms] * len(now))
    return now


def wake_ms(state: State) -> int:
    """When a command may become due by time alone."""
    patience = state.spec.ask_after_ms
    if len(state.sends) >= state.spec.rate_per_s:
        return state.sends[0] + _SECOND_MS
    times = [NEVER]
    times += [o.since_ms + patience for o in state.orders.values() if o.awaits]
    times += [o.fills_ms + patience for o in state.orders.values() if o.fills_ms is not None and o.told > o.filled]
    times += [s.since_ms + patience for s in state.strangers.values() if s.awaits]
    times += [slot.retry_ms for slot in state.slots if slot.retry_ms is not None]
    if state.listing:
        times.append(state.listing_ms + patience)
    elif state.mode in _COMPARED:
        times.append(state.listed_ms + state.spec.reconcile_ms)
    return min(times)


def soonest_ms(state: State) -> int:
    """No later than when a command that is due later becomes due."""
    spec = state.spec
    if len(state.sends) >= spec.rate_per_s:
        return state.sends[0] + _SECOND_MS
    return state.now_ms + min(spec.ask_after_ms, spec.retry_ms, spec.reconcile_ms)


def _due(state: State) -> Iterator[Command]:
    if state.mode is Mode.CANCELLING:
        yield from _cancels(state)
    yield from _of_strangers(state)
    if state.mode in {Mode.PLACING, Mode.CLOSING}:
        yield from _places(state)
    yield from _questions(state)
    yield from _listing(state)


def _cancels(state: State) -> Iterator[Command]:
    due = [
        order for order in state.orders.values() if order.awaits is Awaits.NOTHING and not order.doubt and order.alive
    ]
    for order in due:
        order.awaits, order.since_ms = Awaits.CANCEL, state.now_ms
    if len(due) == 1:
        yield Cancel(due[0].id)
    elif due:
        yield CancelAll(tuple(order.id for order in due))


def _places(state: State) -> Iterator[Command]:
    due = [o for o in state.orders.values() if o.phase is Phase.PLANNED or (o.phase is Phase.SENT and o.resend)]
    for order in sorted(due, key=_buys_first):
        order.phase, order.resend = Phase.SENT, False
        order.awaits, order.since_ms = Awaits.PLACE, state.now_ms
        order.expires_ms, order.final_question = state.now_ms + state.spec.place_ttl_ms, 0
        yield Place(order.id, order.side, order.ticks, order.lots, order.level > 0, order.expires_ms)


def _buys_first(order: Order) -> bool:
    return order.side is Side.SELL


def _questions(state: State) -> Iterator[Command]:
    late_ms = state.now_ms - state.spec.ask_after_ms
    for order in state.orders.values():
        must_ask = order.doubt if order.awaits is Awaits.NOTHING else order.since_ms <= late_ms
        if must_ask and order.alive:
            order.awaits, order.since_ms, order.doubt = Awaits.ANSWER, state.now_ms, False
            question = state.next_question()
            if not order.final_question and state.now_ms > order.expires_ms:
                order.final_question = question
            yield AskOrder(order.id, question)
        if order.told > order.filled and _patience_over(state, order.fills_ms):
            order.fills_ms = state.now_ms
            yield AskFills(order.id)


def _patience_over(state: State, since_ms: int | None) -> bool:
    return since_ms is None or state.now_ms >= since_ms + state.spec.ask_after_ms


def _of_strangers(state: State) -> Iterator[Command]:
    for order_id, stranger in state.strangers.items():
        if stranger.awaits is not Awaits.NOTHING and not _patience_over(state, stranger.since_ms):
            continue
        stranger.since_ms = state.now_ms
        if stranger.awaits is Awaits.NOTHING and stranger.open:
            stranger.awaits = Awaits.CANCEL
            yield Cancel(order_id)
        else:
            stranger.awaits = Awaits.ANSWER
            yield AskOrder(order_id, state.next_question())


def _listing(state: State) -> Iterator[Command]:
    lost = state.listing and _patience_over(state, state.listing_ms)
    periodic = (
        state.mode in _COMPARED and not state.listing and state.now_ms >= state.listed_ms + state.spec.reconcile_ms
    )
    if state.listing_due or lost or periodic:
        question = state.next_question()
        state.listing_due, state.listing, state.listing_ms = False, state.listing or question, state.now_ms
        yield AskOpenOrders(question)
