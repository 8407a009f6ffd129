"""The sequencer agent: commands of grids and the real order flow into one log, in the order in which it happened to read them.

Two topics can be read in any order, and after a crash in another. An exchange must not: what has traded has traded. So one agent
decides, once, by writing; the paper exchange reads only the log. A record of the log holds successive records of one topic, one a
line; its header says which. After a crash the newest may be written again: the reader knows by their offsets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Self

import orjson

from streams.agents.outbox import Packet
from streams.agents.partition import Outcome, Timeless, fresh_records
from streams.grid.log import COMMANDS, PAPER_LOG
from streams.topics import topic_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.transport import Batch, Record

ORIGIN = "m1cep-from"
IDLE = "m1cep-idle"  # in place of an origin: the real flow is read to its end, and silent
_MOST_BYTES = 256 * 1024


class Origin(NamedTuple):
    """What the lines of a record of the log are.

    Attributes:
        topic_id: from the cluster: a topic made anew has another, and its offsets begin anew.
        first: offset of the first line; each further one is the next.
    """

    topic: str
    topic_id: str
    first: int

    def header(self) -> tuple[str, bytes]:
        """As the record's header."""
        return ORIGIN, orjson.dumps([*self])

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """From the record's header; None where it has none."""
        for name, value in record.headers:
            if name == ORIGIN:
                return cls(*orjson.loads(value))
        return None


def _runs(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut where an offset is missing and where a record of the log would become too large."""
    start = size = 0
    for i, record in enumerate(records):
        length = len(record.value or b"")
        if i > start and (size + length > _MOST_BYTES or record.offset != records[i - 1].offset + 1):
            yield records[start:i]
            start, size = i, 0
        size += length + 1
    yield records[start:]


def _line(value: bytes | None) -> bytes:
    """One line, whatever it is: outside of strings JSON may hold line ends as it may hold spaces."""
    return (value or b"null").replace(b"\n", b" ")


class SequencerPartition(Timeless):
    """One partition number of the topics, and of the log.

    Args:
        number: the partition's.
        positions: the next offset of each topic.
        ids: of the topics, from the cluster.
    """

    def __init__(self, number: int, positions: Mapping[str, int], ids: Mapping[str, str]) -> None:
        self._number = number
        self._ids = ids
        self.positions = dict(positions)

    def take(self, batch: Batch) -> Outcome:
        """Write a batch's new records to the log.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        outcome = Outcome()
        records = fresh_records(batch, self.positions[batch.topic])
        if records:
            outcome.events = len(records)
            lines = [
                (
                    None,
                    b"\n".join([_line(record.value) for record in run]),
                    [Origin(batch.topic, self._ids.get(batch.topic, ""), run[0].offset).header()],
                )
                for run in _runs(records)
            ]
            outcome.messages.append(Packet(PAPER_LOG, self._number, lines))
        self.positions[batch.topic] = max(self.positions[batch.topic], batch.next)
        return outcome

    def idle(self, topic: str) -> Outcome:
        """Write to the log that nothing more of the real flow comes for now."""
        if topic == COMMANDS or not self.positions[topic]:
            return Outcome()
        return Outcome(messages=[Packet(PAPER_LOG, self._number, [(None, b"", [(IDLE, b"")])])])

    def snapshot(self) -> bytes:
        """There is nothing but the positions."""
        return b""


async def build(context: AgentContext) -> Host:
    """The host of the sequencer, attached to an app that is not started yet."""
    market = context.options.streams["market"].topic
    topics = (COMMANDS, market)
    ids = await asyncio.to_thread(topic_ids, context.options.client, topics)

    def open_partition(number: int, positions: Mapping[str, int], _state: bytes | None) -> SequencerPartition:
        return SequencerPartition(number, positions, ids)

    return await context.new_host("sequencer", topics, open_partition, {}, outputs=[PAPER_LOG])
