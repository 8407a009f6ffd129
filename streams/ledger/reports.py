"""What the books say: balances, statements, and whether they are right. For the replica: nothing here writes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from streams.errors import ServerError
from streams.ledger.router import shard_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.ledger.schema import Connection

    Connect = Callable[[], Connection]

_BALANCES = """
SELECT kind, owner, asset, decimals, units, held_units, debits_posted, credits_posted FROM ledger.balances_v1
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(asset)s::text IS NULL OR asset = %(asset)s)
ORDER BY kind, owner, asset
"""
# A client's account grows by credit: credit comes in.
_STATEMENT = """
SELECT t.seq, p.time_ms, p.kind, p.id, t.mode, a.asset, s.decimals,
    CASE WHEN (t.credit = a.id) = (a.kind IN ('client', 'fees', 'clearing')) THEN 1 ELSE -1 END AS sign,
    t.units, t.freed,
    sum(CASE WHEN t.mode NOT IN ('posted', 'settled') THEN 0
             WHEN (t.credit = a.id) = (a.kind IN ('client', 'fees', 'clearing')) THEN t.units ELSE -t.units END)
        OVER (PARTITION BY a.id ORDER BY t.seq) AS balance,
    p.source
FROM ledger.accounts_v1 a
JOIN ledger.assets_v1 s ON s.code = a.asset
JOIN ledger.transfers_v1 t ON a.id IN (t.debit, t.credit)
JOIN ledger.postings_v1 p ON p.id = t.posting
WHERE a.owner = %(owner)s AND a.kind = %(kind)s AND (%(asset)s::text IS NULL OR a.asset = %(asset)s)
ORDER BY t.seq DESC LIMIT %(limit)s
"""
_UNEQUAL = """
SELECT asset, sum(debits_posted) - sum(credits_posted), sum(debits_pending) - sum(credits_pending)
FROM ledger.accounts_v1 GROUP BY asset
HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)
"""
# Both sides of every transfer, added up, against what the accounts say; accounts without any count as zero.
_DIFFERENT = """
WITH sides AS (
    SELECT debit AS id, mode, units, freed, 1 AS d, 0 AS c FROM ledger.transfers_v1
    UNION ALL SELECT credit, mode, units, freed, 0, 1 FROM ledger.transfers_v1
), moved AS (
    SELECT id, d, c,
        CASE WHEN mode IN ('posted', 'settled') THEN units ELSE 0 END AS posted,
        CASE mode WHEN 'pending' THEN units WHEN 'posted' THEN 0 WHEN 'settled' THEN -freed ELSE -units END AS pending
    FROM sides
), totals AS (
    SELECT id, sum(d * posted) AS debits_posted, sum(c * posted) AS credits_posted,
        sum(d * pending) AS debits_pending, sum(c * pending) AS credits_pending
    FROM moved GROUP BY id
)
SELECT a.kind, a.owner, a.asset FROM ledger.accounts_v1 a LEFT JOIN totals t USING (id)
WHERE (a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending) IS DISTINCT FROM
    (coalesce(t.debits_posted, 0), coalesce(t.credits_posted, 0), coalesce(t.debits_pending, 0), coalesce(t.credits_pending, 0))
ORDER BY 1, 2, 3 LIMIT 20
"""
_HELD = """
SELECT a.kind, a.owner, a.asset FROM ledger.accounts_v1 a
LEFT JOIN (SELECT debit AS id, sum(units) AS units FROM ledger.holds_v1 GROUP BY debit) h USING (id)
WHERE a.debits_pending <> coalesce(h.units, 0) ORDER BY 1, 2, 3 LIMIT 20
"""
_COUNTS = """
SELECT (SELECT count(*) FROM ledger.postings_v1), (SELECT count(*) FROM ledger.transfers_v1),
    (SELECT count(*) FROM ledger.waiting_v1)
"""


def balances(
    shards: Sequence[Connect], *, owner: str | None = None, kind: str | None = None, asset: str | None = None
) -> list[dict[str, Any]]:
    """Balances, by kind, owner and asset; of the platform's accounts the sum over the shards. Amounts are exact text.

    Raises:
        ServerError: a database does not answer.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for connect in shards:
        with _reading(connect) as connection:
            rows = connection.execute(_BALANCES, {"owner": owner, "kind": kind, "asset": asset}).fetchall()
        for *key, decimals, units, held, debits, credits_ in rows:
            one = found.setdefault((key[0], key[1], key[2]), dict.fromkeys(("units", "held", "debits", "credits"), 0))
            one["decimals"] = decimals
            for name, value in (("units", units), ("held", held), ("debits", debits), ("credits", credits_)):
                one[name] += int(value)
    return [
        {
            "kind": key[0],
            "owner": key[1],
            "asset": key[2],
            "balance": show(one["units"], one["decimals"]),
            "held": show(one["held"], one["decimals"]),
            "units": str(one["units"]),
            "debits_units": str(one["debits"]),
            "credits_units": str(one["credits"]),
            "decimals": one["decimals"],
        }
        for key, one in sorted(found.items())
    ]


def statement(
    shards: Sequence[Connect], owner: str, *, kind: str = "client", asset: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The newest lines of an account's history, the oldest of them first; ``balance`` is that after the line.

    Raises:
        ServerError: a database does not answer.
    """
    with _reading(shards[shard_of(owner, len(shards))]) as connection:
        values = {"owner": owner, "kind": kind, "asset": asset, "limit": limit}
        rows = connection.execute(_STATEMENT, values).fetchall()
    return [
        {
            "seq": seq,
            "time_ms": time_ms,
            "kind": what,
            "posting": posting,
            "mode": mode,
            "asset": of,
            "amount": show(sign * int(units), decimals),
            "freed": show(int(freed), decimals),
            "balance": show(int(balance), decimals),
            "source": source,
        }
        for seq, time_ms, what, posting, mode, of, decimals, sign, units, freed, balance, source in reversed(rows)
    ]


def faults(shards: Sequence[Connect]) -> list[str]:
    """What is wrong with the books, in words; empty: debits equal credits in every asset, balances and holds equal the history.

    Raises:
        ServerError: a database does not answer.
    """
    said = []
    for number, connect in enumerate(shards):
        with _reading(connect) as connection:
            for asset, posted, pending in connection.execute(_UNEQUAL):
                said.append(
                    f"shard {number}: {asset}: debits exceed credits by {posted} (pending: {pending}) minor units"
                )
            for query, what in (
                (_DIFFERENT, "the balance is not what the history adds up to"),
                (_HELD, "holds do not add up"),
            ):
                for kind, owner, asset in connection.execute(query):
                    said.append(f"shard {number}: {kind}/{owner}/{asset}: {what}")
    return said


def counts(shards: Sequence[Connect]) -> dict[str, int]:
    """How many postings and transfers there are, and how many postings wait for funds.

    Raises:
        ServerError: a database does not answer.
    """
    total = dict.fromkeys(("postings", "transfers", "waiting"), 0)
    for connect in shards:
        with _reading(connect) as connection:
            for row in connection.execute(_COUNTS):
                for name, count in zip(total, row, strict=True):
                    total[name] += count
    return total


def show(units: int, decimals: int) -> str:
    """Minor units as people write them, exactly."""
    sign, digits = "-" * (units < 0), str(abs(units)).rjust(decimals + 1, "0")
    point = len(digits) - decimals
    return f"{sign}{digits[:point]}.{digits[point:]}" if decimals else f"{sign}{digits}"


@contextmanager
def _reading(connect: Connect) -> Iterator[Connection]:
    """A connection that sees one moment of the database."""
    try:
        with connect() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ServerError(
            f"the ledger cannot be read: {reason}", "is M1CEP_DB_READ_URL right, and the ledger made?"
        ) from error
