"""``m1cep lists import|list|show|add|remove|history|rescreen``: lists in the cache."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.cache.store import Published, Store

app = typer.Typer(
    help="Lists in the cache, with versions: import, change, look at, screen again.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Of the list, as IN_LIST has it.")]
Note = Annotated[str, typer.Option(help="For the history: why, or where from.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


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

    with _store() as store, _bad_rows(bad_rows) as on_bad:
        reading = Reading(files, take, column, max_bad, on_bad)
        with ProgressBar(f"importing {name}", total=reading.size) as bar:
            reading.on_bytes = bar.update
            source = note or ", ".join(file.name for file in files)
            published = store.replace_list(name, reading, source, accept)
        facts = _facts(published) | {"bad_rows": reading.bad, "repeated": published.repeated}
        _say(facts, _sentence(published) + (f" {reading.bad} bad rows were left out." if reading.bad else ""), as_json)


@app.command("list", epilog="Example: m1cep lists list")
def list_(as_json: AsJson = False) -> None:
    """What lists there are."""
    with _store() as store:
        for label, record in store.all_now().items():
            kind, _, name = label.partition(" ")
            if kind == "list":
                facts = {"list": name} | {k: v for k, v in record.items() if k != "sum"}
                about = f"{_when(record)}  {record['by']}  {record['note']}"
                text = f"{name:<30} {record['version']} {record['entries']:>10,}  {about}"
                _say(facts, text, as_json)


@app.command(epilog="Example: m1cep lists show sanctions > rules/lookups/lists/sanctions.txt")
def show(name: Name, version: Annotated[str, typer.Option(help="An earlier one; see history.")] = "") -> None:
    """The entries, in no order: what a file lists/NAME.txt has, and of the same version there."""
    with _store() as store:
        for entry in store.entries(name, version):
            sys.stdout.write(entry + "\n")


@app.command(epilog="Example: m1cep lists add sanctions 0xbad... --note 'ticket 17'")
def add(
    name: Name,
    entries: Annotated[list[str], typer.Argument(help="What to add.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Add entries to a list."""
    with _store() as store:
        published = store.change_list(name, add=entries, note=note or f"added {len(entries)}")
        _say(_facts(published), _sentence(published), as_json)


@app.command(epilog="Example: m1cep lists remove sanctions 0xbad... --note 'licence 4711'")
def remove(
    name: Name,
    entries: Annotated[list[str], typer.Argument(help="What to remove.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Remove entries from a list."""
    with _store() as store:
        published = store.change_list(name, remove=entries, note=note or f"removed {len(entries)}")
        _say(_facts(published), _sentence(published), as_json)


@app.command(epilog="Example: m1cep lists history sanctions")
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was in force, newest first: version, entries, when, by whom, why."""
    with _store() as store:
        for record in store.history("list", name, limit):
            text = f"{_when(record)}  {record['version']} {record['entries']:>10,}  {record['by']}  {record['note']}"
            _say(record, text, as_json)


# -- within ----------------------------------------------------------------------------------------------------------


@contextmanager
def _store() -> Iterator[Store]:
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


def _when(record: dict[str, Any]) -> str:
    return datetime.fromtimestamp(record["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _say(facts: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(orjson.dumps(facts) if as_json else text)
