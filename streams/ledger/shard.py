"""One shard's books in PostgreSQL: what a batch is about is loaded, posted by ``m1cep.ledger.Books``, and written down.

    with shard.writing() as batch:                  # one transaction
        batch.advance(moves)                        # positions; MovedError when another agent has booked these records
        refused = batch.post(items, time_ms)        # items: postings with where they came from
        ...                                         # dead letters are sent here
    # committed: postings, balances and positions, all or nothing

The database decides nothing, but guards: balances below zero, transfers between assets, a hold that ends twice are against its
constraints, and no grant lets the agent change history.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from m1cep.errors import LedgerError
from m1cep.ledger import Account, AccountKey, Books, Hold, How, Kind, Mode, Result
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from m1cep.ledger import Changes, Chart, Posting
    from streams.ledger.schema import Connection

#: Holds that are ended at once because their time is over.
_MOST_EXPIRED = 1_000


class MovedError(ShellError):
    """Another agent has booked these records."""


class Place(NamedTuple):
    """A partition of a topic, as positions are kept: offsets mean something in one cluster and one making of a topic."""

    cluster: str
    topic: str
    topic_id: str
    partition: int


class Move(NamedTuple):
    """How far a batch goes on in a place: from which offset to which, and the newest event's time (epoch, ms)."""

    place: Place
    before: int
    after: int
    time_ms: int


class Item(NamedTuple):
    """A posting, and the record that asked for it: topic/partition/offset."""

    posting: Posting
    source: str


class Refused(NamedTuple):
    """What was not posted, and why."""

    item: Item
    error: LedgerError


class Booked(NamedTuple):
    """What came of a batch.

    Attributes:
        posted: how many postings were new; ``seen`` were there before.
    """

    posted: int
    seen: int
    expired: int
    refused: list[Refused]


class Shard:
    """See the module.

    Args:
        connect: gives a connection of a role that may write.
        chart: of accounts.
        number: of the shard.
    """

    def __init__(self, connect: Callable[[], Connection], chart: Chart, number: int = 0) -> None:
        self.number = number
        self._connect, self._chart = connect, chart
        self._connection: Connection | None = None

    def positions(self, places: Iterable[Place]) -> dict[Place, int]:
        """How far each is booked; 0 where nothing is."""
        wanted = list(places)
        connection = self.connection
        connection.execute(
            "INSERT INTO ledger.positions_v1 (cluster, topic, topic_id, partition, next) "
            "SELECT *, 0 FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[]) ON CONFLICT DO NOTHING",
            _columns(wanted),
        )
        rows = connection.execute(
            "SELECT p.cluster, p.topic, p.topic_id, p.partition, next FROM ledger.positions_v1 p "
            "JOIN unnest(%s::text[], %s::text[], %s::text[], %s::int[]) AS w (cluster, topic, topic_id, partition) "
            "USING (cluster, topic, topic_id, partition)",
            _columns(wanted),
        )
        return {Place(*row[:4]): row[4] for row in rows}

    @contextmanager
    def writing(self) -> Iterator[Batch]:
        """A transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            psycopg.Error: the server failed; what became of the transaction is to be asked of ``positions``.
        """
        connection = self.connection
        try:
            with connection.transaction():
                yield Batch(connection, self._chart)
        except psycopg.OperationalError:
            self.disconnect()
            raise

    @property
    def connection(self) -> Connection:
        """The one that we have, or a new one."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def disconnect(self) -> None:
        """Let go of the connection; the next use makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Batch:
    """A transaction of a shard."""

    def __init__(self, connection: Connection, chart: Chart) -> None:
        self._connection, self._chart = connection, chart

    def advance(self, moves: Sequence[Move]) -> None:
        """Move positions on, first of all: whoever else would book the same records waits for us, then finds them booked.

        Raises:
            MovedError: they are not where they were.
        """
        done = self._connection.execute(
            "UPDATE ledger.positions_v1 p SET next = m.after, time_ms = greatest(p.time_ms, m.time_ms) "
            "FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) "
            "AS m (cluster, topic, topic_id, partition, before, after, time_ms) "
            "WHERE p.cluster = m.cluster AND p.topic = m.topic AND p.topic_id = m.topic_id AND p.partition = m.partition "
            "AND p.next = m.before",
            [
                *_columns([move.place for move in moves]),
                [m.before for m in moves],
                [m.after for m in moves],
                [m.time_ms for m in moves],
            ],
        ).rowcount
        if done != len(moves):
            raise MovedError(
                "another ledger agent has booked records that this one was about to",
                "run one ledger agent for a database; this one can be started again",
            )

    def post(self, items: Sequence[Item], time_ms: int = 0) -> Booked:
        """Post, in their order, what can be; end the holds that expire by ``time_ms`` (event time) after it."""
        books = _load(self._connection, self._chart, [item.posting for item in items], time_ms)
        counts = dict.fromkeys(Result, 0)
        refused = []
        sources: dict[str, str] = {}
        for item in items:
            try:
                result = books.post(item.posting)
            except LedgerError as error:
                refused.append(Refused(item, error))
                continue
            counts[result] += 1
            sources.setdefault(item.posting.id, item.source)
        expired = books.expire(time_ms)
        _write(self._connection, books.take_changes(), sources)
        return Booked(counts[Result.POSTED], counts[Result.SEEN], len(expired), refused)


# -- what a batch is about


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
SELECT id, kind, owner, asset, overdraft, debits_pending, debits_posted, credits_pending, credits_posted
FROM ledger.accounts_v1 WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE
"""


def _load(connection: Connection, chart: Chart, postings: Sequence[Posting], time_ms: int) -> Books:
    """The part of the books that postings are about. Its accounts stay locked until the transaction ends."""
    books = Books(chart)
    named = sorted({p.hold for p in postings if p.hold} | {p.id for p in postings if p.how is How.HOLD})
    with connection.pipeline():
        ids = [p.id for p in postings]
        seen = connection.execute("SELECT id, digest FROM ledger.postings_v1 WHERE id = ANY(%s)", [ids])
        # A release out of holds that expire now is known by being there; of the others, who ended them is asked.
        ended = connection.execute("SELECT ends, how, kind FROM ledger.postings_v1 WHERE ends = ANY(%s)", [named])
        holds = connection.execute(_HOLDS, [named, time_ms, named, _MOST_EXPIRED])
    books.digests.update(seen.fetchall())
    books.ended.update((hold, _mode(how, kind)) for hold, how, kind in ended)
    for name, *sides, units, expires_ms in holds:
        books.holds[name] = Hold(_key(*sides[:3]), _key(*sides[3:]), int(units), expires_ms)
    keys = {key for posting in postings for key in posting.accounts()}
    keys.update(key for hold in books.holds.values() for key in hold[:2])
    for _, kind, owner, asset, overdraft, *totals in connection.execute(
        _ACCOUNTS, [[str(key.id) for key in keys]], binary=False
    ):
        books.accounts[_key(kind, owner, asset)] = Account(overdraft, *map(int, totals))
    return books


def _key(kind: str, owner: str, asset: str) -> AccountKey:
    return AccountKey(Kind(kind), owner, asset)


def _mode(how: str, kind: str) -> Mode:
    if how == How.SETTLE:
        return Mode.SETTLED
    return Mode.EXPIRED if kind == "expiry" else Mode.RELEASED


# -- what came of it

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


def _write(connection: Connection, changes: Changes, sources: Mapping[str, str]) -> None:
    """All of it, in one round trip."""
    rows: list[tuple[str, list[Any]]] = [
        (
            _PUT_ACCOUNTS,
            _turned(
                (
                    _text(key.id),
                    *key,
                    one.overdraft,
                    one.debits_pending,
                    one.debits_posted,
                    one.credits_pending,
                    one.credits_posted,
                )
                for key, one in sorted(changes.accounts.items(), key=lambda found: found[0].id)
            ),
        ),
        (
            _PUT_POSTINGS,
            _turned(
                (p.id, p.kind, p.owner, p.how, p.time_ms, p.digest, p.ends or None, sources.get(p.id, "time"))
                for p in changes.postings
            ),
        ),
        (
            _PUT_TRANSFERS,
            _turned(
                (t.posting, t.leg, t.mode, _text(t.debit.id), _text(t.credit.id), t.debit.asset, t.units, t.freed)
                for t in changes.transfers
            ),
        ),
        (
            _PUT_HOLDS,
            _turned(
                (name, _text(h.debit.id), _text(h.credit.id), h.units, h.expires_ms)
                for name, h in changes.opened.items()
            ),
        ),
    ]
    with connection.pipeline():
        for statement, columns in rows:
            if columns:
                connection.execute(statement, columns)
        if changes.closed:
            connection.execute("DELETE FROM ledger.holds_v1 WHERE id = ANY(%s)", [sorted(changes.closed)])


def _text(name: UUID) -> str:
    return str(name)


def _turned(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Columns of rows; none of no rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def _columns(places: Sequence[Place]) -> list[Any]:
    return _turned(places) or [[], [], [], []]
