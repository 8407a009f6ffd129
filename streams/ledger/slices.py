"""The part of a shard's books that a batch is about: loaded before, written after, each in a round trip or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.ledger import Account, AccountKey, Books, Hold, How, Kind, Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from m1cep.ledger import Changes, Chart, Posting
    from streams.ledger.schema import Connection

#: Holds that are ended at once because their time is over; the others with the next batch.
_MOST_EXPIRED = 1_000

_SEEN = "SELECT id, digest FROM ledger.postings_v1 WHERE id = ANY(%s)"
_ENDED = "SELECT ends, how, kind FROM ledger.postings_v1 WHERE ends = ANY(%s)"
_HOLDS = """
SELECT h.id, d.kind, d.owner, d.asset, c.kind, c.owner, c.asset, h.units, h.expires_ms
FROM ledger.holds_v1 h JOIN ledger.accounts_v1 d ON d.id = h.debit JOIN ledger.accounts_v1 c ON c.id = h.credit
WHERE h.id = ANY(%s)
UNION ALL
(SELECT h.id, d.kind, d.owner, d.asset, c.kind, c.owner, c.asset, h.units, h.expires_ms
FROM ledger.holds_v1 h JOIN ledger.accounts_v1 d ON d.id = h.debit JOIN ledger.accounts_v1 c ON c.id = h.credit
WHERE h.expires_ms > 0 AND h.expires_ms <= %s AND h.id <> ALL(%s) LIMIT %s)
"""
_ACCOUNTS = """
SELECT kind, owner, asset, overdraft, debits_pending, debits_posted, credits_pending, credits_posted
FROM ledger.accounts_v1 WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE
"""


def load(connection: Connection, chart: Chart, postings: Sequence[Posting], time_ms: int) -> Books:
    """Books with all that postings depend on, and holds that expire by a time. Accounts are locked for the transaction."""
    books = Books(chart)
    named = sorted({p.hold for p in postings if p.hold} | {p.id for p in postings if p.how is How.HOLD})
    with connection.pipeline():
        seen = connection.execute(_SEEN, [[p.id for p in postings]])
        ended = connection.execute(_ENDED, [named])
        holds = connection.execute(_HOLDS, [named, time_ms, named, _MOST_EXPIRED])
    books.digests.update(seen.fetchall())
    books.ended.update((hold, _mode(how, kind)) for hold, how, kind in ended)
    for name, *sides, units, expires_ms in holds:
        books.holds[name] = Hold(_key(*sides[:3]), _key(*sides[3:]), int(units), expires_ms)
    keys = {key for posting in postings for key in posting.accounts()}
    keys.update(key for hold in books.holds.values() for key in hold[:2])
    for kind, owner, asset, overdraft, *totals in connection.execute(_ACCOUNTS, [[str(key.id) for key in keys]]):
        books.accounts[_key(kind, owner, asset)] = Account(overdraft, *map(int, totals))
    return books


def _key(kind: str, owner: str, asset: str) -> AccountKey:
    return AccountKey(Kind(kind), owner, asset)


def _mode(how: str, kind: str) -> Mode:
    if how == How.SETTLE:
        return Mode.SETTLED
    return Mode.EXPIRED if kind == "expiry" else Mode.RELEASED


_PUT_ACCOUNTS = """
INSERT INTO ledger.accounts_v1 AS a
    (id, kind, owner, asset, overdraft, debits_pending, debits_posted, credits_pending, credits_posted)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bool[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])
ON CONFLICT (id) DO UPDATE SET debits_pending = excluded.debits_pending, debits_posted = excluded.debits_posted,
    credits_pending = excluded.credits_pending, credits_posted = excluded.credits_posted
"""
_PUT_POSTINGS = """
INSERT INTO ledger.postings_v1 (id, kind, owner, how, time_ms, digest, ends, source)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[], %s::text[], %s::text[])
"""
_PUT_TRANSFERS = """
INSERT INTO ledger.transfers_v1 (posting, leg, mode, debit, credit, asset, units, freed)
SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::numeric[], %s::numeric[])
"""
_PUT_HOLDS = """
INSERT INTO ledger.holds_v1 (id, debit, credit, units, expires_ms)
SELECT * FROM unnest(%s::text[], %s::uuid[], %s::uuid[], %s::numeric[], %s::bigint[])
"""


def write(connection: Connection, changes: Changes, sources: Mapping[str, str]) -> None:
    """What has changed; ``sources`` say by posting which record asked for it."""
    accounts = sorted(changes.accounts.items(), key=lambda one: one[0].id)
    puts = (
        (
            _PUT_ACCOUNTS,
            [
                (*_named(key), a.overdraft, a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
                for key, a in accounts
            ],
        ),
        (
            _PUT_POSTINGS,
            [
                (p.id, p.kind, p.owner, p.how, p.time_ms, p.digest, p.ends or None, sources.get(p.id, "time"))
                for p in changes.postings
            ],
        ),
        (
            _PUT_TRANSFERS,
            [
                (t.posting, t.leg, t.mode, str(t.debit.id), str(t.credit.id), t.debit.asset, t.units, t.freed)
                for t in changes.transfers
            ],
        ),
        (
            _PUT_HOLDS,
            [(name, str(h.debit.id), str(h.credit.id), h.units, h.expires_ms) for name, h in changes.opened.items()],
        ),
    )
    with connection.pipeline():
        for statement, rows in puts:
            if rows:
                connection.execute(statement, turned(rows))
        if changes.closed:
            connection.execute("DELETE FROM ledger.holds_v1 WHERE id = ANY(%s)", [sorted(changes.closed)])


def _named(key: AccountKey) -> tuple[str, ...]:
    return str(key.id), *key


def turned(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Columns of rows; none of no rows."""
    return [list(column) for column in zip(*rows, strict=True)]
