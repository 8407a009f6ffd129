"""How workers are: each writes a record a second to ``m1cep.status.v1``, and one without a value at a clean end.

The key is the process, ``GROUP/HOST/PID``. A worker whose newest record is old has died without a word.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

import msgspec
import orjson
import structlog
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from streams import codec
from streams.agents.vitals import Rate
from streams.codec import Message
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from streams.agents.outbox import Outbox
    from streams.agents.vitals import Vitals
    from streams.config import Settings

_log = structlog.get_logger(__name__)

EVERY_S = 1.0
#: A worker that has written nothing for so long is gone.
GONE_AFTER_MS = 10_000
_SOURCE = "/m1cep/worker"
_AGAIN_AFTER_S = 30.0
_ACK_TIMEOUT_S = 3.0
_READ_S = 5.0
_TAIL = 2_000  # records in which every worker that lives has written one


def status_of(vitals: Vitals, *, ready: bool, events_per_s: float, now_ms: int) -> dict[str, Any]:
    """The record of a worker, see docs/metrics.md."""
    stats = vitals.stats
    latencies = [found for one in stats.values() if (found := one.latency.recent_ms())]
    times_ms = [at for one in stats.values() for at in one.event_time_ms.values()]
    behind_ms = [ms for one in stats.values() for ms in one.watermark_behind_ms.values()]
    return {
        "worker": vitals.key,
        "group": vitals.group,
        "host": vitals.host,
        "pid": vitals.pid,
        "time_ms": now_ms,
        "started_ms": vitals.started_ms,
        "ready": ready,
        "events_per_s": round(events_per_s, 1),
        "agents": {name: one.as_dict() for name, one in stats.items()},
        "rules": [rule.as_dict() for one in stats.values() for rule in one.rules.values()],
        "watermark_lag_ms": {tp: lag for one in stats.values() for tp, lag in one.watermark_lag_ms.items()},
        "event_time": {"newest_ms": max(times_ms), "behind_ms": max(behind_ms, default=0)} if times_ms else None,
        "alert_latency_ms": max(latencies, key=lambda one: one["count"]) if latencies else None,
        "web": vitals.web,
    }


class StatusWriter:
    """Tells how a worker is. A topic that is missing, or that we may not write to, is said once and costs nothing else.

    Args:
        vitals: of the worker.
        ready: whether it is.
        outbox: where the records go.
    """

    def __init__(self, vitals: Vitals, ready: Callable[[], bool], outbox: Outbox) -> None:
        self._vitals, self._ready, self._outbox = vitals, ready, outbox
        self._rate = Rate()
        self._wrote = False

    async def run(self) -> None:
        """Once a second, for ever."""
        while True:
            pause_s = await self._tell()
            await asyncio.sleep(pause_s)

    async def _tell(self) -> float:
        """Write a record; seconds until the next one is due."""
        try:
            if not (self._wrote or await self._may_write()):
                return _AGAIN_AFTER_S
            await self._write(self._body())
        except (KafkaError, ServerError, TimeoutError) as error:
            denied = isinstance(error, ServerError | TopicAuthorizationFailedError)
            if self._wrote or denied:  # once, not every second
                _log.warning("status.not_written", topic=codec.STATUS, reason=str(error) or repr(error))
            self._wrote = False
            return _AGAIN_AFTER_S if denied else EVERY_S
        self._wrote = True
        return EVERY_S

    async def end(self) -> None:
        """A clean end: the worker is no longer there."""
        if self._wrote:
            try:
                await self._write(None)
            except (KafkaError, TimeoutError) as error:
                _log.debug("status.not_written", reason=repr(error))

    async def _may_write(self) -> bool:
        async with asyncio.timeout(_ACK_TIMEOUT_S):
            found = await self._outbox.look([codec.STATUS])
        if not found.partitions.get(codec.STATUS):
            _log.warning("status.no_topic", topic=codec.STATUS, remedy="m1cep topics create")
            return False
        return True

    def _body(self) -> bytes:
        events = sum(one.events.total() for one in self._vitals.stats.values())
        rate = self._rate.of(events, time.monotonic())
        return orjson.dumps(
            status_of(self._vitals, ready=self._ready(), events_per_s=rate, now_ms=time.time_ns() // 1_000_000)
        )

    async def _write(self, value: bytes | None) -> None:
        key = self._vitals.key.encode()
        about = codec.headers(f"{self._vitals.key}/{time.time_ns()}", "m1cep.status.v1", _SOURCE, None)
        async with asyncio.timeout(_ACK_TIMEOUT_S):  # a broker that is silent is watched for elsewhere
            written = await self._outbox.send(Message(codec.STATUS, key, value, about))
            await asyncio.shield(written)


class _Worker(msgspec.Struct):
    """What every record must be, and what readers take for granted of one that says less, as another version may."""

    worker: str
    time_ms: int
    group: str = ""
    ready: bool = False
    events_per_s: float = 0.0
    agents: dict[str, dict[str, Any]] = {}
    rules: list[dict[str, Any]] = []
    watermark_lag_ms: dict[str, Any] = {}
    alert_latency_ms: dict[str, Any] | None = None
    web: str | None = None


def _read(value: bytes) -> dict[str, Any] | None:
    """A worker's record; None: it is none. Whoever may write to the topic can put anything there."""
    try:
        found: dict[str, Any] = orjson.loads(value)
        return msgspec.structs.asdict(msgspec.convert(found, _Worker)) | found
    except (orjson.JSONDecodeError, msgspec.ValidationError, RecursionError):
        return None


def newest(records: Iterable[tuple[bytes | None, bytes | None]], now_ms: int) -> list[dict[str, Any]]:
    """The workers of records (key and value, in their order), with ``age_ms`` and ``alive``; those that ended are left out."""
    found: dict[bytes | None, dict[str, Any]] = {}
    for key, value in records:
        found.pop(key, None)
        if value is not None and (worker := _read(value)) is not None:
            found[key] = worker
    workers = sorted(found.values(), key=lambda one: str(one["worker"]))
    for one in workers:
        one["age_ms"] = max(0, now_ms - one["time_ms"])
        one["alive"] = one["age_ms"] <= GONE_AFTER_MS
    return workers


class StatusReader:
    """Reads the topic without a group. Use as a context manager.

    Args:
        settings: where the broker is.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """

    def __init__(self, settings: Settings) -> None:
        from contextlib import ExitStack

        from kafka import TopicPartition

        from streams.topics import consumer

        self._newest: dict[bytes | None, tuple[bytes | None, bytes | None]] = {}
        with ExitStack() as stack:
            self._reader = stack.enter_context(consumer(settings, auto_offset_reset="earliest"))
            if not self._reader.partitions_for_topic(codec.STATUS):
                raise ServerError(
                    f"the broker at {settings.broker} has no topic {codec.STATUS}", "make it: m1cep topics create"
                )
            tp = TopicPartition(codec.STATUS, 0)
            self._reader.assign([tp])
            first, end = self._reader.beginning_offsets([tp])[tp], self._reader.end_offsets([tp])[tp]
            self._reader.seek(tp, max(first, end - _TAIL))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)  # says what the broker's errors mean

    def look(self) -> list[dict[str, Any]]:
        """All workers as they are now, see ``newest``."""
        until_s = time.monotonic() + _READ_S  # so many workers may be writing that the end is never reached
        while (found := self._reader.poll(timeout_ms=300)) and time.monotonic() < until_s:
            for record in next(iter(found.values())):
                self._newest.pop(record.key, None)
                self._newest[record.key] = (record.key, record.value)
        return newest(self._newest.values(), time.time_ns() // 1_000_000)
