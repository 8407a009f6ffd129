"""The grid, its venue, and the time that messages take between them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from m1cep.grid.backtest.path import UNLIMITED
from m1cep.grid.machine import Grid, GridSpec, Price, Start, Tick
from m1cep.grid.machine.books import EXACT, Books
from m1cep.grid.orders import Fill, Place, Side
from m1cep.grid.paper import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from m1cep.grid.orders import Command, Report
    from m1cep.grid.paper.matching import Addressed

OWNER = "grid"
_QUOTE = "market"  # the market's own order, where one of ours would trade with it


class Link:
    """What the grid says reaches the venue ``latency_ms`` later, and what the venue says the grid; nothing is lost.

    Attributes:
        now_ms: of the simulated clock.
        books: of every fill when it happens; the grid's own, which hears of it later, must come to be the same.
    """

    def __init__(self, spec: GridSpec, latency_ms: int) -> None:
        self.grid = Grid("backtest", spec)
        self.exchange = Exchange(spec.market)
        self.exchange.deposit(OWNER, lots=spec.lots, quote=spec.cash)
        self.books = Books(
            EXACT.multiply(spec.market.tick, spec.market.lot), spec.cash, spec.lots, spec.cash, spec.lots
        )
        self.books.start_ticks = spec.centre_ticks
        self.now_ms = 0
        self.latency_ms = latency_ms
        self._price_ms = 0
        # All take equally long, so that they arrive in the order in which they were sent: when, to the venue or from it, what.
        self._on_the_way: deque[tuple[int, Command | None, Report | None]] = deque()

    def start(self, time_ms: int) -> None:
        """The clock begins, and the grid."""
        self.now_ms = time_ms
        self.grid.handle(Tick(time_ms))
        self._send(self.grid.handle(Start("backtest")))

    def due_ms(self) -> int:
        """When something happens by time alone: a message arrives, or the grid wants to be woken."""
        wake = max(self.grid.state.wake_ms, self.now_ms + 1)
        return min(wake, self._on_the_way[0][0]) if self._on_the_way else wake

    def deliver(self, time_ms: int, market_ticks: int) -> None:
        """Let it be that time, and what is due then arrive.

        Args:
            time_ms: not before ``now_ms``.
            market_ticks: what the market trades at: an order that crosses it trades at once, or is refused if it is post-only.
        """
        self.now_ms = time_ms
        self._tick()
        way = self._on_the_way
        while way and way[0][0] <= time_ms:
            _, command, report = way.popleft()
            if command is not None:
                self.told(self._execute(command, market_ticks))
            elif report is not None:
                self._send(self.grid.handle(report))

    def told(self, addressed: Iterable[Addressed]) -> None:
        """What the exchange says now: its fills are booked, and it is on its way to the grid."""
        due = self.now_ms + self.latency_ms
        for _, report in addressed:
            if isinstance(report, Fill):
                self.books.book(report.side, report.ticks, report.lots, report.fee)
            self._on_the_way.append((due, None, report))

    def price(self, ticks: int) -> None:
        """The grid hears what the market trades at, without delay: a grid watches the market, it does not ask its venue."""
        # Two prices of one millisecond: the second would count as old.
        self._price_ms = max(self.now_ms, self._price_ms + 1)
        self._tick()
        self._send(self.grid.handle(Price(self._price_ms, ticks)))

    def balance(self) -> tuple[int, Decimal]:
        """Lots and quote of the grid, as the venue counts them."""
        found = self.exchange.balance(OWNER)
        assert found is not None, "a deposit was made"
        return found

    def _tick(self) -> None:
        self._send(self.grid.handle(Tick(self.now_ms)))

    def _send(self, commands: Iterable[Command]) -> None:
        due = self.now_ms + self.latency_ms
        self._on_the_way.extend((due, command, None) for command in commands)

    def _execute(self, command: Command, market_ticks: int) -> list[Addressed]:
        exchange, now = self.exchange, self.now_ms
        if isinstance(command, Place):
            beyond = market_ticks + 1 if command.side is Side.BUY else market_ticks - 1
            crosses = command.ticks >= beyond if command.side is Side.BUY else command.ticks <= beyond
            if crosses and beyond > 0:
                exchange.external_place(_QUOTE, command.side.other, beyond, UNLIMITED, now, post_only=True)
                addressed = exchange.execute(OWNER, command, now)
                exchange.external_cancel(_QUOTE)
                return addressed
        return exchange.execute(OWNER, command, now)
