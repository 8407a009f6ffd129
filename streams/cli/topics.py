"""``m1cep topics create|list|tail``."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.cli.output import counted
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka.consumer.fetcher import ConsumerRecord

    from streams.config import Settings
    from streams.topics import TopicState

app = typer.Typer(help="Create, list and read the Kafka topics.", no_args_is_help=True)

POLL_MS = 500
LOST_AFTER_S = 5.0  # a client library tries for ever; a person who watches wants to know

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


@app.command(epilog="Example: m1cep topics create --streams my-streams.sql --partitions 12")
def create(
    streams: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Further streams: a file of CREATE TABLE.")
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option(help="Rule files or folders: also the topics of streams by other keys that these rules need."),
    ] = None,
    custody: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A roster: also a topic for each of its signers.")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Of each new topic; 4 unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create all topics that are missing: those of the built-in streams and of the given ones."""
    from streams.config import DEFAULT_PARTITIONS, load_settings
    from streams.files import load_rules, load_streams
    from streams.rekey import all_rekeyed
    from streams.topic_table import topics_by_other_keys, topics_of
    from streams.topics import create_topics

    given = load_streams(streams)
    declared = {**load_streams(None), **given}
    topics = topics_of(declared.values())
    if rules:
        topics += topics_by_other_keys(all_rekeyed(load_rules(rules, given)))
    if custody is not None:
        from streams.custody.roster import load_roster
        from streams.topic_table import topics_of_signers

        topics += topics_of_signers(load_roster(custody).signers)
    states = create_topics(load_settings(), topics, partitions=partitions or DEFAULT_PARTITIONS)
    if as_json:
        _print_json({"topic": s.name, "partitions": s.partitions, "created": s.created} for s in states)
        return
    for state in states:
        if state.created:
            typer.echo(f"created {state.name} with {counted(state.partitions, 'partition')}")
    there = sum(not s.created for s in states)
    typer.echo(f"{counted(len(states) - there, 'topic')} created, {there} already there")


@app.command("list", epilog="Example: m1cep topics list --json")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Kafka's internal topics too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the broker's topics with their partitions and how many records they hold."""
    from streams.config import load_settings
    from streams.topics import list_topics

    states = list_topics(load_settings(), internal=everything)
    if as_json:
        _print_json({"topic": s.name, "partitions": s.partitions, "records": s.records} for s in states)
    elif states:
        _print_table(states)
    else:
        typer.echo("The broker has no topics; `m1cep topics create` makes them.")


@app.command(epilog="Example: m1cep topics tail m1cep.alerts.v1 --from-beginning --max 10")
def tail(
    topic: Annotated[str, typer.Argument(help="Name of the topic.", autocompletion=complete.topics)],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record, not with the next one.")
    ] = False,
    max_records: Annotated[int | None, typer.Option("--max", min=1, help="End after so many records.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the records of a topic as they come: key, headers, JSON. Ctrl-C ends it."""
    from streams.config import load_settings

    settings = load_settings()
    try:
        for count, record in enumerate(read_records(settings, topic, from_beginning=from_beginning), start=1):
            typer.echo(orjson.dumps(as_object(record)) if as_json else _for_reading(record))
            if count == max_records:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # The reader of our output, `head` for one, has enough; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_records(settings: Settings, topic: str, *, from_beginning: bool) -> Iterator[ConsumerRecord]:
    """The topic's records, for ever.

    Raises:
        UsageError: there is no such topic.
        ServerError: no broker, or it is gone for some seconds.
    """
    from kafka import TopicPartition

    from streams.topics import consumer, no_broker, reachable

    start = "earliest" if from_beginning else "latest"
    with consumer(settings, auto_offset_reset=start) as reader:
        partitions = [TopicPartition(topic, p) for p in sorted(reader.partitions_for_topic(topic))]
        if not partitions:
            raise _no_such_topic(topic, reader.topics())
        reader.assign(partitions)
        # Where "the end" is must be settled before anybody is told that we listen.
        for partition in partitions:
            reader.position(partition)
        _say(
            f"reading {topic}, {counted(len(partitions), 'partition')}, from the {'beginning' if from_beginning else 'end'}"
        )
        answered_s = time.monotonic()
        while True:
            batch = reader.poll(timeout_ms=POLL_MS)
            yield from sorted((r for rs in batch.values() for r in rs), key=lambda r: (r.timestamp, r.partition))
            if batch or reachable(settings):
                answered_s = time.monotonic()
            elif time.monotonic() - answered_s > LOST_AFTER_S:
                raise no_broker(settings)


def _no_such_topic(topic: str, known: set[str]) -> ShellError:
    import difflib

    near = difflib.get_close_matches(topic, sorted(known), n=1)
    remedy = f"did you mean {near[0]}?" if near else "`m1cep topics list` shows those that exist"
    return UsageError(f"the broker has no topic {topic!r}", remedy)


def as_object(record: ConsumerRecord) -> dict[str, Any]:
    """A record as a JSON object. A value that is not JSON is given as text, under ``text`` instead of ``value``."""
    found: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        "key": _text(record.key),
        "headers": {name: _text(value) for name, value in record.headers},
    }
    try:
        found["value"] = None if record.value is None else orjson.loads(record.value)
    except orjson.JSONDecodeError:
        found["text"] = _text(record.value)
    return found


def _for_reading(record: ConsumerRecord) -> str:
    """A record in lines for a person. Nothing in it can steer the terminal."""
    moment = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    head = f"{record.topic}[{record.partition}]@{record.offset}  {moment[:23]}Z  key={_printable(_text(record.key))}"
    headers = [f"  {_printable(name)}: {_printable(_text(value))}" for name, value in record.headers]
    seen = as_object(record)
    body = orjson.dumps(seen["value"]).decode() if "value" in seen else seen["text"]
    return "\n".join([head, *headers, f"  {_printable(body)}"])


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")


def _printable(text: str | None) -> str:
    return "-" if text is None else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _print_json(objects: Iterator[dict[str, Any]]) -> None:
    for item in objects:
        typer.echo(orjson.dumps(item))


def _print_table(states: list[TopicState]) -> None:
    width = max(len(s.name) for s in states)
    typer.echo(f"{'topic':<{width}}  partitions  records")
    for state in states:
        typer.echo(f"{state.name:<{width}}  {state.partitions:>10}  {state.records:>7}")


def _say(text: str) -> None:
    """To stderr: stdout carries the records alone."""
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)
