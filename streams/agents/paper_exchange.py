"""The paper exchange agent: the log of commands and real flow in, reports to the grids and fills out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.errors import GridError
from m1cep.grid.paper import PaperVenue, Told
from streams import codec
from streams.agents.outbox import to_all
from streams.agents.partition import Outcome, Timeless, fresh_records
from streams.agents.sequencer import IDLE, Origin
from streams.grid.log import COMMANDS, GRID_LOG, PAPER_LOG, event_record, fill_message, parse_object
from streams.grid.markets import load_markets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m1cep import Stream
    from m1cep.grid.orders import Market
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.transport import Batch, Record

_SOURCE = "/m1cep/paper-exchange"


class PaperPartition(Timeless):
    """The markets of one partition of the log.

    Args:
        number: the partition's.
        position: in the log.
        markets: all that there are; those of other partitions see nothing here.
        market: the stream of the real flow.
        fills: the stream of fills.
        partitions: of the grids' log.
        state: as ``snapshot`` gave it.
    """

    def __init__(
        self,
        number: int,
        position: int,
        markets: Iterable[Market],
        *,
        market: Stream,
        fills: Stream,
        partitions: int,
        state: bytes | None,
    ) -> None:
        self.positions = {PAPER_LOG: position}
        self._number = number
        self._market, self._fills, self._partitions = market, fills, partitions
        self._venue = PaperVenue(markets)
        self._read: dict[str, tuple[str, int]] = {}  # by topic: its id, the next offset
        if state is not None:
            venue, read = msgspec.msgpack.decode(state)
            self._venue.load(venue)
            self._read = {topic: (known, at) for topic, (known, at) in read.items()}

    def take(self, batch: Batch) -> Outcome:
        """Carry out what a batch of the log says.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        outcome = Outcome()
        for record in fresh_records(batch, self.positions[PAPER_LOG]):
            self._record(record, outcome)
        self.positions[PAPER_LOG] = max(self.positions[PAPER_LOG], batch.next)
        return outcome

    def snapshot(self) -> bytes:
        """The markets, and how far each topic was read through the log."""
        return msgspec.msgpack.encode([self._venue.state(), self._read])

    def _record(self, record: Record, outcome: Outcome) -> None:
        where = f"{PAPER_LOG}/{self._number}/{record.offset}"
        origin = Origin.of(record)
        if origin is None or record.value is None:
            if any(name == IDLE for name, _ in record.headers):
                told = Told()
                self._venue.idle(told)
                self._tell(where, told, outcome)
            return
        lines = record.value.split(b"\n")
        topic_id, position = self._read.get(origin.topic, ("", 0))
        skip = max(0, position - origin.first) if topic_id == origin.topic_id else 0
        if skip >= len(lines):
            return
        self._read[origin.topic] = origin.topic_id, origin.first + len(lines)
        told = Told()

        def source(line: int) -> codec.Source:
            about = lines[skip + line]
            return codec.Source(origin.topic, self._number, origin.first + skip + line, record.timestamp, None, about)

        if origin.topic == COMMANDS:
            self._commands(lines[skip:], record.timestamp or 0, told, source, outcome)
        else:
            self._flow(lines[skip:], told, source, outcome)
        outcome.events += len(lines) - skip
        self._tell(where, told, outcome)

    def _commands(
        self, lines: list[bytes], time_ms: int, told: Told, source: Callable[[int], codec.Source], outcome: Outcome
    ) -> None:
        for i, line in enumerate(lines):
            try:
                self._venue.command(parse_object(line), time_ms, told)
            except GridError as error:
                outcome.refuse(source(i), str(error), _SOURCE)

    def _flow(self, lines: list[bytes], told: Told, source: Callable[[int], codec.Source], outcome: Outcome) -> None:
        rows, errors, index = self._market.decode_many(lines)
        for i, error in errors:
            outcome.refuse(source(i), error.reason, _SOURCE)
        for i, row in enumerate(rows):
            try:
                self._venue.market(msgspec.structs.asdict(row), told)
            except GridError as error:
                outcome.refuse(source(i if index is None else index[i]), str(error), _SOURCE)

    def _tell(self, identity: str, told: Told, outcome: Outcome) -> None:
        for n, (grid, report) in enumerate(told.reports):
            outcome.messages.append(codec.Message(GRID_LOG, *event_record(grid, report, f"{identity}/{n}", _SOURCE)))
        for symbol, price in told.prices.items():
            record = event_record(None, price, f"{identity}/{symbol}", _SOURCE, symbol=symbol)
            outcome.messages += to_all(GRID_LOG, self._partitions, [record])
        outcome.messages += [fill_message(self._fills.topic, fill, _SOURCE) for fill in told.fills]


async def build(context: AgentContext) -> Host:
    """The host of the paper exchange, attached to an app that is not started yet.

    Raises:
        ShellError: the file of markets cannot be used.
    """
    options = context.options
    markets = load_markets(options.markets).values()
    market, fills = options.streams["market"], options.streams["fills"]
    partitions = (await context.outbox.look([GRID_LOG])).partitions.get(GRID_LOG, 0)

    def open_partition(number: int, positions: Mapping[str, int], state: bytes | None) -> PaperPartition:
        return PaperPartition(
            number, positions[PAPER_LOG], markets, market=market, fills=fills, partitions=partitions, state=state
        )

    versions = {m.symbol: str(m) for m in markets}
    return await context.new_host(
        "paper_exchange", [PAPER_LOG], open_partition, versions, outputs=[GRID_LOG, fills.topic]
    )
