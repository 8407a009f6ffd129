"""``m1cep rules backtest``: rules on history, before anyone deploys them."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli.options import Lookups, Streams  # noqa: TC001 - typer reads the annotations
from streams.cli.output import counted, event_moment
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from m1cep import Rule, Stream
    from streams.config import Settings


def backtest(  # noqa: PLR0913, PLR0917 - the options of a command
    files: Annotated[list[Path], typer.Argument(help="Rule files or folders.")],
    events: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE.ndjson, once for each stream; - is stdin.")
    ] = None,
    topics: Annotated[
        bool, typer.Option("--topics", help="Read the events from the topics of the rules' streams.")
    ] = False,
    from_: Annotated[
        str, typer.Option("--from", help="Of --topics: RFC 3339, or how long ago: 7d, 12h, 90min.")
    ] = "1d",
    to: Annotated[str | None, typer.Option(help="Of --topics: until then; default: now.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this version of the rules topic; default: the one in force.")
    ] = None,
    packaged: Annotated[
        bool, typer.Option("--packaged", help="Compare with the packaged rule of the same id.")
    ] = False,
    streams: Streams = None,
    lookups: Lookups = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object a rule.")] = False,
) -> None:
    """Run rules on history: alerts a day, the keys with the most, and what is different from the version in force.

    Versions are compared by key and event time of their alerts. Lists and parameters are those of now.

    Example: m1cep rules backtest my_rules/big_orders.sql --topics --from 7d
    """
    from streams.config import load_settings
    from streams.files import load_rules, load_streams
    from streams.lookups import load_lookups
    from streams.rules.backtest import backtest as run

    if bool(events) == topics:
        raise UsageError("expected events to run on", "either --events NAME=FILE.ndjson, or --topics")
    if packaged and against:
        raise UsageError("--packaged and --against exclude each other")
    settings = load_settings(lookups=lookups)
    declared = load_streams(streams)
    compiled = load_rules(files, declared)
    others = _others(settings, compiled, declared, against, packaged=packaged)
    with ExitStack() as stack:
        inputs = (
            _from_topics(settings, [*compiled, *others.values()], declared, from_, to, stack)
            if topics
            else _from_files(events, declared, stack)
        )
        report = run(compiled, others, inputs, load_lookups(settings.lookups), _progress(inputs, stack))
    rows = report.rows()
    if as_json:
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(row) + b"\n")
        return
    counts = report.counts
    print(
        f"{counted(counts.events, 'event')} over {_span(report.days)}, {counts.late:,} late, {counts.dead_letters:,} bad",
        file=sys.stderr,
    )
    for row in rows:
        _print(row)


def _others(
    settings: Settings, rules: Sequence[Rule], streams: dict[str, Stream], against: str | None, *, packaged: bool
) -> dict[str, Rule]:
    """By id, the version that a rule is compared with, where there is one."""
    from m1cep import compile_rule
    from streams.files import load_rules
    from streams.rules.desk import read_rules
    from streams.topics import reachable

    wanted = {rule.id for rule in rules}
    files = {rule.id: rule for rule in load_rules(None, streams) if rule.id in wanted} if _built_in(streams) else {}
    if packaged or (against is None and not reachable(settings)):
        return files
    records = {name: record for name, record in read_rules(settings).records.items() if name in wanted}
    found = {} if against else files
    for name, record in records.items():
        entries = [one for one in (record, *record.before) if one.text is not None]
        entry = (
            record.in_force if against is None else next((e for e in entries if e.version.startswith(against)), None)
        )
        if entry is not None and entry.text is not None:
            found[name] = compile_rule(entry.text, streams, name)
    if against and not found:
        raise ShellError(
            f"no rule of {', '.join(sorted(wanted))} has a version {against}", "m1cep rules list --json shows those"
        )
    return found


def _built_in(streams: Mapping[str, Stream]) -> bool:
    """Whether the packaged rules can be compiled with these streams."""
    return {"orders", "fills", "accounts", "market"} <= streams.keys()


def _from_files(
    events: list[str] | None, streams: dict[str, Stream], stack: ExitStack
) -> dict[str, tuple[Stream, BinaryIO]]:
    from streams.cli.replay import event_files, open_events

    return {name: (streams[name], open_events(file, stack)) for name, file in event_files(events, streams)}


def _from_topics(
    settings: Settings, rules: Sequence[Rule], streams: dict[str, Stream], from_: str, to: str | None, stack: ExitStack
) -> Mapping[str, tuple[Stream, BinaryIO]]:
    from streams.cli.progress import ProgressBar
    from streams.rules.history import history, time_ms

    now_ms = time.time_ns() // 1_000_000
    from_ms, to_ms = time_ms(from_, "--from", now_ms), now_ms if to is None else time_ms(to, "--to", now_ms)
    if from_ms >= to_ms:
        raise UsageError("--from must be before --to")
    names = sorted({name for rule in rules for name in rule.streams})
    bar = stack.enter_context(ProgressBar("reading topics"))
    read = 0

    def on_records(count: int) -> None:
        nonlocal read
        read += count
        bar.update(read)

    return stack.enter_context(history(settings, [streams[name] for name in names], from_ms, to_ms, on_records))


def _progress(inputs: Mapping[str, tuple[Stream, BinaryIO]], stack: ExitStack) -> Any:
    from streams.cli.progress import ProgressBar

    sizes = [_size(lines) for _, lines in inputs.values()]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    bar = stack.enter_context(ProgressBar("running the rules", total))
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        bar.update(done)

    return on_bytes


def _size(lines: BinaryIO) -> int | None:
    if not lines.seekable():
        return None
    size = lines.seek(0, 2)
    lines.seek(0)
    return size


def _span(days: float) -> str:
    """A length of time as people say it."""
    minutes = days * 24 * 60
    if minutes < 120:
        return f"{minutes:.1f} min"
    return f"{minutes / 60:.1f} h" if days < 2 else f"{days:.1f} days"


def _print(row: dict[str, Any]) -> None:
    daily = "" if row["alerts_per_day"] is None else f", {row['alerts_per_day']:.1f} a day"
    many, keys = counted(row["alerts"], "alert"), counted(row["different_keys"], "key")
    print(f"{row['rule']} {row['version']}: {many}{daily}, of {keys}")
    for one in row["keys"]:
        print(f"  {one['alerts']:>8}  {one['key']}")
    old = row["against"]
    if old is None:
        print("  there is no other version to compare with")
        return
    print(
        f"  against version {old['version']}: {counted(old['both'], 'alert')} of both, {old['only_new']} of this one only, "
        f"{old['only_old']} of the other only"
    )
    for which, sign in (("examples_only_new", "+"), ("examples_only_old", "-")):
        for one in old[which]:
            print(f"  {sign} {one['key']} at {event_moment(one['event_time'])}")
