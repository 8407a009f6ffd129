"""``m1cep ledger prove|sign|proof|reserves|verify``: what is owed, proven to customers and to everybody."""

from __future__ import annotations

import csv
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.output import AsJson, say
from streams.config import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WHOLE = re.compile(r"-?[0-9]{1,60}")
_HOLDINGS = ("chain", "asset", "address", "units", "height", "scheme", "public_key", "signature")
Published = Annotated[Path, typer.Option("--from", help="The folder that `prove` made.")]


#: Two beats of an idle primary's heart would do; a busy machine may be late.
DEFAULT_MAX_AGE_S = 10.0
MaxAge = Annotated[
    float,
    typer.Option(
        "--max-age-s", min=0, help="Refuse, with exit code 3, what the replica has of longer ago; inf: take any age."
    ),
]


def prove(
    out: Annotated[Path, typer.Option(help="Folder for what is to be published; must not be there yet.")],
    balances: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns user, asset, units, decimals. Default: the ledger's clients, from the replica."
        ),
    ] = None,
    unsigned: Annotated[
        bool, typer.Option(help="Do not sign: a group's signature comes with `m1cep ledger sign`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the statement as one JSON object.")] = False,
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S,
) -> None:
    """Make a statement of all that is owed to customers now: totals, roots, leaves, and the program that checks them.

    Balances below zero are left out, and counted: one customer's debt is not another's money.

    Example: m1cep ledger prove --out 2026-11-23
    """
    from streams.cli.progress import ProgressBar
    from streams.ledger.statements import VERIFIER, owed_by_asset, publish

    epoch_ms = time.time_ns() // 1_000_000
    home = load_settings().folder()
    owed = owed_by_asset(_from_file(balances) if balances else _from_ledger(max_age_s))
    with ProgressBar("proving", total=len(owed)) as bar:
        document = publish(home, out, epoch_ms, owed, sign=not unsigned, progress=bar.update)
    if as_json:
        typer.echo(orjson.dumps(document))
        return
    from m1cep.ledger.liabilities.verify_balance import shown, statement_digest

    statement = document["statement"]
    for asset, facts in statement["assets"].items():
        left_out = f"; {owed[asset].below_zero} below zero left out" if owed[asset].below_zero else ""
        total = shown(int(facts["total"]), facts["decimals"])
        typer.echo(f"{asset}: {total} owed to {len(owed[asset].units)} customers{left_out}")
    typer.echo(f"statement {statement_digest(statement).hex()} of epoch {epoch_ms} ms, in {out}; publish that folder")
    if unsigned:
        typer.echo("NOT signed: have the group's key sign the 32 bytes of that digest, then m1cep ledger sign")
    else:
        typer.echo(f"signed by {document['signature']['public_key']}: customers give this to {VERIFIER} as --key")


def sign(
    folder: Published,
    key: Annotated[str, typer.Option(help="The group's public key, 64 hexadecimal digits.")],
    signature: Annotated[str, typer.Option(help="Its signature of the statement's digest, 128 hexadecimal digits.")],
    scheme: Annotated[str, typer.Option(help="ed25519 or bip340.")] = "bip340",
    as_json: AsJson = False,
) -> None:
    """Put the signature of a group's key to a statement made with `prove --unsigned`.

    Example: m1cep ledger sign --from 2026-11-23 --key 9f2c... --signature 41ab...
    """
    from streams.ledger.statements import attach

    attach(folder, scheme, key, signature)
    text = f"the statement in {folder} is signed by {key.lower()}"
    say({"folder": str(folder), "key": key.lower(), "scheme": scheme}, text, as_json)


def proof(
    users: Annotated[list[str], typer.Argument(help="Customers' accounts.")],
    folder: Published,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a file each, ACCOUNT.json. Default: stdout, one a line.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Name the files written, as JSON; proofs always are.")
    ] = False,
) -> None:
    """Make the proofs that customers get. Each shows its customer's balances, and is for their eyes alone.

    Example: m1cep ledger proof syn-0007 --from 2026-11-23
    """
    from urllib.parse import quote

    from streams.durable import private_folder, replace
    from streams.ledger.statements import Proofs

    proofs = Proofs(load_settings().folder(), folder)
    for user in users:
        document = orjson.dumps(proofs.of(user))
        if out is None:
            typer.echo(document)
        else:
            private_folder(out)
            file = out / f"{quote(user, safe='')}.json"
            replace(file, document)
            if as_json:
                typer.echo(orjson.dumps({"user": user, "file": str(file)}))


def reserves(
    holdings: Annotated[
        Path,
        typer.Argument(
            help="CSV: chain, asset, address, units, height, scheme, public_key, signature (empty at first)."
        ),
    ],
    folder: Published,
    as_json: AsJson = False,
) -> None:
    """Say what each address's key has to sign for a statement; with all signatures there, whether what is owed is covered.

    Then reserves.json is written beside the statement.

    The challenge names the statement, chain, asset and address: it is no transaction, and of no use for another statement.

    Example: m1cep ledger reserves holdings.csv --from 2026-11-23
    """
    from m1cep.ledger.liabilities.verify_balance import challenge_digest, statement_digest
    from streams.ledger.reserves import publish_reserves
    from streams.ledger.statements import read_statement

    statement = read_statement(folder)["statement"]
    digest = statement_digest(statement)
    rows = read_holdings(holdings)
    missing = [row for row in rows if not row["signature"]]
    for row in missing:
        challenge = challenge_digest(digest, statement["epoch_ms"], row["chain"], row["asset"], row["address"])
        facts = {"address": row["address"], "scheme": row["scheme"], "challenge": challenge.hex()}
        say(facts, f"{row['address']} ({row['scheme']}) signs {challenge.hex()}", as_json)
    if missing:
        return
    for cover in publish_reserves(folder, [{**row, "height": _whole(row, "height", holdings)} for row in rows]):
        say(cover.plain(), str(cover), as_json)


def verify(context: typer.Context) -> None:
    """Check a proof, a statement's leaves, or reserves: what the customer's own file verify_balance.py does.

    Examples: m1cep ledger verify proof.json --user ACCOUNT --key KEY;
    m1cep ledger verify statement.json --leaves BTC=BTC.leaves --reserves reserves.json --key KEY
    """
    from m1cep.ledger.liabilities.verify_balance import main

    sys.exit(main(context.args))


def _from_ledger(max_age_s: float) -> Iterator[tuple[str, str, int, int]]:
    from streams.ledger import reports
    from streams.ledger.connections import readers

    for row in reports.balances(readers(load_settings(), max_age_s), kind="client"):
        yield row["owner"], row["asset"], int(row["units"]), row["decimals"]


def _from_file(path: Path) -> Iterator[tuple[str, str, int, int]]:
    for row in _rows(path, ("user", "asset", "units", "decimals")):
        yield row["user"], row["asset"], _whole(row, "units", path), _whole(row, "decimals", path)


def read_holdings(path: Path) -> list[dict[str, str]]:
    """The rows of a file of holdings.

    Raises:
        UsageError: it cannot be read, or has other columns.
    """
    return list(_rows(path, _HOLDINGS))


def write_holdings(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Put a file of holdings there, whole or not at all."""
    from io import StringIO

    from streams.durable import replace

    text = StringIO(newline="")
    writer = csv.DictWriter(text, _HOLDINGS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace(path, text.getvalue().encode())


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, each with all columns."""
    from streams.errors import UsageError

    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if sorted(reader.fieldnames or ()) != sorted(columns):
                raise UsageError(
                    f"{path}: expected the columns {', '.join(columns)}, got {', '.join(reader.fieldnames or ())}"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(f"{path}, line {reader.line_num}: expected {len(columns)} fields")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _whole(row: dict[str, str], column: str, path: Path) -> int:
    from streams.errors import UsageError

    if not _WHOLE.fullmatch(row[column]):  # int() takes more: 1_000, digits of other scripts
        raise UsageError(f"{path}: expected a whole number as {column}, got {row[column]!r:.40}")
    return int(row[column])
