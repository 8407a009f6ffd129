"""The paper exchange as a venue of several markets, fed from one log: commands of grids, and the real order flow.

    {"grid", "account", "venue", "symbol", "tick", "lot", "command": {...}} ──▶ reports, for the grid
    an event of the ``market`` stream                                       ──▶ reports, for whose orders it trades with

The time of a market is that of its real flow where there is one, else that of the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from m1cep.errors import GridError
from m1cep.grid import wire
from m1cep.grid.machine import Price
from m1cep.grid.orders import Fill, Place, PlaceMarket, Rejected
from m1cep.grid.paper.exchange import Exchange
from m1cep.grid.paper.flow import RealFlow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.grid.orders import Market
    from m1cep.grid.paper.matching import Addressed

NAME = "paper"


@dataclass(slots=True)
class Told:
    """What follows from records of the log.

    Attributes:
        reports: for the grids, in their order.
        prices: the newest of each symbol that has traded.
        fills: new trades of grids, as events of the ``fills`` stream.
    """

    reports: list[Addressed] = field(default_factory=list)
    prices: dict[str, Price] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)


class _Floor:
    """One market: its exchange, the real flow next to it, and its time."""

    __slots__ = ("exchange", "flow", "flows", "time_ms")

    def __init__(self, market: Market) -> None:
        self.exchange = Exchange(market, tape=True)
        self.flow = RealFlow(self.exchange)
        self.time_ms = 0
        self.flows = False

    def state(self) -> Any:
        return [self.exchange.state(), self.flow.state(), self.time_ms, self.flows]

    def load(self, state: Any) -> None:
        exchange, flow, self.time_ms, self.flows = state
        self.exchange.load(exchange)
        self.flow.load(flow)


class PaperVenue:
    """The same log gives the same reports.

    Args:
        markets: which there are.

    Attributes:
        accounts: of the grids that have given commands.
    """

    def __init__(self, markets: Iterable[Market]) -> None:
        self._floors = {market.symbol: _Floor(market) for market in markets}
        self.accounts: dict[str, str] = {}

    @property
    def markets(self) -> dict[str, Market]:
        """By symbol."""
        return {symbol: floor.exchange.market for symbol, floor in self._floors.items()}

    def command(self, record: Mapping[str, Any], time_ms: int, told: Told) -> None:
        """Carry out a grid's command.

        Args:
            record: see above. One for another venue changes nothing.
            time_ms: of the log.
            told: added to.

        Raises:
            GridError: it makes no sense; nothing has changed.
        """
        if record.get("venue") != NAME:
            return
        grid, account, symbol = record.get("grid"), record.get("account"), record.get("symbol")
        if not (isinstance(grid, str) and isinstance(account, str) and isinstance(record.get("command"), dict)):
            raise GridError("expected a command with grid, account and command")
        command = wire.command(record["command"])
        floor = self._floors.get(str(symbol))
        if floor is None:
            raise GridError(f"the paper exchange has no market {symbol!r}, only {', '.join(sorted(self._floors))}")
        self.accounts[grid] = account
        if isinstance(command, Place | PlaceMarket) and (trouble := wire.other_steps(floor.exchange.market, record)):
            told.reports.append((grid, Rejected(command.order_id, trouble)))
            return
        if (
            isinstance(command, Place)
            and 0 < command.expires_ms < time_ms
            and not floor.exchange.knows(grid, command.order_id)
        ):
            told.reports.append((grid, Rejected(command.order_id, "expired")))
            return
        self._release(floor, told)
        if not floor.flows:
            floor.time_ms = max(floor.time_ms, time_ms)
        before = len(told.reports)
        told.reports += floor.exchange.execute(grid, command, floor.time_ms)
        self._trades(floor, told, before)

    def market(self, event: Mapping[str, Any], told: Told) -> None:
        """An event of the real flow; one of a symbol without a market here changes nothing.

        Raises:
            GridError: its price or quantity is not in whole ticks or lots.
        """
        floor = self._floors.get(event["symbol"])
        if floor is None:
            return
        floor.flows = True
        floor.time_ms = max(floor.time_ms, event["ts"])
        before = len(told.reports)
        told.reports += floor.flow.take(event)
        self._trades(floor, told, before)

    def idle(self, told: Told) -> None:
        """Nothing more of the real flow comes for now."""
        for floor in self._floors.values():
            self._release(floor, told)

    def state(self) -> Any:
        """Everything but the markets' settings, as plain values."""
        return [self.accounts, {symbol: floor.state() for symbol, floor in self._floors.items()}]

    def load(self, state: Any) -> None:
        """Take over what ``state()`` gave; markets that are no longer there are left out."""
        self.accounts, floors = state
        for symbol in self._floors.keys() & floors.keys():
            self._floors[symbol].load(floors[symbol])

    def _release(self, floor: _Floor, told: Told) -> None:
        """Carry out what the real flow holds back until its millisecond is over."""
        before = len(told.reports)
        told.reports += floor.flow.finish()
        self._trades(floor, told, before)

    def _trades(self, floor: _Floor, told: Told, before: int) -> None:
        """Note the price, and whose the trades were. What only repeats fills trades nothing, and is left out."""
        trades = floor.exchange.take_trades()
        if not trades:
            return
        told.prices[floor.exchange.market.symbol] = Price(floor.time_ms, trades[-1].ticks)
        for grid, report in told.reports[before:]:
            if isinstance(report, Fill):
                told.fills.append(wire.fill_event(NAME, self.accounts[grid], floor.exchange.market, report))
