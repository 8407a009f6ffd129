"""What is seen of a soak while it runs: offsets in the broker, alerts as they come, memory; second by second."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.demo.score import Marks
from streams.demo.tail import LineTail
from streams.soak.compare import Received
from streams.soak.crew import rss_mb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from streams.config import Settings
    from streams.demo.tail import TopicTail
    from streams.soak.crew import Crew
    from streams.soak.load import LoadEnd
    from streams.soak.memory import Life

ASK_EVERY_S = 0.5
SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class OffsetSample:
    """The group's progress: what was asked at ``asked_s`` of a monotonic clock."""

    asked_s: float
    committed: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int] | None  # when they were asked for

    @property
    def processed(self) -> int:
        """Records processed and safe."""
        return sum(self.committed.values())


class Offsets:
    """Asks the broker again and again, in a thread, how far a group is; a broker that does not answer is asked again.

    Args:
        settings: where the broker is.
        group: the consumer group.
        topics, partitions: what it reads; the topics were empty at the start.
    """

    def __init__(self, settings: Settings, group: str, topics: Sequence[str], partitions: int) -> None:
        self._group = group
        self._tps = [TopicPartition(topic, p) for topic in topics for p in range(partitions)]
        client = settings.client_settings()
        self._admin = KafkaAdminClient(**client, request_timeout_ms=5000)
        self._consumer = KafkaConsumer(**client, enable_auto_commit=False, group_id=None, request_timeout_ms=5000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="soak-offsets", daemon=True)
        self._with_ends = threading.Event()
        self.latest: OffsetSample | None = None

    def ask_for_ends(self) -> None:
        """Have the next answer tell also where the partitions end: that costs the embedded broker much."""
        self._with_ends.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _ask(self) -> None:
        while not self._stop.wait(ASK_EVERY_S):
            asked_s = time.monotonic()
            try:
                ends = self._consumer.end_offsets(self._tps) if self._with_ends.is_set() else None
                found = self._admin.list_group_offsets({self._group: self._tps})[self._group]
            except KafkaError:
                continue
            if ends is not None:
                self._with_ends.clear()
            committed = {tp: at.offset for tp, at in found.items() if at.offset >= 0}
            self.latest = OffsetSample(asked_s, committed, ends)
        self._admin.close()
        self._consumer.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of a soak.

    Attributes:
        at_s: from the start of the load.
        sent: records.
        processed: records processed and safe.
        alerts: distinct ones that came.
        rss_mb: of each worker process, by number and life.
        broker_mb: of the embedded broker.
    """

    at_s: float
    sent: int
    processed: int
    alerts: int
    rss_mb: Mapping[str, float]
    broker_mb: float | None

    @property
    def lag(self) -> int:
        """Records sent and not yet safe."""
        return max(0, self.sent - self.processed)


@dataclass
class Watch:
    """Takes in what is new at each ``look``.

    Attributes:
        marks: what was sent when.
        received: the alerts.
        latencies: wall seconds at which the alert's last event was sent, and ms from then until the alert could be read.
        end: what the load has told in the end.
    """

    folder: Path
    crew: Crew
    offsets: Offsets
    tail: TopicTail
    broker_pid: int | None
    marks: Marks = field(default_factory=Marks)
    received: Received = field(default_factory=Received)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    end: LoadEnd | None = None
    started_s: float = 0.0  # wall
    began_s: float = 0.0  # of a monotonic clock, the same moment

    def __post_init__(self) -> None:
        self._lines = LineTail(self.folder / "marks")

    def begin(self) -> None:
        """The load begins now."""
        self.started_s, self.began_s = time.time(), time.monotonic()

    @property
    def processed(self) -> int:
        """Records processed and safe."""
        return self.offsets.latest.processed if self.offsets.latest else 0

    @property
    def sent(self) -> int:
        """Records sent, those of the end included once it has come."""
        return self.end.events + self.end.damaged + self.end.repeated if self.end else self.marks.sent

    def look(self) -> None:
        """Take in what has happened since the last look; keep a sample every second."""
        for line in self._lines.lines():
            self._take(orjson.loads(line))
        for value, wall_s in self.tail.take():
            alert = self.received.add(value)
            sent_s = self.marks.sent_at_s(alert["event_time"]) if alert else None
            if alert and sent_s is not None and (self.end is None or alert["event_time"] < self.end.closed_ms):
                self.latencies.append((sent_s, (wall_s - sent_s) * 1000))
        at_s = time.time() - self.started_s
        if not self.samples or at_s - self.samples[-1].at_s >= SAMPLE_EVERY_S:
            self.samples.append(self._sample(at_s))

    def lives(self) -> list[Life]:
        """Memory over time of each worker process."""
        found: dict[str, Life] = {}
        for sample in self.samples:
            for name, mb in sample.rss_mb.items():
                found.setdefault(name, []).append((sample.at_s, mb))
        return list(found.values())

    def _take(self, mark: Any) -> None:
        from streams.soak.load import LoadEnd

        if isinstance(mark, dict):
            self.end = LoadEnd(**mark["end"])
        else:
            self.marks.add([*mark, 0])

    def _sample(self, at_s: float) -> Sample:
        rss = {worker.name: worker.rss_mb() for worker in self.crew.workers.values()}
        return Sample(
            at_s=round(at_s, 2),
            sent=self.sent,
            processed=self.processed,
            alerts=len(self.received.by_id),
            rss_mb={name: round(mb, 1) for name, mb in rss.items() if mb is not None},
            broker_mb=rss_mb(self.broker_pid),
        )
