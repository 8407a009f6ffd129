"""Files in, alerts out: the engine over newline-delimited JSON, with the streams merged by event time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from m1cep import Alert, Engine, EventError, Lookups, Rule
from streams.codec import raw_value
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from m1cep import Stream

#: Of lines read at once: they and their rows stay in the processor's cache until the rules are through.
BATCH_BYTES = 65_536


@dataclass
class Counts:
    """What a replay saw."""

    events: int = 0
    alerts: int = 0
    dead_letters: int = 0
    late: int = 0
    duplicates: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)


@dataclass
class _File:
    """One stream's lines, read in batches."""

    stream: Stream
    lines: BinaryIO
    line: int = 0  # number of lines read
    time: int = -(2**63)  # event time of the newest row read: the file that is furthest behind is read next

    def batch(self) -> tuple[list[bytes], int]:
        """The next lines and the number of the first; none at the end."""
        first = self.line + 1
        lines = self.lines.readlines(BATCH_BYTES)
        self.line += len(lines)
        return lines, first


def replay(
    rules: list[Rule],
    inputs: Mapping[str, tuple[Stream, BinaryIO]],
    *,
    on_alert: Callable[[Alert], None],
    on_dead_letter: Callable[[bytes], None] = lambda _letter: None,
    on_bytes: Callable[[int], None] | None = None,
    lookups: Lookups | None = None,
    strict: bool = False,
    seen: int = 0,
) -> Counts:
    """Run rules over files.

    Args:
        rules: what to run.
        inputs: by stream name, the stream and its lines.
        on_alert: called for each alert, in order.
        on_dead_letter: called with a JSON object for each line that is no event of its stream, and each late event.
        on_bytes: called with the number of bytes read, for a progress bar.
        lookups: lists and parameters for the rules.
        strict: a bad line ends the replay.
        seen: repetitions of the last so many events of a stream are dropped, as a worker does.

    Raises:
        ShellError: strict, and a line is bad.
    """
    engine, counts = Engine(rules, lookups, seen), Counts()

    def emit(alerts: list[Alert]) -> None:
        for alert in alerts:
            counts.alerts += 1
            counts.by_rule[alert.rule] = counts.by_rule.get(alert.rule, 0) + 1
            on_alert(alert)

    with rare_collections():
        for name in engine.inputs - set(inputs):
            emit(engine.end(name))  # no file for it: it holds nobody back
        for stream, rows, numbers in read(inputs, counts, on_dead_letter, on_bytes, strict=strict):
            if rows is None:
                emit(engine.end(stream.name))
                continue
            emit(engine.push_rows(stream.name, rows))
            for late in engine.take_late():
                counts.late += 1
                number = numbers(late.index)
                on_dead_letter(_late_letter(stream, late.row, number, late.reason, late.watermark))
        emit(engine.finish())
    counts.duplicates = engine.duplicates
    return counts


def read(
    inputs: Mapping[str, tuple[Stream, BinaryIO]],
    counts: Counts,
    on_dead_letter: Callable[[bytes], None],
    on_bytes: Callable[[int], None] | None = None,
    *,
    strict: bool = False,
) -> Iterator[tuple[Stream, list[Any] | None, Callable[[int], int]]]:
    """The rows of files, in batches of the file that is furthest behind in event time; None for rows at a file's end.

    With them comes a function that gives a row's line number by its index. Events and dead letters are counted.
    """
    files = [_File(stream, lines) for stream, lines in inputs.values()]
    while files:
        file = min(files, key=lambda f: f.time)
        lines, first = file.batch()
        if not lines:
            files.remove(file)
            yield file.stream, None, int
            continue
        if on_bytes is not None:
            on_bytes(sum(map(len, lines)))
        rows, numbers = _decode(file.stream, lines, first, counts, on_dead_letter, strict=strict)
        if rows:
            counts.events += len(rows)
            file.time = max(file.time, _time(file.stream, rows[-1]))
            yield file.stream, rows, numbers


@contextmanager
def rare_collections() -> Iterator[None]:
    """Python's cycle collector looks less often, and not at what was there before.

    Rules make many short-lived objects and no cycles; looking through all that the program has imported, again and again, would
    cost more than a rule. As it was afterwards.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _decode(
    stream: Stream,
    lines: list[bytes],
    first: int,
    counts: Counts,
    on_dead_letter: Callable[[bytes], None],
    *,
    strict: bool,
) -> tuple[list[Any], Callable[[int], int]]:
    """Rows of lines, and the line number of each row by its index."""
    longest = max(BATCH_BYTES, len(lines[-1]))  # those before the last are no more than BATCH_BYTES together
    rows, errors, index = stream.decode_many(lines, longest)
    for i, error in errors:
        if not lines[i].strip():
            continue  # a blank line is not an event
        counts.dead_letters += 1
        if strict:
            raise ShellError(f"line {first + i} of stream {stream.name}: {error.reason}", "leave out --strict to go on")
        on_dead_letter(_dead_letter(stream, lines[i], first + i, error))
    return rows, (lambda i: first + i) if index is None else (lambda i: first + index[i])


def _time(stream: Stream, row: Any) -> int:
    time: int = getattr(row, stream.time_attr)
    return time


def _dead_letter(stream: Stream, raw: bytes, line: int, error: EventError) -> bytes:
    about = {"stream": stream.name, "line": line, "reason": error.reason, "column": error.column}
    return orjson.dumps(about | raw_value(raw.rstrip(b"\r\n")))


def _late_letter(stream: Stream, row: msgspec.Struct, line: int, reason: str, watermark: int) -> bytes:
    why = f"{reason}: older than the watermark {watermark}"
    about = {"stream": stream.name, "line": line, "reason": why, "column": stream.time_column}
    return orjson.dumps(about | raw_value(msgspec.json.encode(row)))
