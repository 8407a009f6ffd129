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
from m1cep.ledger.patience import post_all
from streams.codec import Source
from streams.errors import ShellError
from streams.ledger import slices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from m1cep.ledger import Chart, Posting
    from streams.ledger.schema import Connection

    Remake = Callable[[Source], Sequence[Posting]]

#: By event time: what lacks funds for longer is refused.
PATIENCE_MS = 10 * 60_000


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
    """A posting, and the record that asked for it."""

    posting: Posting
    record: Source


class Refused(NamedTuple):
    """A record of which something was not posted, and why."""

    record: Source
    error: LedgerError


class Booked(NamedTuple):
    """What came of a batch.

    Attributes:
        posted: how many postings were new; ``seen`` were there before.
        expired: holds whose time was over.
        waiting: how many were put aside for lack of funds.
    """

    posted: int
    seen: int
    expired: int
    waiting: int
    refused: list[Refused]


class Shard:
    """See the module.

    Args:
        connect: gives a connection of a role that may write.
        chart: of accounts.
        number: of the shard.
        remake: makes the postings of a record that waits.
    """

    def __init__(self, connect: Callable[[], Connection], chart: Chart, number: int, remake: Remake) -> None:
        self.number = number
        self._remake = remake
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

    def known(self, names: Collection[str]) -> set[str]:
        """Which of these ids have postings here, or wait."""
        if not names:
            return set()
        rows = self.connection.execute(
            "SELECT id FROM ledger.postings_v1 WHERE id = ANY(%(ids)s) "
            "UNION SELECT id FROM ledger.waiting_v1 WHERE id = ANY(%(ids)s)",
            {"ids": sorted(names)},
        )
        return {name for (name,) in rows}

    def time_ms(self) -> int:
        """The event time that the books have come to (epoch, ms); 0: nothing is booked."""
        ((found,),) = self.connection.execute("SELECT coalesce(max(time_ms), 0) FROM ledger.positions_v1").fetchall()
        return int(found)

    @contextmanager
    def writing(self) -> Iterator[Batch]:
        """A transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            psycopg.Error: the server failed; what became of the transaction is to be asked of ``positions``.
        """
        connection = self.connection
        try:
            with connection.transaction():
                yield Batch(connection, self._chart, self._remake)
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

    def __init__(self, connection: Connection, chart: Chart, remake: Remake) -> None:
        self._connection, self._chart, self._remake = connection, chart, remake

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
        """Post what can be, in the order of the items, and put aside what lacks funds; end what is over by an event time.

        Args:
            items: of this shard, by time.
            time_ms: holds that expire by then end, what has waited for ``PATIENCE_MS`` by then is refused.
        """
        waiting, lost = self._waiting({item.posting.owner for item in items}, time_ms)
        fresh, seen, refused = _sifted(items, waiting)
        refused += lost.values()
        all_items = {item.posting.id: item for item in (*waiting.values(), *fresh)}
        by_time = sorted((item.posting for item in all_items.values()), key=lambda posting: posting.time_ms)
        books = slices.load(self._connection, self._chart, by_time, time_ms)
        # What waits goes first where it is older; the order of the rest is that of the items.
        order = by_time if waiting else [item.posting for item in fresh]
        tried = post_all(books, order)
        expired = books.expire(time_ms)
        slices.write(
            self._connection, books.take_changes(), {name: _where(one.record) for name, one in all_items.items()}
        )
        over = [(posting, error) for posting, error in tried.short if posting.time_ms <= time_ms - PATIENCE_MS]
        put_aside = [(posting, error) for posting, error in tried.short if posting.time_ms > time_ms - PATIENCE_MS]
        self._put_aside([(all_items[p.id], error) for p, error in put_aside if p.id not in waiting])
        self._forget(lost.keys() | (waiting.keys() - {posting.id for posting, _ in put_aside}))
        refused += [Refused(all_items[posting.id].record, error) for posting, error in (*tried.refused, *over)]
        new = sum(posting.id not in waiting for posting, _ in put_aside)
        return Booked(len(tried.posted), seen + len(tried.seen), len(expired), new, refused)

    # -- what waits for funds

    def _waiting(self, owners: Collection[str], time_ms: int) -> tuple[dict[str, Item], dict[str, Refused]]:
        """What waits for these owners, and what has waited for too long; by id. And what cannot be made of its record any more,
        because the chart, the roster or what is read has changed since.
        """
        rows = self._connection.execute(_WAITING, [list(owners), time_ms - PATIENCE_MS])
        found, lost = {}, {}
        for name, *record in rows:
            source = Source(*record)
            try:
                posting = next(one for one in self._remake(source) if one.id == name)
            except (LedgerError, LookupError, StopIteration) as error:
                why = str(error) if isinstance(error, LedgerError) else f"nothing here makes it of {_where(source)}"
                lost[name] = Refused(source, LedgerError("not_remade", f"{name} has waited for funds, and now {why}"))
            else:
                found[name] = Item(posting, source)
        return found, lost

    def _put_aside(self, short: Sequence[tuple[Item, LedgerError]]) -> None:
        if short:
            rows = [(p.id, p.owner, p.time_ms, p.digest(), str(error), *record) for (p, record), error in short]
            self._connection.execute(_PUT_ASIDE, slices.turned(rows))

    def _forget(self, names: Collection[str]) -> None:
        if names:
            self._connection.execute("DELETE FROM ledger.waiting_v1 WHERE id = ANY(%s)", [sorted(names)])


_WAITING = """
SELECT id, topic, partition, "offset", timestamp_ms, key, value FROM ledger.waiting_v1
WHERE owner = ANY(%s) OR time_ms <= %s ORDER BY time_ms, id
"""
_PUT_ASIDE = """
INSERT INTO ledger.waiting_v1 (id, owner, time_ms, digest, reason, topic, partition, "offset", timestamp_ms, key, value)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bytea[], %s::text[], %s::text[], %s::int[], %s::bigint[],
    %s::bigint[], %s::bytea[], %s::bytea[])
"""


def _sifted(items: Sequence[Item], waiting: Mapping[str, Item]) -> tuple[list[Item], int, list[Refused]]:
    """Items that are new in this batch; how many were said before in it or wait already; ids used for something else."""
    fresh: dict[str, Item] = {}
    seen, refused = 0, []
    for item in items:
        known = waiting.get(item.posting.id) or fresh.get(item.posting.id)
        if known is None:
            fresh[item.posting.id] = item
        elif known.posting.digest() == item.posting.digest():
            seen += 1
        else:
            error = LedgerError(
                "id_reused", f"{item.posting.id} was posted before with other contents; a new event needs a new id"
            )
            refused.append(Refused(item.record, error))
    return list(fresh.values()), seen, refused


def _where(record: Source) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _columns(places: Sequence[Place]) -> list[Any]:
    return slices.turned(places) or [[], [], [], []]
