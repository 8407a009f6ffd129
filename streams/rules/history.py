"""Events of the past from topics, as files that a replay can read."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING, BinaryIO, cast

from kafka import TopicPartition

from streams.errors import ServerError, UsageError
from streams.topics import consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kafka import KafkaConsumer

    from m1cep import Stream
    from streams.config import Settings

_UNITS_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"(\d+)\s*(s|min|h|d)")
_IN_MEMORY = 16 * 1024 * 1024  # of a stream, before it goes to the disk


def time_ms(text: str, option: str, now_ms: int) -> int:
    """A moment (epoch, milliseconds) from RFC 3339 text, or so long ago, such as ``7 d``, ``12h``, ``90min``.

    Raises:
        UsageError: it is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"{option} expects a time such as 2026-05-01T00:00:00Z, or how long ago, such as 7d, 12h, 90min; got {text!r}"
        )
    return round(moment.timestamp() * 1000)


@contextmanager
def history(
    settings: Settings,
    streams: Iterable[Stream],
    from_ms: int,
    to_ms: int,
    on_records: Callable[[int], None] = lambda _count: None,
) -> Iterator[Mapping[str, tuple[Stream, BinaryIO]]]:
    """What topics hold of a time, by stream: one event a line, in the order in which the broker has got them.

    Args:
        settings: where the broker is.
        streams: base streams to be read.
        from_ms: of the records' times; ``to_ms``: the first that is not wanted.
        to_ms: see there.
        on_records: called with how many were read, for a progress bar.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(consumer(settings))
        found: dict[str, tuple[Stream, BinaryIO]] = {}
        for stream in streams:
            numbers = reader.partitions_for_topic(stream.topic)
            if not numbers:
                raise ServerError(f"the broker at {settings.broker} has no topic {stream.topic}")
            parts = [
                stack.enter_context(_part(reader, TopicPartition(stream.topic, n), from_ms, to_ms, on_records))
                for n in sorted(numbers)
            ]
            whole = cast("BinaryIO", stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY)))
            for _, line in merge(*(_lines(part) for part in parts), key=lambda one: one[0]):
                whole.write(line)
            whole.seek(0)
            found[stream.name] = stream, whole
        yield found


@contextmanager
def _part(
    reader: KafkaConsumer, tp: TopicPartition, from_ms: int, to_ms: int, on_records: Callable[[int], None]
) -> Iterator[BinaryIO]:
    """The records of a partition: the record's time, a tab, the value on one line."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        reader.assign([tp])
        end = reader.end_offsets([tp])[tp]
        begin = reader.offsets_for_times({tp: from_ms}).get(tp)
        reader.seek(tp, begin.offset if begin is not None else end)
        # The embedded broker names an end before the last batch: what is behind it comes with the same answers.
        while (found := reader.poll(timeout_ms=200)) or reader.position(tp) < end:
            records = found.get(tp, ())
            for record in records:
                if from_ms <= record.timestamp < to_ms and record.value is not None:
                    # A line end within a text is written as an escape in JSON: any other is between its parts.
                    value = record.value.replace(b"\r", b" ").replace(b"\n", b" ")
                    file.write(b"%d\t%b\n" % (record.timestamp, value))
            on_records(len(records))
            if records and records[-1].timestamp >= to_ms:
                break
        file.seek(0)
        yield cast("BinaryIO", file)


def _lines(part: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for line in part:
        time, _, value = line.partition(b"\t")
        yield int(time), value
