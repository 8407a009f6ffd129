"""The rekey agent: records of a topic on to topics with other keys, for rules that need them so (see ``streams.rekey``).

Bytes and headers stay as they are; only the key is another. A record that is no event, or comes behind its stream's watermark, is
not sent on: it goes to the dead letters or the late topic, from here when no rule reads the stream as it is, else from the risk
agent, which reads the same record. So both agents take the same events, whatever the batches.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep import Late
from streams import codec
from streams.agents.lanes import MARKER, Marker, origin_headers
from streams.agents.outbox import Packet, keyed_partition
from streams.agents.partition import Outcome, Timeless, fresh_records, source_of
from streams.errors import ShellError
from streams.rekey import all_rekeyed, key_bytes, read_directly
from streams.topics import topic_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from m1cep import Stream
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.rekey import Rekeyed
    from streams.transport import Batch, Record

    Packed = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

_SOURCE = "/m1cep/rekey"


@dataclass(frozen=True)
class Forwarding:
    """What happens to the records of one topic.

    Attributes:
        topic_id: what the cluster calls the topic.
        targets: where they go.
        partitions: of the topic and of each target.
        reports: whether bad and late records are ours to report.
    """

    stream: Stream
    topic_id: str
    targets: tuple[Rekeyed, ...]
    partitions: int
    reports: bool


class RekeyPartition(Timeless):
    """One partition number of the topics that are sent on.

    Args:
        number: the partition's.
        positions: the next offset of each topic.
        forwardings: by topic.
        state: as ``snapshot`` gave it.
    """

    def __init__(
        self, number: int, positions: Mapping[str, int], forwardings: Mapping[str, Forwarding], state: bytes | None
    ) -> None:
        self._number = number
        self.positions = dict(positions)
        self._forwardings = forwardings
        self._highest: dict[str, int] = msgspec.msgpack.decode(state) if state else {}
        self._keys = {topic: [_key_of(f.stream, t) for t in f.targets] for topic, f in forwardings.items()}
        self._announced: set[str] = set()

    def take(self, batch: Batch) -> Outcome:
        """Send a batch's new records on, and to every partition how far this one is.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        outcome = Outcome()
        self._announce(batch.topic, outcome)
        records = fresh_records(batch, self.positions[batch.topic])
        rows, errors, index = self._forwardings[batch.topic].stream.decode_many([r.value for r in records])  # type: ignore[misc]
        outcome.events = len(rows)
        kept = records if index is None else [records[i] for i in index]
        on_time, late = self._sift(batch.topic, rows)
        if self._forwardings[batch.topic].reports:
            outcome.dead_letters = len(errors)
            outcome.late[batch.topic, "late"] = len(late)
            for i, error in errors:
                letter = codec.dead_letter(source_of(batch, records[i]), error.reason, _SOURCE, column=error.column)
                outcome.messages.append(letter)
            for missed in late:
                outcome.messages.append(codec.late_event(source_of(batch, kept[missed.index]), missed, _SOURCE))
        if late:
            rows, kept = [rows[i] for i in on_time], [kept[i] for i in on_time]
        self.positions[batch.topic] = max(self.positions[batch.topic], batch.next)
        self._forward(batch, rows, kept, outcome)
        return outcome

    def idle(self, topic: str) -> Outcome:
        """Tell every partition that there is nothing more of this one for now."""
        outcome = Outcome()
        self._announce(topic, outcome)
        self._pack(topic, {}, outcome, idle=True)
        return outcome

    def snapshot(self) -> bytes:
        """The highest event time of each topic."""
        return msgspec.msgpack.encode(self._highest)

    def _announce(self, topic: str, outcome: Outcome) -> None:
        """Tell where this partition begins before anything of it comes: the topic may be another than before."""
        if topic not in self._announced:
            self._announced.add(topic)
            self._pack(topic, {}, outcome)

    def _sift(self, topic: str, rows: Sequence[Any]) -> tuple[list[int], list[Late]]:
        """Which rows are on time, by index; those that are late. As the engine's merge decides it."""
        stream = self._forwardings[topic].stream
        times = list(map(attrgetter(stream.time_attr), rows))
        highest = self._highest.get(topic)
        if not times:
            return [], []
        if highest is None:
            highest = times[0]
        if min(times) >= max(highest, *times) - stream.delay:
            self._highest[topic] = max(highest, *times)
            return [], []  # nobody asks for the indexes when nothing is late
        on_time, late = [], []
        for i, time in enumerate(times):
            highest = max(highest, time)
            if time < highest - stream.delay:
                late.append(Late(stream.name, i, rows[i], time, highest - stream.delay, "late"))
            else:
                on_time.append(i)
        self._highest[topic] = highest
        return on_time, late

    def _forward(self, batch: Batch, rows: Sequence[Any], records: Sequence[Record], outcome: Outcome) -> None:
        forwarding = self._forwardings[batch.topic]
        count = forwarding.partitions
        origins = origin_headers(batch.topic, batch.partition, [record.offset for record in records])
        packets: dict[tuple[str, int], list[Packed]] = {}
        for target, key_of in zip(forwarding.targets, self._keys[batch.topic], strict=True):
            parts: list[list[Packed]] = [packets.setdefault((target.topic, n), []) for n in range(count)]
            for row, record, origin in zip(rows, records, origins, strict=True):
                key = key_of(row)
                number = 0 if key is None else keyed_partition(key, count)
                parts[number].append((key, record.value, [*record.headers, origin]))
        self._pack(batch.topic, packets, outcome)

    def _pack(
        self, topic: str, packets: Mapping[tuple[str, int], list[Packed]], outcome: Outcome, *, idle: bool = False
    ) -> None:
        """Each target partition's records and, after them, the marker."""
        forwarding = self._forwardings[topic]
        position, reached = self.positions[topic], self._highest.get(topic)
        marker = Marker(topic, forwarding.topic_id, self._number, position, reached, idle)
        last: Packed = (None, marker.to_json(), [(MARKER, b"")])
        for target in forwarding.targets:
            for number in range(forwarding.partitions):
                records = packets.get((target.topic, number), [])
                outcome.messages.append(Packet(target.topic, number, [*records, last]))


def _key_of(stream: Stream, target: Rekeyed) -> Callable[[Any], bytes | None]:
    """The record key of a row."""
    attrs = [None if c is None else stream.by_name[c.lower()].attr for c in target.columns]
    if (
        len(attrs) == 1
        and attrs[0] is not None
        and stream.by_name[str(target.columns[0]).lower()].type.kind == "STRING"
    ):
        only = attrgetter(attrs[0])

        def text(row: Any) -> bytes | None:
            value: str | None = only(row)
            return None if value is None else value.encode()

        return text
    return lambda row: key_bytes([None if attr is None else getattr(row, attr) for attr in attrs])


async def build(context: AgentContext) -> Host:
    """The host of the rekey agent, attached to an app that is not started yet.

    Raises:
        ShellError: no rule needs it, or a topic cannot be made.
    """
    options = context.options
    needed = all_rekeyed(options.rules)
    if not needed:
        raise ShellError(
            "no rule needs a stream by another key than it has",
            "leave out the agent rekey: it starts when a rule needs it",
        )
    partitions = await context.make_topics(needed)
    direct = read_directly(options.rules)
    streams = {one.stream.topic: one.stream for one in needed}
    ids = await asyncio.to_thread(topic_ids, options.client, streams)
    forwardings = {
        topic: Forwarding(
            stream,
            ids.get(topic, ""),
            tuple(one for one in needed if one.stream.topic == topic),
            partitions,
            stream.name not in direct,
        )
        for topic, stream in streams.items()
    }

    def open_partition(number: int, positions: Mapping[str, int], state: bytes | None) -> RekeyPartition:
        return RekeyPartition(number, positions, forwardings, state)

    return await context.new_host("rekey", streams, open_partition, {})
