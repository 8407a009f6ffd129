"""``m1cep ledger``: the books; made by their owner, read from the replica."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import proofs
from streams.cli.output import AsJson, say
from streams.config import load_settings
from streams.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.ledger.schema import Connection

app = typer.Typer(no_args_is_help=True, help="Books of accounts: made, read, checked; what is owed, proven.")
app.command()(proofs.prove)
app.command()(proofs.sign)
app.command()(proofs.proof)
app.command()(proofs.reserves)
# Its options are those of the file that customers run.
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})(
    proofs.verify
)

Asset = Annotated[str | None, typer.Option(help="Only this asset, by its code in the chart.")]
Kinds = "client, vault, omnibus, clearing or fees"
_WIDTH = 120  # at least: a file or a pipe has no width of its own


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Make the ledger's schema in the databases of M1CEP_DB_OWNER_URL, or bring it up to date.

    Several databases, separated by spaces, are shards: always the same, in the same order.

    Example: M1CEP_DB_OWNER_URL=postgresql://... m1cep ledger migrate
    """
    from streams.ledger.connections import owners
    from streams.ledger.schema import migrate as migrate_one

    shards = owners(load_settings())
    for number, connect in enumerate(shards):
        version = migrate_one(connect, number, len(shards))
        text = f"shard {number} of {len(shards)}: the ledger's schema is version {version}"
        say({"shard": number, "shards": len(shards), "version": version}, text, as_json)


@app.command()
def balances(
    owner: Annotated[str | None, typer.Argument(help="A client's account or a vault; default: all.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only accounts of this kind: {Kinds}.")] = None,
    asset: Asset = None,
    as_json: AsJson = False,
    max_age_s: proofs.MaxAge = proofs.DEFAULT_MAX_AGE_S,
) -> None:
    """Show balances, from the replica.

    Example: m1cep ledger balances syn-0007
    """
    from streams.ledger import reports

    _check_kind(kind)
    rows = reports.balances(_readers(max_age_s), owner=owner, kind=kind, asset=asset)
    _show(rows, ("kind", "owner", "asset", "balance", "held"), {"balance", "held"}, as_json=as_json)


@app.command()
def statement(
    owner: Annotated[str, typer.Argument(help="A client's account or a vault.")],
    kind: Annotated[str, typer.Option(help=f"Kind of the account: {Kinds}.")] = "client",
    asset: Asset = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest lines.")] = 50,
    as_json: AsJson = False,
    max_age_s: proofs.MaxAge = proofs.DEFAULT_MAX_AGE_S,
) -> None:
    """Show an account's history with the balance after each line, from the replica.

    Example: m1cep ledger statement syn-0007 --asset BTC --limit 10
    """
    from m1cep.model.time import to_rfc3339
    from streams.ledger import reports

    _check_kind(kind)
    rows = reports.statement(_readers(max_age_s), owner, kind=kind, asset=asset, limit=limit)
    shown = [{**row, "time": to_rfc3339(row["time_ms"], "ms")} for row in rows]
    columns = ("time", "kind", "posting", "mode", "asset", "amount", "balance")
    _show(shown, columns, {"amount", "balance"}, as_json=as_json)


@app.command()
def check(as_json: AsJson = False, max_age_s: proofs.MaxAge = proofs.DEFAULT_MAX_AGE_S) -> None:
    """Add up the whole history, on the replica: debits equal credits, balances and holds are what it says. Exit code 1: not.

    Example: m1cep ledger check --json
    """
    from streams.ledger import reports

    shards = _readers(max_age_s)
    found, counted = reports.faults(shards), reports.counts(shards)
    if as_json:
        typer.echo(orjson.dumps({"balanced": not found, "faults": found, **counted}))
    else:
        for fault in found:
            typer.echo(fault)
        verdict = "the books do NOT balance" if found else "the books balance"
        typer.echo(
            f"{verdict}: {counted['postings']} postings, {counted['transfers']} transfers, {counted['waiting']} wait for funds"
        )
    if found:
        sys.exit(ExitCode.FAILURE)


def _readers(max_age_s: float) -> Sequence[Callable[[], Connection]]:
    from streams.ledger.connections import readers

    return readers(load_settings(), max_age_s)


def _check_kind(kind: str | None) -> None:
    from m1cep.ledger import Kind
    from streams.errors import UsageError

    if kind is not None and kind not in set(Kind):
        raise UsageError(f"--kind expects {Kinds}, got {kind!r}")


def _show(rows: Iterable[dict[str, Any]], columns: Sequence[str], right: set[str], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            typer.echo(orjson.dumps(row))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in columns))
    Console(width=max(Console().width, _WIDTH)).print(table)
