"""The market's way along a path. What it reaches is traded, and in between the grid and the venue do their work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from m1cep.grid.backtest.curve import Curve, Stretch
from m1cep.grid.backtest.path import MANY, UNLIMITED, Path
from m1cep.grid.machine import Mode
from m1cep.grid.orders import Fill, Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.grid.backtest.link import Link
    from m1cep.grid.paper.matching import Addressed

FAR = 1 << 62
_REPORT_ROWS = 1_000


class _Leg(NamedTuple):
    """From one price to another in so much time, evenly."""

    from_ms: int
    from_ticks: int
    to_ms: int
    to_ticks: int

    def ticks_at(self, time_ms: int) -> int:
        if time_ms >= self.to_ms:
            return self.to_ticks
        way, passed = self.to_ticks - self.from_ticks, time_ms - self.from_ms
        done = abs(way) * passed // (self.to_ms - self.from_ms)
        return self.from_ticks + (done if way > 0 else -done)

    def ms_at(self, ticks: int) -> int:
        """When it is there, or has passed it."""
        way = self.to_ticks - self.from_ticks
        ahead = max(0, ticks - self.from_ticks if way > 0 else self.from_ticks - ticks)
        return self.from_ms - (-ahead * (self.to_ms - self.from_ms) // abs(way))

    @property
    def falls(self) -> bool:
        return self.to_ticks < self.from_ticks


class Walk:
    """One grid on one path.

    Args:
        beyond: ticks that the price must go past an order for it to be filled; 0: touching it suffices.
    """

    def __init__(self, path: Path, link: Link, beyond: int) -> None:
        self._path, self._link, self._beyond = path, link, beyond
        spec = link.grid.state.spec
        watched = (spec.stop_loss_ticks, spec.take_profit_ticks, spec.trail_up_ticks, spec.trail_down_ticks)
        self._watches = any(price is not None for price in watched)
        self._ticks = path.ticks[0]
        self._left = 0
        self._stretches: list[Stretch] = []

    def run(self, progress: Callable[[int], None] | None = None) -> Curve:
        """To the end of the path, and until the grid knows of all its fills."""
        path, link = self._path, self._link
        link.start(path.time_ms[0])
        self._note(0)
        row, reported = 0, 0
        while (row := self._next_row(row)) < path.rows:
            self._row(row)
            row += 1
            if progress and row - reported >= _REPORT_ROWS:
                progress(row)
                reported = row
        self._ticks = path.ticks[-1]
        while link.books.fills != link.grid.state.books.fills:
            link.deliver(link.due_ms(), self._ticks)
        self._note(len(path.ticks) - 1)
        return Curve(link.books.unit, path.time_ms, path.ticks, self._stretches)

    # -- rows

    def _next_row(self, row: int) -> int:
        """The next in which anything happens: a price that matters is reached, or a message arrives."""
        path = self._path
        due = self._link.due_ms()
        bid, ask = self._orders()
        low_watch, high_watch = self._watched()
        low, high = max(bid - self._beyond, low_watch), min(ask + self._beyond, high_watch)
        lows, highs = path.low, path.high
        last, ends = path.per_row - 1, path.time_ms
        for at in range(row, path.rows):
            if lows[at] <= low or highs[at] >= high or ends[at * path.per_row + last] >= due:
                if at:
                    self._ticks = path.ticks[at * path.per_row - 1]
                return at
        return path.rows

    def _row(self, row: int) -> None:
        path = self._path
        self._left = UNLIMITED if path.lots is None or path.lots[row] == MANY else path.lots[row]
        first = row * path.per_row
        self._jump(path.time_ms[first], path.ticks[first])
        self._note(first)
        for point in range(first + 1, first + path.per_row):
            self._go(path.time_ms[point], path.ticks[point])
            self._note(point)

    # -- moves

    def _deliver_until(self, time_ms: int) -> None:
        """The price stands still meanwhile."""
        link = self._link
        while (due := link.due_ms()) <= time_ms:
            link.deliver(due, self._ticks)

    def _jump(self, time_ms: int, ticks: int) -> None:
        """The price was one and is another: all that lies between is reached at once."""
        link = self._link
        self._deliver_until(time_ms)
        link.now_ms, self._ticks = time_ms, ticks
        bid, ask = self._orders()
        if bid - self._beyond >= ticks:
            self._trade(Side.SELL, ticks + self._beyond)
        elif ask + self._beyond <= ticks:
            self._trade(Side.BUY, ticks - self._beyond)
        if self._watches:
            link.price(ticks)
        self._deliver_until(time_ms)

    def _go(self, time_ms: int, ticks: int) -> None:
        """The price goes there through everything between, one order after the other."""
        link = self._link
        leg = _Leg(link.now_ms, self._ticks, time_ms, ticks)
        while True:
            stop = self._next_stop(leg)
            at = time_ms if stop is None else max(link.now_ms, leg.ms_at(stop))
            due = link.due_ms()
            if due <= at:
                self._ticks = leg.ticks_at(due)
                link.deliver(due, self._ticks)
            elif stop is None:
                break
            else:
                link.now_ms, self._ticks = at, leg.ticks_at(at)
                self._reach(stop, falls=leg.falls)
        link.now_ms, self._ticks = time_ms, ticks
        if self._watches:
            link.price(ticks)

    def _next_stop(self, leg: _Leg) -> int | None:
        """The first price on the way at which something happens, if it lies before the end of the leg or there."""
        goal = leg.to_ticks
        if goal == leg.from_ticks:
            return None
        bid, ask = self._orders()
        low, high = self._watched()
        if leg.falls:
            stop = max(bid - self._beyond if self._left else -FAR, low)
            return stop if stop >= goal else None
        stop = min(ask + self._beyond if self._left else FAR, high)
        return stop if stop <= goal else None

    def _reach(self, stop: int, *, falls: bool) -> None:
        bid, ask = self._orders()
        if self._left and falls and bid - self._beyond >= stop:
            self._trade(Side.SELL, bid)
        elif self._left and not falls and ask + self._beyond <= stop:
            self._trade(Side.BUY, ask)
        else:
            self._link.price(self._ticks)

    def _trade(self, side: Side, ticks: int) -> None:
        """The market trades with our orders: ``side`` takes what is at these ticks or better, as much as it has."""
        link = self._link
        addressed: list[Addressed] = link.exchange.external_trade(side, ticks, self._left, link.now_ms)
        self._left -= sum(report.lots for _, report in addressed if isinstance(report, Fill))
        link.told(addressed)

    # -- what there is to reach

    def _orders(self) -> tuple[int, int]:
        """The best of our bids and asks; far away where there is none."""
        exchange = self._link.exchange
        bid, ask = exchange.best(Side.BUY), exchange.best(Side.SELL)
        return bid[0] if bid else -FAR, ask[0] if ask else FAR

    def _watched(self) -> tuple[int, int]:
        """The price at or below which, and at or above which the grid does something: see ``machine.life.price``."""
        state = self._link.grid.state
        spec = state.spec
        if not self._watches:
            return -FAR, FAR
        if state.mode is Mode.CLOSING:
            return state.slots[0].ticks - 1, FAR
        if not state.active:
            return -FAR, FAR
        low = -FAR if spec.stop_loss_ticks is None else spec.stop_loss_ticks
        high = FAR if spec.take_profit_ticks is None else spec.take_profit_ticks
        if state.mode is Mode.LIVE:
            low = low if spec.trail_down_ticks is None else max(low, state.centre - spec.trail_down_ticks)
            high = high if spec.trail_up_ticks is None else min(high, state.centre + spec.trail_up_ticks)
        return low, high

    def _note(self, point: int) -> None:
        """Begin another stretch of the curve if anything has changed."""
        books, generation = self._link.books, self._link.grid.state.generation
        last = self._stretches[-1] if self._stretches else None
        if last and (last.fills, last.generation) == (books.fills, generation):
            return
        self._stretches.append(Stretch.of(point, books, generation))
