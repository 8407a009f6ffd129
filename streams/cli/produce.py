"""``m1cep produce``: lines of a file, or of standard input, as events on a stream's topic."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.cli.output import counted
from streams.cli.progress import ProgressBar
from streams.config import load_settings
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from m1cep.model.stream import Stream

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_PROGRESS_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    raw: bytes
    key: bytes | None
    due_ms: float | None  # event time; None: not asked for, or not there


def produce(
    stream: Annotated[str, typer.Option(help="Name of the stream, as declared.", autocompletion=complete.streams)],
    file: Annotated[Path, typer.Option(help="JSON, one event a line; - is standard input.")] = Path("-"),
    streams: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Further streams: a file of CREATE TABLE.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time, by the events' own times. Default: at once.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Send every line as it is, even one that is no event.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Send events to a stream's topic, each with the stream's key.

    A line that is no JSON object with the key column ends it, unless --raw: then it goes out as it is, without a key.

    Example: m1cep produce --stream orders --file orders.ndjson --speed 10
    """
    from streams.files import load_streams
    from streams.producer import Producer

    settings = load_settings()
    declared = {**load_streams(None), **(load_streams(streams) if streams else {})}
    writable = sorted(name for name, known in declared.items() if known.topic)
    if stream not in writable:
        raise UsageError(f"no stream {stream!r} that can be written to", f"streams are {', '.join(writable)}")
    target = declared[stream]
    interrupted = False
    began_s = time.monotonic()
    with _opened(file) as source, Producer(settings.client_settings(), {stream: target}) as producer:
        clock = _Pace(speed) if speed else None
        try:
            with ProgressBar(f"sending to {target.topic}", total=_size(file)) as bar:
                done_bytes = 0
                for line in _lines(source, str(file), target, timed=speed is not None, raw=raw):
                    if clock and line.due_ms is not None:
                        clock.wait(line.due_ms)
                    producer.send(stream, line.raw, line.key)
                    done_bytes += len(line.raw) + 1
                    if line.number % _PROGRESS_EVERY == 0 or clock:
                        bar.update(done_bytes)
        except KeyboardInterrupt:
            interrupted = True  # what was sent is still flushed
        except UsageError as error:
            producer.flush()
            raise UsageError(
                f"{error.message}; {producer.counts.acknowledged} events before it were sent", error.remedy
            ) from error
    seconds = time.monotonic() - began_s
    counts = producer.counts
    if as_json:
        facts = {"stream": stream, "topic": target.topic, "events": counts.acknowledged, "bytes": counts.bytes}
        facts |= {
            "seconds": round(seconds, 3),
            "events_per_s": round(counts.acknowledged / seconds),
            "interrupted": interrupted,
        }
        typer.echo(orjson.dumps(facts))
    else:
        rate = f"{counts.acknowledged / seconds:,.0f} events/s"
        typer.echo(f"{counted(counts.acknowledged, 'event')} sent to {target.topic} in {seconds:.2f} s ({rate})")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


class _Pace:
    """Keeps events apart as their times are, ``speed`` times faster."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: tuple[float, float] | None = None

    def wait(self, due_ms: float) -> None:
        now_s = time.monotonic()
        if self._first is None:
            self._first = (now_s, due_ms)
        began_s, first_ms = self._first
        ahead_s = began_s + (due_ms - first_ms) / 1000 / self._speed - now_s
        if ahead_s > 0:
            time.sleep(ahead_s)


def _opened(file: Path) -> AbstractContextManager[IO[bytes]]:
    if str(file) == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _size(file: Path) -> int | None:
    return file.stat().st_size if str(file) != "-" and file.is_file() else None


def _lines(source: IO[bytes], name: str, stream: Stream, *, timed: bool, raw: bool) -> Iterator[_Line]:
    """The lines that are not empty, with the key, and when pacing with the time.

    Raises:
        UsageError: a line is no event, unless ``raw``.
    """
    from streams.producer import key_of

    for number, line in enumerate(source, start=1):
        content = line.rstrip(b"\r\n")
        if not content.strip():
            continue
        try:
            event = orjson.loads(content)
            missing = [column for column in stream.key if event.get(column) is None]
        except (orjson.JSONDecodeError, AttributeError) as error:
            if raw:
                yield _Line(number, content, None, None)
                continue
            what = str(error) if isinstance(error, orjson.JSONDecodeError) else "it is not an object"
            raise UsageError(
                f"{name}, line {number}: expected a JSON object, one a line: {what}", "see --raw"
            ) from None
        if missing and not raw:
            raise UsageError(
                f"{name}, line {number}: the event has no {missing[0]}, which is the key of {stream.name}", "see --raw"
            )
        due_ms = None
        if timed:
            due_ms = _time_ms(event.get(stream.time_column), stream.time_unit)
            if due_ms is None and not raw:
                raise UsageError(
                    f"{name}, line {number}: --speed needs the event's time in {stream.time_column}", "see --raw"
                )
        yield _Line(number, content, None if missing else key_of(stream.key, event), due_ms)


def _time_ms(value: Any, unit: str) -> float | None:
    """Event time as epoch ms; None when it is not one."""
    from m1cep.model.time import parse_rfc3339

    try:
        number = parse_rfc3339(value, unit) if isinstance(value, str) and not value.isdigit() else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number / 1000 if unit == "us" else float(number)
