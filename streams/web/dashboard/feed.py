"""Reads the dashboard's topics: as a viewer, in no consumer group, committing nothing; from so many records back.

Until everything that was there at the start has been read nothing is told to browsers; alerts of several partitions are put into
the order of their time.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.codec import ALERTS
from streams.security import for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = structlog.get_logger(__name__)

#: A page waits for nobody: asking less often spares the broker.
_FETCH_WAIT_MS = 100
_MOST_RECORDS = 1_000
#: A topic that says it has more than comes: the embedded broker, or records that were deleted meanwhile.
_CATCH_UP_S = 30.0
_ALL = 1 << 62


@dataclass(frozen=True)
class Source:
    """A topic that is read.

    Attributes:
        take: gets each record.
        tail: how many records back to begin, of all partitions together; None: at the beginning.
    """

    topic: str
    take: Callable[[Any], None]
    tail: int | None = None


class Feed:
    """Hands records to those who keep them.

    Args:
        client: settings of a Kafka client.
        sources: what to read; topics that are not there are left out.
        alerts_begin: told at which offset of each partition alerts begin, before the first record.
        caught_up: told when everything that was there has been read.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        sources: Sequence[Source],
        alerts_begin: Callable[[tuple[int, ...]], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._client = client
        self._sources = {one.topic: one for one in sources}
        self._alerts_begin, self._caught_up = alerts_begin, caught_up
        self._reader: AIOKafkaConsumer | None = None
        self.records = 0

    async def run(self, counts: Mapping[str, int]) -> None:
        """Until cancelled.

        Args:
            counts: number of partitions of the topics that exist.

        Raises:
            KafkaError: the broker refuses something.
        """
        self._reader = reader = AIOKafkaConsumer(
            **for_aiokafka(self._client),
            client_id="m1cep-dashboard",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            metadata_max_age_ms=60_000,
        )
        await reader.start()
        ends = await self._begin(reader, counts)
        await self._catch_up(reader, ends)
        self._caught_up()
        while True:
            for tp, records in (await reader.getmany(timeout_ms=1_000, max_records=_MOST_RECORDS)).items():
                self._hand(tp.topic, records)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Let go of the broker."""
        if self._reader is not None:
            await self._reader.stop()

    async def _begin(self, reader: AIOKafkaConsumer, counts: Mapping[str, int]) -> dict[TopicPartition, int]:
        tps = [TopicPartition(topic, n) for topic in self._sources for n in range(counts.get(topic, 0))]
        reader.assign(tps)
        first, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        for tp in tps:
            tail = self._sources[tp.topic].tail
            back = _ALL if tail is None else tail // counts[tp.topic]
            first[tp] = max(first[tp], ends[tp] - back)
            reader.seek(tp, first[tp])
        alerts = [first[TopicPartition(ALERTS, n)] for n in range(counts.get(ALERTS, 0))]
        self._alerts_begin(tuple(alerts))
        return {tp: end for tp, end in ends.items() if end > first[tp]}

    async def _catch_up(self, reader: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        alerts: dict[int, list[Any]] = {}
        until_s = time.monotonic() + _CATCH_UP_S
        while ends and time.monotonic() < until_s:
            for tp, records in (await reader.getmany(timeout_ms=200, max_records=_MOST_RECORDS)).items():
                if tp.topic == ALERTS:
                    alerts.setdefault(tp.partition, []).extend(records)
                else:
                    self._hand(tp.topic, records)
            ends = {tp: end for tp, end in ends.items() if await reader.position(tp) < end}
            await asyncio.sleep(0)
        if ends:
            _log.warning("dashboard.behind", partitions=len(ends))
        self._hand(ALERTS, list(heapq.merge(*alerts.values(), key=lambda record: record.timestamp or 0)))

    def _hand(self, topic: str, records: Sequence[Any]) -> None:
        take = self._sources[topic].take
        self.records += len(records)
        for record in records:
            try:
                take(record)
            except Exception as error:  # noqa: BLE001 - anybody may write to a topic; a page that shows the rest is better than none
                _log.warning("dashboard.record_refused", topic=topic, offset=record.offset, error=repr(error))
