"""The events that led to an alert, found in the input topics when somebody looks at it.

Alerts name their events by id. They are sought backwards from the time of the alert, in the partitions that the alert's key
says (in all, where it does not say), until all are found or so many records were read. What is not found is named: it may be
older than what was read, or deleted.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from m1cep.errors import EventError
from m1cep.model.alert import event_digest
from m1cep.model.stream import EVENT_ID
from streams.agents.outbox import keyed_partition
from streams.security import for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep import Stream

_log = structlog.get_logger(__name__)

MOST_RECORDS, MOST_SECONDS = 100_000, 4.0
BLOCK = 5_000
CACHED = 200
#: A record's time stamp is its producer's; the alert's is that of the worker, whose clock may be behind.
_AFTER_MS = 2_000
_FETCH_WAIT_MS = 20
_SILENT_S = 1.0
_PAST_END = 1_000
#: Enough to leave records alone that are not sought; what it takes for an id is then decoded as everywhere else.
_ID = re.compile(rb'"event_id"\s*:\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        events: by time: ``event_id``, ``stream``, ``time_us``, ``row``.
        missing: ids that were not found.
        records: read.
        hurried: the time was over before all that may hold them was read.
    """

    events: list[dict[str, Any]]
    missing: list[str]
    records: int
    hurried: bool = False


class Contributing:
    """Seeks, one alert at a time; the last results are kept.

    Args:
        client: settings of a Kafka client.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._one = asyncio.Lock()
        self._known: OrderedDict[str, Found] = OrderedDict()

    async def of(self, alert: Mapping[str, Any], streams: Sequence[Stream], received_ms: int) -> Found:
        """The events of an alert.

        Args:
            alert: as on the topic.
            streams: that its rule reads.
            received_ms: when the alert was written.
        """
        name = str(alert["id"])
        if name in self._known:
            return self._known[name]
        async with self._one:
            if name in self._known:
                return self._known[name]
            try:
                found = await self._seek(alert, streams, received_ms)
            except (KafkaError, OSError) as error:  # a viewer: the alert itself is shown all the same
                _log.warning("dashboard.events_not_read", alert=name, error=repr(error))
                return Found([], list(alert["events"]), 0)
        if not found.hurried:
            self._known[name] = found
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return found

    async def _seek(self, alert: Mapping[str, Any], streams: Sequence[Stream], received_ms: int) -> Found:
        ids = [str(one) for one in alert["events"]]
        search = Search(streams, ids)
        if not ids or not streams:
            return search.result()
        reader = AIOKafkaConsumer(
            **for_aiokafka(self._client),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        await reader.start()
        try:
            await _read_backwards(reader, search, await _where(reader, streams, alert["key"], received_ms))
        finally:
            await reader.stop()
        return search.result()


class Search:
    """What is sought, and what was found.

    Args:
        streams: by whose declaration records are decoded.
        ids: of events.
    """

    def __init__(self, streams: Sequence[Stream], ids: Sequence[str]) -> None:
        self._streams = {stream.topic: stream for stream in streams}
        self._ids = list(dict.fromkeys(ids))
        self._sought = set(self._ids)
        self._events: list[dict[str, Any]] = []
        self.records = 0
        self.hurried = False

    @property
    def done(self) -> bool:
        """Whether all are found."""
        return not self._sought

    def take(self, topic: str, value: bytes | None) -> None:
        """Look at a record."""
        self.records += 1
        stream = self._streams[topic]
        named = EVENT_ID in stream.by_name
        if value is None or (named and not self._may_be(value)):
            return
        try:
            row = stream.decoder.decode(value)
        except EventError:
            return
        identity = str(getattr(row, stream.by_name[EVENT_ID].attr)) if named else event_digest(row)
        if identity in self._sought:
            self._sought.discard(identity)
            time_us = getattr(row, stream.time_attr) * (1000 if stream.time_unit == "ms" else 1)
            plain = msgspec.to_builtins(row)
            self._events.append({"event_id": identity, "stream": stream.name, "time_us": time_us, "row": plain})

    def _may_be(self, value: bytes) -> bool:
        found = _ID.search(value)
        if found is None or b"\\" in found[1]:
            return True  # written otherwise: the decoder knows
        return found[1].decode(errors="replace") in self._sought

    def result(self) -> Found:
        """What is known so far."""
        events = sorted(self._events, key=lambda one: one["time_us"])
        missing = [one for one in self._ids if one in self._sought]
        return Found(events, missing, self.records, hurried=self.hurried and bool(missing))


async def _where(
    reader: AIOKafkaConsumer, streams: Sequence[Stream], key: Mapping[str, Any], received_ms: int
) -> dict[TopicPartition, tuple[int, int]]:
    """First offset, and the one at which to begin to go backwards, of every partition to be read."""
    tps = []
    for stream in streams:
        numbers = sorted(await _partitions(reader, stream.topic))
        tps += [TopicPartition(stream.topic, n) for n in _partition_of(stream, key, len(numbers)) or numbers]
    if not tps:
        return {}
    first, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    after = await reader.offsets_for_times(dict.fromkeys(tps, received_ms + _AFTER_MS))
    found = {}
    for tp in tps:
        later = after.get(tp)
        # Nothing is later: Kafka gives no answer, the embedded broker one without a time; and it names an end before the last
        # batch: go on from there to what is there.
        known = later is not None and later.timestamp >= 0
        found[tp] = first[tp], later.offset if known else ends[tp] + _PAST_END
    return found


async def _partitions(reader: AIOKafkaConsumer, topic: str) -> set[int]:
    await reader._client.add_topic(topic)  # noqa: SLF001 - without a subscription it asks for no topic
    return reader.partitions_for_topic(topic) or set()


def _partition_of(stream: Stream, key: Mapping[str, Any], count: int) -> list[int]:
    """The partition of the alert's events; empty: its key does not say."""
    if not stream.key or not count or any(column not in key or key[column] is None for column in stream.key):
        return []
    values = [key[column] for column in stream.key]
    text = str(values[0]) if len(values) == 1 else orjson.dumps(values, default=str).decode()
    return [keyed_partition(text.encode(), count)]


async def _read_backwards(
    reader: AIOKafkaConsumer, search: Search, where: Mapping[TopicPartition, tuple[int, int]]
) -> None:
    """Block after block, the newest first, of all partitions in turn."""
    until_s = time.monotonic() + MOST_SECONDS
    ends = {tp: end for tp, (first, end) in where.items() if end > first}
    while ends and not search.done and search.records < MOST_RECORDS and time.monotonic() < until_s:
        block = {tp: (max(where[tp][0], end - BLOCK), end) for tp, end in ends.items()}
        await _read(reader, search, block, until_s)
        search.hurried = time.monotonic() >= until_s
        ends = {tp: begin for tp, (begin, _) in block.items() if begin > where[tp][0]}


async def _read(
    reader: AIOKafkaConsumer, search: Search, block: Mapping[TopicPartition, tuple[int, int]], until_s: float
) -> None:
    reader.assign(list(block))
    for tp, (begin, _) in block.items():
        reader.seek(tp, begin)
    open_ = set(block)
    heard_s = time.monotonic()
    while open_ and not search.done and time.monotonic() < min(until_s, heard_s + _SILENT_S):
        for tp, records in (await reader.getmany(timeout_ms=100, max_records=1_000)).items():
            heard_s = time.monotonic()
            for record in records:
                if record.offset < block[tp][1]:
                    search.take(tp.topic, record.value)
            if records[-1].offset + 1 >= block[tp][1]:
                open_.discard(tp)
                reader.pause(tp)
        await asyncio.sleep(0)  # others want the loop as well
