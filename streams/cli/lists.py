"""``m1cep lists import|list|show|add|remove|history|rescreen``: lists in the cache."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.cli.output import AsJson, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m1cep import Alert
    from streams.cache.store import Published, Store

app = typer.Typer(
    help="Lists in the cache, with versions: import, change, look at, screen again.", no_args_is_help=True
)

_SENT_WITHIN_S = 30.0

Name = Annotated[str, typer.Argument(help="Of the list, as IN_LIST has it.", autocompletion=complete.lists)]
Note = Annotated[str, typer.Option(help="For the history: why, or where from.")]


@app.command("import", epilog="Example: m1cep lists import sanctions SDN.XML --take address")
def import_(  # noqa: PLR0913, PLR0917 - the options of a command
    name: Name,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Text (one entry a line), CSV with --column, or OFAC's SDN.XML or SDN.CSV [ALT.CSV SDN_COMMENTS.CSV]."
        ),
    ],
    take: Annotated[str, typer.Option(help="Of OFAC's files: address, name or all.")] = "address",
    column: Annotated[str, typer.Option(help="Of a CSV with a header: where the entries stand.")] = "",
    max_bad: Annotated[int, typer.Option(min=0, help="Leave out so many bad rows; with more nothing is changed.")] = 0,
    bad_rows: Annotated[
        Path | None, typer.Option(help="Write bad rows here: file, line and reason, one JSON object a line.")
    ] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Let the list become less than half of what it is.")] = False,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Put a list in the place of what the name meant, whole or not at all: engines see it some milliseconds later."""
    from streams.cache.reading import TAKE, Reading
    from streams.cli.progress import ProgressBar
    from streams.errors import ShellError, UsageError

    if take not in TAKE:
        raise UsageError(f"--take expects {', '.join(TAKE)}, got {take!r}")

    def accept(before: int, after: int) -> None:
        if after * 2 < before and not shrink:
            raise ShellError(
                f"list {name!r} would have {after:,} entries in place of {before:,}",
                "nothing was changed; --shrink says that this is meant",
            )

    with store() as cache, _bad_rows(bad_rows) as on_bad:
        reading = Reading(files, take, column, max_bad, on_bad)
        with ProgressBar(f"importing {name}", total=reading.size) as bar:
            reading.on_bytes = bar.update
            source = note or ", ".join(file.name for file in files)
            published = cache.replace_list(name, reading, source, accept)
        facts = _facts(published) | {"bad_rows": reading.bad, "repeated": published.repeated}
        say(facts, _sentence(published) + (f" {reading.bad} bad rows were left out." if reading.bad else ""), as_json)


@app.command("list", epilog="Example: m1cep lists list")
def list_(as_json: AsJson = False) -> None:
    """What lists there are."""
    with store() as cache:
        for label, record in cache.all_now().items():
            kind, _, name = label.partition(" ")
            if kind == "list":
                facts = {"list": name} | {k: v for k, v in record.items() if k != "sum"}
                about = f"{when(record)}  {record['by']}  {record['note']}"
                text = f"{name:<30} {record['version']} {record['entries']:>10,}  {about}"
                say(facts, text, as_json)


@app.command(epilog="Example: m1cep lists show sanctions > rules/lookups/lists/sanctions.txt")
def show(
    name: Name,
    version: Annotated[str, typer.Option(help="An earlier one; see history.")] = "",
    as_json: AsJson = False,
) -> None:
    """The entries, in no order: what a file lists/NAME.txt has, and of the same version there."""
    with store() as cache:
        for entry in cache.entries(name, version):
            sys.stdout.write((orjson.dumps(entry).decode() if as_json else entry) + "\n")


@app.command(epilog="Example: m1cep lists add sanctions 0xbad... --note 'ticket 17'")
def add(
    name: Name,
    entries: Annotated[list[str], typer.Argument(help="What to add.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Add entries to a list."""
    with store() as cache:
        published = cache.change_list(name, add=entries, note=note or f"added {len(entries)}")
        say(_facts(published), _sentence(published), as_json)


@app.command(epilog="Example: m1cep lists remove sanctions 0xbad... --note 'licence 4711'")
def remove(
    name: Name,
    entries: Annotated[list[str], typer.Argument(help="What to remove.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Remove entries from a list."""
    with store() as cache:
        published = cache.change_list(name, remove=entries, note=note or f"removed {len(entries)}")
        say(_facts(published), _sentence(published), as_json)


@app.command(epilog="Example: m1cep lists history sanctions")
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was in force, newest first: version, entries, when, by whom, why."""
    with store() as cache:
        for record in cache.history("list", name, limit):
            text = f"{when(record)}  {record['version']} {record['entries']:>10,}  {record['by']}  {record['note']}"
            say(record, text, as_json)


@app.command(epilog="Example: m1cep lists rescreen sanctions --events accounts.ndjson")
def rescreen(
    name: Name,
    events: Annotated[
        list[Path] | None,
        typer.Option(help="Files of events to screen; default: what the agent results has noted in the cache."),
    ] = None,
    severity: Annotated[str, typer.Option(help="Of the alerts: info, low, medium, high or critical.")] = "critical",
    action: Annotated[
        str, typer.Option(help="Ask for this beside each alert: freeze_account or hold_withdrawal.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the alerts and send none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The last line, on stderr, as JSON too.")] = False,
) -> None:
    """Screen accounts and addresses that were seen before against a list as it is now: alerts for hits, also printed.

    The id of an alert is that of list, entry and account: to screen again tells nothing twice.
    """
    from streams.cache import rescreen as screening
    from streams.cli.progress import ProgressBar
    from streams.errors import ShellError, UsageError

    if severity not in {"info", "low", "medium", "high", "critical"}:
        raise UsageError(f"--severity expects info, low, medium, high or critical, got {severity!r}")
    if action not in {"", "freeze_account", "hold_withdrawal"}:
        raise UsageError(f"--action expects freeze_account or hold_withdrawal, got {action!r}")
    for file in events or ():
        if not file.is_file():
            raise UsageError(f"--events: there is no file {file}")
    count = bad = 0
    with store() as cache, _sender(dry_run) as send:
        record = cache.required("list", name)
        version = record["version"]
        total = sum(file.stat().st_size for file in events) if events else record["entries"]
        with ProgressBar(f"screening by {name}", total=total) as bar:
            entries = cache.entries(name, version)
            hits = (
                screening.in_files(events, frozenset(entries), bar.update)
                if events
                else screening.in_cache(cache.client, entries, bar.update)
            )
            for hit in hits:
                if hit is None:
                    bad += 1
                    continue
                count += 1
                alert = hit.alert(name, version, severity)
                send(alert, action)
                typer.echo(alert.to_json())
    facts = {"list": name, "version": version, "hits": count, "no_events": bad}
    text = f"{name}, version {version}: {count} hits" + (f"; {bad} lines are no events" if bad else "")
    typer.echo(orjson.dumps(facts) if as_json else text, err=True)
    if bad and not count:
        raise ShellError(
            f"{bad} lines are no events of an account", "give files of newline-delimited JSON with account"
        )


# -- within ----------------------------------------------------------------------------------------------------------


@contextmanager
def store() -> Iterator[Store]:
    """The cache, which answers.

    Raises:
        ServerError: it does not.
    """
    from redis import RedisError

    from streams.cache.address import cache_url, open_client, unreachable
    from streams.cache.store import Store
    from streams.config import load_settings

    url = cache_url(load_settings())
    with open_client(url) as client:
        try:
            client.ping()
        except (RedisError, OSError) as error:
            raise unreachable(url, error) from None
        yield Store(client)


@contextmanager
def _sender(dry_run: bool) -> Iterator[Callable[[Alert, str], None]]:
    """Writes alerts, and what they ask for, to Kafka; they are acknowledged at the end."""
    if dry_run:
        yield lambda _alert, _action: None
        return
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    from streams import codec
    from streams.config import load_settings
    from streams.errors import ServerError

    settings, source = load_settings(), "/m1cep/rescreen"
    pending: list[Any] = []
    try:
        producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
        try:

            def send(alert: Alert, action: str) -> None:
                messages = [codec.alert_message(alert, alert.event_time, source)]
                if action:
                    messages.append(codec.action_message(alert, action, alert.event_time, source))
                pending.extend(producer.send(m.topic, key=m.key, value=m.value, headers=m.headers) for m in messages)

            yield send
            for future in pending:
                future.get(_SENT_WITHIN_S)
        finally:
            producer.close(timeout=2)
    except KafkaError as error:
        raise ServerError(
            f"the Kafka broker at {settings.broker} did not take the alerts: {error!r}",
            "screen again, or use --dry-run",
        ) from error


@contextmanager
def _bad_rows(path: Path | None) -> Iterator[Any]:
    if path is None:
        yield lambda *_: None
        return
    from streams.errors import UsageError

    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(f"--bad-rows: {path} cannot be written: {error.strerror}") from None
    with file:
        yield lambda name, line, reason: file.write(
            orjson.dumps({"file": str(name), "line": line, "reason": reason}) + b"\n"
        )


def _facts(published: Published) -> dict[str, Any]:
    return {
        "list": published.name,
        "version": published.version,
        "before": published.before,
        "entries": published.entries,
        "changed": published.changed,
    }


def _sentence(published: Published) -> str:
    what = f"{published.name}: version {published.version}, {published.entries:,} entries"
    if not published.changed:
        return f"{what}, as before."
    return f"{what}; before: {published.before or 'none'}."


def when(record: dict[str, Any]) -> str:
    """The time of a record of the history, in UTC."""
    return datetime.fromtimestamp(record["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
