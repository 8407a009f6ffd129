"""The venue agent: commands of grids in, carried out at a real venue; reports to the grids and their fills out.

    m1cep.order-commands.v1 ──▶ errands ──▶ gateway ──▶ reports  m1cep.grid-log.v1
                                   venue's trades ──▶ fills      m1cep.grid-log.v1, m1cep.fills.v1
                                   its newest price ──▶          m1cep.grid-log.v1, every partition

A command becomes one or more errands, which wait in the partition's state until what came of them is written. So a batch is taken
at once, however slow the venue is, and a snapshot holds what is still to be done: after a crash it is done again, and ids tell
the venue, and what it says tells us, whether it had been. The network is in ``venue_runner``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from m1cep.errors import GridError
from m1cep.grid import wire
from m1cep.grid.machine import Price, Reconnected
from m1cep.grid.orders import AskOpenOrders, Cancel, CancelAll, Fill, OpenOrders, Place, PlaceMarket, Rejected
from m1cep.model.alert import Alert
from streams import codec
from streams.agents.outbox import to_all
from streams.agents.partition import Outcome, Timeless, fresh_records, source_of
from streams.grid.log import COMMANDS, GRID_LOG, event_record, fill_message, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from m1cep.grid.orders import Command, Market, Report
    from streams.transport import Batch, Record

SOURCE = "/m1cep/venue"
#: Orders and trades that are remembered: whose they are, and that they were told.
REMEMBERED = 10_000
#: A trade may come into the venue's list so late, by the venue's clock.
OVERLAP_MS = 60_000
#: So far may the venue's clock be from ours, and its list of trades be behind.
_CLOCKS_MS = 600_000


@dataclass(slots=True)
class Errand:
    """A command that is to be carried out, or a part of one.

    Attributes:
        id: the same for the same command of the same record.
        grid: who gave it.
        symbol: where.
        steps: the record's tick and lot, as they stand there.
        command: what to do.
    """

    id: str
    grid: str
    symbol: str
    steps: dict[str, str]
    command: Command

    @property
    def lane(self) -> tuple[str, str]:
        """Errands of one lane follow each other; others do not wait for them."""
        if isinstance(self.command, AskOpenOrders | CancelAll):
            return self.grid, ""
        return self.symbol, self.command.order_id


@dataclass(slots=True)
class Book:
    """What is known of a symbol at the venue.

    Attributes:
        since_ms: trades before then are known; by the venue's clock.
        trades: those that were told, as order and trade id; the newest.
        priced_ms: when the trade was whose price was told last; by the venue's clock.
    """

    since_ms: int
    trades: dict[str, None]
    priced_ms: int = 0


class VenuePartition(Timeless):
    """The grids of one partition of the commands, as far as they trade here.

    Args:
        number: the partition's.
        position: in the commands.
        venue: the venue's name.
        account: whose grids may trade there.
        fills: topic of the fills.
        partitions: of the grids' log.
        state: as ``snapshot`` gave it.

    Attributes:
        books: by symbol.
    """

    def __init__(
        self, number: int, position: int, *, venue: str, account: str, fills: str, partitions: int, state: bytes | None
    ) -> None:
        self.positions = {COMMANDS: position}
        self.books: dict[str, Book] = {}
        self._number, self._partitions = number, partitions
        self._venue, self._account, self._fills = venue, account, fills
        self._errands: dict[str, Errand] = {}  # in their order
        self._owners: dict[str, str] = {}  # order id -> grid; the newest
        self._grids: dict[str, str] = {}  # name -> symbol
        if state is not None:
            errands, self._owners, self._grids, books = msgspec.msgpack.decode(state)
            self._errands = {
                name: Errand(name, grid, symbol, steps, wire.command(plain))
                for name, grid, symbol, steps, plain in errands
            }
            self.books = {symbol: Book(since, dict.fromkeys(ids), priced) for symbol, since, ids, priced in books}

    def take(self, batch: Batch) -> Outcome:
        """Note what a batch of commands asks for.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        outcome = Outcome()
        for record in fresh_records(batch, self.positions[COMMANDS]):
            try:
                self._note(record, outcome)
            except GridError as error:
                outcome.refuse(source_of(batch, record), str(error), SOURCE)
        self.positions[COMMANDS] = max(self.positions[COMMANDS], batch.next)
        return outcome

    def snapshot(self) -> bytes:
        """What is to be done, and what is known."""
        errands = [[e.id, e.grid, e.symbol, e.steps, wire.to_plain(e.command)] for e in self._errands.values()]
        books = [[symbol, b.since_ms, list(b.trades), b.priced_ms] for symbol, b in self.books.items()]
        return msgspec.msgpack.encode([errands, self._owners, self._grids, books])

    # -- what is to be done

    @property
    def left(self) -> int:
        """How many errands are not done."""
        return len(self._errands)

    def due(self, running: Iterable[str], room: int) -> list[Errand]:
        """Errands that may be begun, at most so many: of each lane the oldest, where none of it runs.

        Args:
            running: ids of those under way.
            room: how many more may be.
        """
        under_way = set(running)
        lanes = set()
        found: list[Errand] = []
        for errand in self._errands.values():
            if len(found) >= room:
                break
            if errand.lane not in lanes and errand.id not in under_way:
                found.append(errand)
            lanes.add(errand.lane)
        return found

    def refusal(self, errand: Errand, market: Market) -> list[Report]:
        """What is said to an order that counts in other steps than the venue; nothing otherwise."""
        trouble = wire.other_steps(market, errand.steps)
        if trouble and isinstance(errand.command, Place | PlaceMarket):
            return [Rejected(errand.command.order_id, trouble)]
        return []

    def finish(self, errand: Errand, reports: Sequence[Report], market: Market | None, outcome: Outcome) -> None:
        """An errand is done: tell its grid what came of it.

        Args:
            errand: from ``due``.
            reports: from the gateway; none where nobody knows, or nothing happened: the grid asks.
            market: the venue's; None: it could not be reached.
            outcome: added to.
        """
        if self._errands.pop(errand.id, None) is None:
            return
        for n, report in enumerate(reports):
            if isinstance(report, Fill):
                assert market is not None
                self._publish(report, market, outcome)
            said = self._theirs(errand.grid, report) if isinstance(report, OpenOrders) else report
            self._tell(errand.grid, said, f"{errand.id}/{n}", outcome)

    # -- what is heard

    def traded(self, fills: Iterable[Fill], market: Market, asked_ms: int, outcome: Outcome) -> None:
        """The account's trades since the book's ``since_ms``, as asked for at a time of our clock: tell grids their new ones.

        Those of orders that no grid has given change nothing.
        """
        book = self.books[market.symbol]
        for fill in fills:
            book.since_ms = max(book.since_ms, fill.time_ms - OVERLAP_MS)
            grid = self._owners.get(fill.order_id)
            if grid is not None and self._publish(fill, market, outcome):
                self._tell(grid, fill, f"{self._venue}/{market.symbol}/{fill.trade_id}/{fill.order_id}", outcome)
        book.since_ms = max(book.since_ms, asked_ms - _CLOCKS_MS)

    def priced(self, time_ms: int, ticks: int, market: Market, outcome: Outcome) -> None:
        """The market's newest trade, anybody's, at a time of the venue's clock: all grids hear its price, unless they have."""
        book = self.books[market.symbol]
        if time_ms > book.priced_ms:
            book.priced_ms = time_ms
            identity = f"{self._venue}/{market.symbol}/{time_ms}"
            record = event_record(None, Price(time_ms, ticks), identity, SOURCE, symbol=market.symbol)
            outcome.messages += to_all(GRID_LOG, self._partitions, [record])

    def lost(self, symbol: str, reason: str, now_ms: int, outcome: Outcome) -> None:
        """The venue does not answer: somebody must know."""
        row = {"venue": self._venue, "symbol": symbol, "reason": reason}
        digest = blake2b(f"{self._venue}\0{symbol}\0{now_ms}".encode(), digest_size=16).hexdigest()
        alert = Alert(digest, "venue-lost", "critical", {"account": self._account}, row, now_ms, [])
        outcome.rules.append(alert.rule)
        outcome.messages.append(codec.alert_message(alert, now_ms, SOURCE))

    def reconnected(self, symbol: str, now_ms: int, outcome: Outcome) -> None:
        """The venue answers again, or for the first time: whoever trades there must ask."""
        for grid, where in self._grids.items():
            if where == symbol:
                event = Reconnected(f"{self._venue}/{now_ms}")
                outcome.messages.append(
                    codec.Message(GRID_LOG, *event_record(grid, event, f"reconnected/{grid}/{now_ms}", SOURCE))
                )

    # -- inside

    def _note(self, record: Record, outcome: Outcome) -> None:
        found = parse_object(record.value)
        if found.get("venue") != self._venue:
            return
        grid, symbol, account = found.get("grid"), found.get("symbol"), found.get("account")
        if not (isinstance(grid, str) and isinstance(symbol, str) and isinstance(found.get("command"), dict)):
            raise GridError("expected a command with grid, symbol and command")
        if account != self._account:
            raise GridError(
                f"the key for {self._venue} is of account {self._account!r} (M1CEP_VENUE_ACCOUNT), and grid {grid!r} "
                f"trades for {account!r}: nothing was done"
            )
        command = wire.command(found["command"])
        steps = {name: str(found.get(name)) for name in ("tick", "lot")}
        self._grids[grid] = symbol
        self.books.setdefault(symbol, Book((record.timestamp or 0) - OVERLAP_MS, {}))
        for n, part in enumerate(_parts(command)):
            errand = Errand(f"{COMMANDS}/{self._number}/{record.offset}/{n}", grid, symbol, steps, part)
            self._errands[errand.id] = errand
            if not isinstance(part, AskOpenOrders | CancelAll):
                self._own(part.order_id, grid)
        outcome.events += 1

    def _own(self, order_id: str, grid: str) -> None:
        """Remember whose an order is; who named it first, has it."""
        self._owners[order_id] = self._owners.pop(order_id, grid)
        while len(self._owners) > REMEMBERED:
            del self._owners[next(iter(self._owners))]

    def _theirs(self, grid: str, report: OpenOrders) -> OpenOrders:
        """Without the orders of other grids: a grid cancels what it does not know."""
        theirs = tuple(o for o in report.orders if self._owners.get(o.order_id, grid) == grid)
        for order in theirs:
            if order.order_id in self._owners:
                self._own(order.order_id, grid)  # it is open still, however old: not to be forgotten
        return replace(report, orders=theirs)

    def _publish(self, fill: Fill, market: Market, outcome: Outcome) -> bool:
        """Write a trade to the fills, once; whether it was new."""
        book, known = self.books[market.symbol], f"{fill.order_id}/{fill.trade_id}"
        if known in book.trades:
            return False
        book.trades[known] = None
        while len(book.trades) > REMEMBERED:
            del book.trades[next(iter(book.trades))]
        event = wire.fill_event(self._venue, self._account, market, fill)
        outcome.messages.append(fill_message(self._fills, event, SOURCE))
        return True

    def _tell(self, grid: str, report: Report, identity: str, outcome: Outcome) -> None:
        outcome.messages.append(codec.Message(GRID_LOG, *event_record(grid, report, identity, SOURCE)))


def _parts(command: Command) -> Iterator[Command]:
    """A command as what can be done at once, and answered one by one."""
    if isinstance(command, CancelAll) and command.order_ids:
        yield from (Cancel(order_id) for order_id in command.order_ids)
    else:
        yield command
