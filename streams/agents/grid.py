"""The grid agent: what the grids hear from their log, commands for their venues out.

Actions of alerts are read here too, and written to the log of every partition: so a halt stands in one order with everything else
that a grid has heard. When nothing comes and the time makes something due, the time is written there as well.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.errors import EngineError, GridError
from m1cep.grid.fleet import Answer, Fleet
from m1cep.grid.machine import Halt, Tick
from streams import codec
from streams.agents.outbox import Packet, keyed_partition, to_all
from streams.agents.partition import Outcome, Timeless, fresh_records, source_of
from streams.errors import ShellError
from streams.grid.log import COMMANDS, GRID_LOG, GRIDS, command_record, event_record, parse_object, status_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.agents.stats import AgentStats
    from streams.grid.log import Record as LogRecord
    from streams.transport import Batch, Record

_SOURCE = "/m1cep/grid"
_LOOK_EVERY_S = 0.02
#: A record of the time that has not come back by then is written again.
_PATIENCE_MS = 1_000


class GridPartition(Timeless):
    """The grids of one partition of the log.

    Args:
        number: the partition's.
        positions: the next offset of the log and of the actions.
        partitions: of the log and of the commands.
        state: as ``snapshot`` gave it.
    """

    def __init__(self, number: int, positions: Mapping[str, int], partitions: int, state: bytes | None) -> None:
        self.positions = dict(positions)
        self._number = number
        self._partitions = partitions
        self._fleet = Fleet() if state is None else Fleet.restore(msgspec.msgpack.decode(state))
        self._ticked_ms: int | None = None  # when the time was written last; None: it has come back

    def take(self, batch: Batch) -> Outcome:
        """Let the grids hear a batch of the log, or write a batch of actions to it.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        outcome = Outcome()
        records = fresh_records(batch, self.positions[batch.topic])
        outcome.events = len(records)
        if batch.topic == codec.ACTIONS:
            halts = [self._halt(batch, record, outcome) for record in records]
            if lines := [halt for halt in halts if halt is not None]:
                outcome.messages += to_all(GRID_LOG, self._partitions, lines)
        else:
            self._hear(batch, records, outcome)
        self.positions[batch.topic] = max(self.positions[batch.topic], batch.next)
        return outcome

    def tick(self, now_ms: int) -> Outcome | None:
        """What to write when the time makes something due: the time."""
        wake_ms = self._fleet.wake_ms
        if wake_ms is None or now_ms < wake_ms:
            return None
        if self._ticked_ms is not None and now_ms < self._ticked_ms + _PATIENCE_MS:
            return None
        self._ticked_ms = now_ms
        record = event_record(None, Tick(now_ms), f"tick/{self._number}/{now_ms}", _SOURCE)
        return Outcome(messages=[Packet(GRID_LOG, self._number, [record])])

    def snapshot(self) -> bytes:
        """The grids."""
        return msgspec.msgpack.encode(self._fleet.snapshot())

    def measure(self, _number: int, stats: AgentStats) -> None:
        """How the grids stand."""
        stats.grids |= {name: member.grid.summary() for name, member in self._fleet.members.items()}

    def _hear(self, batch: Batch, records: Any, outcome: Outcome) -> None:
        commands: dict[int, list[LogRecord]] = {}
        touched: dict[str, str] = {}
        for record in records:
            answer, where = Answer(), f"{GRID_LOG}/{self._number}/{record.offset}"
            try:
                self._fleet.take(record.timestamp or 0, _name(record), parse_object(record.value), answer)
            except GridError as error:
                outcome.refuse(source_of(batch, record), str(error), _SOURCE)
                continue
            for n, (member, command) in enumerate(answer.commands):
                symbol = member.grid.state.spec.market.symbol.encode()
                lines = commands.setdefault(keyed_partition(symbol, self._partitions), [])
                lines.append(command_record(member, command, f"{where}/{n}"))
            for alert in answer.alerts:
                outcome.rules.append(alert.rule)
                outcome.messages.append(codec.alert_message(alert, alert.event_time, _SOURCE))
            touched |= dict.fromkeys(answer.touched, where)
        self._ticked_ms = None
        # What the venue waits for goes first.
        outcome.messages[:0] = [Packet(COMMANDS, number, lines) for number, lines in commands.items()]
        outcome.messages += [status_message(self._fleet.members[name], where) for name, where in touched.items()]

    def _halt(self, batch: Batch, record: Record, outcome: Outcome) -> LogRecord | None:
        try:
            return _halt_record(parse_object(record.value))
        except GridError as error:
            outcome.refuse(source_of(batch, record), str(error), _SOURCE)
            return None


def _halt_record(action: Mapping[str, Any]) -> LogRecord | None:
    """The record of the log for an action; None: it is not for grids."""
    if action.get("action") != "halt_grid":
        return None
    alert = action.get("id")
    if not isinstance(alert, str) or not alert:
        raise GridError(f"expected an action to name its alert as id, got {alert!r}")
    about = {name: action[name] for name in ("account", "symbol") if action.get(name) is not None}
    return event_record(None, Halt(alert), f"halt/{alert}", _SOURCE, **about)


def _name(record: Record) -> str | None:
    try:
        return None if record.key is None else record.key.decode()
    except UnicodeDecodeError as error:
        raise GridError("expected the name of a grid as key, in UTF-8") from error


async def _keep_time(host: Host) -> None:
    """Write the time where it makes something due."""

    def tick(partition: Any) -> Outcome | None:
        found: Outcome | None = partition.tick(time.time_ns() // 1_000_000)
        return found

    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        await host.each(tick)


async def build(context: AgentContext) -> Host:
    """The host of the grid agent, attached to an app that is not started yet.

    Raises:
        ShellError: the log and the commands have different numbers of partitions.
    """
    found = (await context.outbox.look([GRID_LOG, COMMANDS])).partitions
    if len(set(found.values())) > 1:
        raise ShellError(
            f"{GRID_LOG} and {COMMANDS} have different numbers of partitions: {found[GRID_LOG]} and {found[COMMANDS]}",
            "make the numbers equal",
        )

    def open_partition(number: int, positions: Mapping[str, int], state: bytes | None) -> GridPartition:
        try:
            return GridPartition(number, positions, found[GRID_LOG], state)
        except GridError as error:
            raise EngineError(str(error)) from error  # this snapshot cannot go on

    host = await context.new_host(
        "grid", [GRID_LOG, codec.ACTIONS], open_partition, {}, outputs=[GRID_LOG, COMMANDS, GRIDS]
    )
    host.beside(_keep_time(host))
    return host
