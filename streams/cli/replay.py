"""``m1cep replay``: rules over files."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli import completion as complete
from streams.cli.options import Lookups, Streams  # noqa: TC001 - typer reads the annotations
from streams.cli.output import counted
from streams.config import load_settings
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from m1cep import Stream
    from streams.replay import Counts

_READ_BYTES = 131_072


def replay(  # noqa: PLR0913, PLR0917 - the options of a command
    rules: Annotated[
        list[Path] | None, typer.Argument(help="Rule files or folders; default: the packaged rules.")
    ] = None,
    streams: Streams = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE.ndjson, once for each stream; - is stdin.", autocompletion=complete.stream_files),
    ] = None,
    out: Annotated[str, typer.Option(help="Where alerts go, one JSON object a line; - is stdout.")] = "-",
    dead_letters: Annotated[
        str | None, typer.Option(help="Where lines that are no events go, with line number and reason.")
    ] = None,
    lookups: Lookups = None,
    seen: Annotated[
        int,
        typer.Option(
            min=0, help="Drop repetitions of the last so many events of a stream; a worker does so with 10000."
        ),
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="A bad line ends the replay with exit code 1.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary on stderr as JSON; alerts always are.")] = False,
) -> None:
    """Run rules over recorded events and write the alerts.

    Example: m1cep replay my_rules/ --events orders=orders.ndjson --events fills=fills.ndjson --out alerts.ndjson
    """
    from streams.files import load_rules, load_streams
    from streams.lookups import load_lookups
    from streams.replay import replay as run

    known = load_lookups(load_settings(lookups=lookups).lookups)
    declared = load_streams(streams)
    compiled = load_rules(rules, declared)
    with ExitStack() as stack:
        inputs = {name: (declared[name], open_events(file, stack)) for name, file in event_files(events, declared)}
        alerts = _writer(out, stack)
        letters = _writer(dead_letters, stack, 0o600) if dead_letters else lambda _letter: None
        progress = _progress([lines for _, lines in inputs.values()], stack)
        counts = run(
            compiled,
            inputs,
            on_alert=lambda alert: alerts(alert.to_json()),
            on_dead_letter=letters,
            on_bytes=progress,
            lookups=known,
            strict=strict,
            seen=seen,
        )
    print(_json_summary(counts) if as_json else _summary(counts), file=sys.stderr)


def event_files(events: list[str] | None, declared: dict[str, Stream]) -> list[tuple[str, str]]:
    """Stream and file of each ``--events``.

    Raises:
        UsageError: there is none, or one names no stream or one that was named before.
    """
    if not events:
        raise UsageError("expected events to replay", "--events NAME=FILE.ndjson, once for each stream")
    found: dict[str, str] = {}
    for item in events:
        name, equals, file = item.partition("=")
        if not equals or not file:
            raise UsageError(f"--events expects NAME=FILE, got {item!r}")
        if name not in declared or declared[name].is_view:
            base = ", ".join(n for n, s in declared.items() if not s.is_view)
            raise UsageError(f"--events {item}: there is no stream {name!r}", f"there are: {base}")
        if name in found:
            raise UsageError(f"--events names stream {name!r} twice", "put its events into one file")
        found[name] = file
    return list(found.items())


def open_events(file: str, stack: ExitStack) -> BinaryIO:
    """A file of events, closed with the stack; ``-`` is stdin."""
    if file == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(file).open("rb", buffering=_READ_BYTES))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _writer(file: str, stack: ExitStack, mode: int = 0o666) -> Callable[[bytes], None]:
    """A function that writes one line; a file made for it has the mode, less the umask. Dead letters hold events as they came."""
    if file == "-":
        output: BinaryIO = sys.stdout.buffer
    else:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            output = stack.enter_context(os.fdopen(descriptor, "wb"))
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from error

    def write(line: bytes) -> None:
        output.write(line)
        output.write(b"\n")

    stack.callback(output.flush)
    return write


def _progress(inputs: list[BinaryIO], stack: ExitStack) -> Callable[[int], None] | None:
    """Counts bytes into a bar on stderr, when that is a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    files = [f for f in inputs if f is not sys.stdin.buffer]
    total = sum(Path(f.name).stat().st_size for f in files) if len(files) == len(inputs) else None
    columns = (TextColumn("replay"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("replay", total=total)
    return lambda count: bar.advance(task, count)


def _json_summary(counts: Counts) -> str:
    return orjson.dumps({"summary": asdict(counts)}).decode()


def _summary(counts: Counts) -> str:
    rules = ", ".join(f"{name} {count}" for name, count in sorted(counts.by_rule.items()))
    text = f"{counted(counts.events, 'event')}, {counted(counts.alerts, 'alert')}" + (f" ({rules})" if rules else "")
    text += f", {counted(counts.dead_letters, 'bad line')}, {counted(counts.late, 'late event')}"
    return text + (f", {counted(counts.duplicates, 'repetition')}" if counts.duplicates else "")
