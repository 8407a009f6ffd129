"""The whole: events in, commands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.errors import GridError
from m1cep.grid.machine import life, pump, reports
from m1cep.grid.machine.books import EXACT, Books
from m1cep.grid.machine.events import Halt, Pause, Price, Reconnected, Resume, Start, Stop, Tick
from m1cep.grid.machine.state import Order, State

if TYPE_CHECKING:
    from decimal import Decimal

    from m1cep.grid.machine.events import Event
    from m1cep.grid.machine.spec import GridSpec
    from m1cep.grid.orders import Command

VERSION = 1


class Grid:
    """One grid on one market.

        grid = Grid("btc", spec)
        commands = grid.handle(Tick(now_ms)) + grid.handle(Start("1"))
        for report in what_the_venue_says(commands):
            commands = grid.handle(report)

    The same events give the same commands with the same ids on every run. After a crash: restore a snapshot and handle the
    events since then again, the Ticks too; commands that were already given are given again, and do nothing at the venue.

    Attributes:
        state: all that it remembers; to look at, not to change.
    """

    def __init__(self, name: str, spec: GridSpec) -> None:
        """A grid that waits for its Start.

        Args:
            name: unique among the grids of an account for ever: order ids are made of it.
            spec: what it is to be.
        """
        market = spec.market
        unit = EXACT.multiply(market.tick, market.lot)
        self.state = State(name, spec, Books(unit, spec.cash, spec.lots, spec.cash, spec.lots))

    def handle(self, event: Event) -> list[Command]:
        """Take one event in; the commands that are due now, in the order in which to give them.

        What only the time makes due comes with a Tick: let there be one at least every 100 ms or so.
        """
        state = self.state
        match event:
            case Tick():
                if event.time_ms <= state.now_ms:
                    return []
                state.now_ms = event.time_ms
                if event.time_ms < state.wake_ms:
                    return []
            case Price():
                if not life.price(state, event):
                    return []
            case Start() | Pause() | Resume() | Stop() | Halt() | Reconnected():
                life.request(state, event)
            case _:
                reports.apply(state, event)
                if life.waits_for_more(state, event):
                    return []
        life.advance(state)
        given = pump.commands(state)
        # Exact where the time has come; else only not too late, which saves a look at every order for every report.
        exact = isinstance(event, Tick)
        state.wake_ms = pump.wake_ms(state) if exact else min(state.wake_ms, pump.soonest_ms(state))
        return given

    # -- to look at

    @property
    def open_orders(self) -> list[Order]:
        """Those that may be at the venue."""
        return [order for order in self.state.orders.values() if order.alive]

    def summary(self, mark_ticks: int | None = None) -> dict[str, Any]:
        """Where it stands; money as exact text.

        Args:
            mark_ticks: price to value holdings at; default: the newest known.
        """
        state, books = self.state, self.state.books
        mark = mark_ticks or state.price or state.centre or state.spec.centre_ticks
        if not books.start_ticks:  # nothing was traded, so any price will do
            mark = 0
        money = {
            "cash": books.cash,
            "fees": books.fees,
            "grid_profit": books.grid_profit(),
            "floating_pnl": books.floating(mark),
            "equity_change": books.equity_change(mark),
            "unexplained": books.unexplained(mark),
        }
        return {
            "grid": state.name,
            "state": state.mode.value,
            "reason": state.reason,
            "generations": state.generation,
            "cause": state.cause,
            "centre_ticks": state.centre,
            "orders": len(self.open_orders),
            "fills": books.fills,
            "lots": books.lots,
            "mark_ticks": mark,
            "quarantined": state.quarantined,
            "alerts": list(state.alerts),
            **{name: _text(value) for name, value in money.items()},
        }

    # -- to keep

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON or msgpack."""
        plain: dict[str, Any] = msgspec.to_builtins(self.state)
        return {"version": VERSION, "state": plain}

    @classmethod
    def restore(cls, kept: dict[str, Any]) -> Grid:
        """As it was.

        Raises:
            GridError: this is no snapshot of a grid, or one of another version.
        """
        if kept.get("version") != VERSION:
            raise GridError(f"expected a grid's snapshot of version {VERSION}, got version {kept.get('version')!r}")
        grid = cls.__new__(cls)
        try:
            grid.state = msgspec.convert(kept["state"], State)
        except (KeyError, msgspec.ValidationError) as error:
            raise GridError(f"expected a grid's snapshot: {error}") from error
        return grid


def _text(amount: Decimal) -> str:
    """Without needless digits, and never as a power of ten: 0, 12.5."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text
