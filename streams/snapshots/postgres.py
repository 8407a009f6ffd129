"""Snapshots in PostgreSQL 15 or newer: for workers on several machines.

    m1cep.partition_owners_v1     one row a partition: its owner (generation, ms since 1970), how often it was saved (sequence)
    m1cep.snapshots_v1            the newest few of each partition

Claims and saves are one statement each, which compares the generation and sets in the same breath; nothing is locked between
calls. Whoever was paused, for however long, writes nothing once another has claimed. What was saved is on the server's disk
(``synchronous_commit``), and on its synchronous replicas where it has any.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.conninfo import make_conninfo

from streams.database.connection import BoundedConnection, NoAnswerError
from streams.logs import hide
from streams.postgres_address import parse_address, public_address
from streams.snapshots.store import KEPT, Saved, StoreError, SupersededError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

CONNECT_TIMEOUT_S = 5
#: Of the server, for one statement; ``save`` sends a whole snapshot in one.
STATEMENT_TIMEOUT_S = 10.0
#: Ours, for a server that does not even say that it gave up.
ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 2
_DEFAULTS = {
    "application_name": "m1cep",
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "target_session_attrs": "read-write",
}
_TABLES_LOCK = 0x4D31434550  # "M1CEP": so that two workers at their first start do not make the tables at once

_TABLES = """
CREATE SCHEMA IF NOT EXISTS m1cep;
CREATE TABLE IF NOT EXISTS m1cep.partition_owners_v1 (
    cluster text NOT NULL, consumer_group text NOT NULL, partition integer NOT NULL,
    generation bigint NOT NULL, sequence bigint NOT NULL,
    PRIMARY KEY (cluster, consumer_group, partition)
);
CREATE TABLE IF NOT EXISTS m1cep.snapshots_v1 (
    cluster text NOT NULL, consumer_group text NOT NULL, partition integer NOT NULL,
    generation bigint NOT NULL, sequence bigint NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(), data bytea NOT NULL,
    PRIMARY KEY (cluster, consumer_group, partition, sequence),
    FOREIGN KEY (cluster, consumer_group, partition) REFERENCES m1cep.partition_owners_v1 ON DELETE CASCADE
);
-- Compressing takes longer than writing.
ALTER TABLE m1cep.snapshots_v1 ALTER COLUMN data SET STORAGE EXTERNAL;
"""
_TABLES_EXIST = """
SELECT to_regclass('m1cep.partition_owners_v1') IS NOT NULL AND to_regclass('m1cep.snapshots_v1') IS NOT NULL
"""
_SESSION = """
SELECT set_config('synchronous_commit', 'on', false), set_config('statement_timeout', %s, false)
"""
# Higher than before whatever the clock says; and by the clock, so that after a failover that lost the last claims (asynchronous
# replicas do), or a restored backup, nobody is given a generation that somebody else still holds.
_CLAIM = """
INSERT INTO m1cep.partition_owners_v1 AS owner (cluster, consumer_group, partition, generation, sequence)
VALUES (%(cluster)s, %(group)s, %(partition)s, floor(extract(epoch FROM clock_timestamp()) * 1000), 0)
ON CONFLICT (cluster, consumer_group, partition) DO UPDATE
SET generation = CASE
    WHEN owner.generation = %(mine)s::bigint THEN owner.generation
    ELSE greatest(owner.generation + 1, excluded.generation)
END
RETURNING generation
"""
# The sequence counts through all generations: the newest of the highest generation has the highest.
_SAVE = """
WITH owner AS (
    UPDATE m1cep.partition_owners_v1 SET sequence = sequence + 1
    WHERE cluster = %(cluster)s AND consumer_group = %(group)s AND partition = %(partition)s AND generation = %(generation)s
    RETURNING cluster, consumer_group, partition, generation, sequence
), saved AS (
    INSERT INTO m1cep.snapshots_v1 (cluster, consumer_group, partition, generation, sequence, data)
    SELECT cluster, consumer_group, partition, generation, sequence, %(data)b FROM owner
), removed AS (
    DELETE FROM m1cep.snapshots_v1 AS old USING owner
    WHERE old.cluster = owner.cluster AND old.consumer_group = owner.consumer_group
      AND old.partition = owner.partition AND old.sequence <= owner.sequence - %(kept)s
)
SELECT sequence FROM owner
"""
_OWNER = """
SELECT generation FROM m1cep.partition_owners_v1
WHERE cluster = %(cluster)s AND consumer_group = %(group)s AND partition = %(partition)s
"""
_LIST = """
SELECT generation, sequence FROM m1cep.snapshots_v1
WHERE cluster = %(cluster)s AND consumer_group = %(group)s AND partition = %(partition)s
ORDER BY generation DESC, sequence DESC
"""
_READ = """
SELECT data FROM m1cep.snapshots_v1
WHERE cluster = %(cluster)s AND consumer_group = %(group)s AND partition = %(partition)s AND sequence = %(sequence)s
"""


class PostgresStore:
    """See :class:`SnapshotStore`. It connects when it is first used, and again whenever the connection was lost.

    Args:
        url: ``postgresql://...`` or any connection string of libpq; of several hosts, the one that can be written to is used.
        cluster: id of the Kafka cluster.
        group: the consumer group.
        allow_plaintext: permits a server beyond this machine without TLS.

    Raises:
        UsageError: the address is none, or the connection would not be encrypted.
    """

    def __init__(self, url: SecretStr, cluster: str, group: str, *, allow_plaintext: bool = False) -> None:
        address = parse_address(url, "M1CEP_STATE_URL", allow_plaintext=allow_plaintext)
        hide(address.get("password", ""))
        self._conninfo = make_conninfo("", **_DEFAULTS | address)
        self._names = {"cluster": cluster, "group": group}
        self._connection: BoundedConnection | None = None
        self._lock = threading.Lock()  # of this object: one statement at a time on its connection
        self.where = public_address(address)

    def claim(self, partition: int, mine: int | None = None) -> int:
        """See :class:`SnapshotStore`."""
        ((generation,),) = self._rows(_CLAIM, self._names | {"partition": partition, "mine": mine})
        return int(generation)

    def load(self, partition: int) -> Iterator[Saved]:
        """See :class:`SnapshotStore`."""
        names = self._names | {"partition": partition}
        for generation, sequence in self._rows(_LIST, names):
            place = f"{self.where} (group {self._names['group']}, partition {partition}, {generation}-{sequence})"
            for (data,) in self._rows(_READ, names | {"sequence": sequence}):  # none: an owner has tidied up meanwhile
                yield Saved(place, data)

    def check(self, partition: int, generation: int) -> None:
        """See :class:`SnapshotStore`."""
        owner = [row[0] for row in self._rows(_OWNER, self._names | {"partition": partition})] or [0]
        if owner[0] != generation:
            raise _superseded(partition, owner[0], generation)

    def save(self, partition: int, generation: int, data: bytes) -> None:
        """See :class:`SnapshotStore`."""
        names = self._names | {"partition": partition}
        if not self._rows(_SAVE, names | {"generation": generation, "data": data, "kept": KEPT}):
            owner = [row[0] for row in self._rows(_OWNER, names)] or [0]
            raise _superseded(partition, owner[0], generation)

    def close(self) -> None:
        """See :class:`SnapshotStore`."""
        with self._lock:
            self._disconnect()

    def _rows(self, statement: LiteralString, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """What a statement gives: on the connection that we have, or on a new one when that one fails.

        A statement of which nobody knows whether it was carried out is repeated: a save puts the same bytes there again, a
        claim gives a still higher generation.
        """
        with self._lock:
            try:
                if self._connection is not None:
                    try:
                        return self._connection.execute(statement, values, binary=True).fetchall()
                    except (psycopg.errors.QueryCanceled, NoAnswerError):
                        raise  # the time is up
                    except psycopg.Error:
                        self._disconnect()
                self._connection = self._connected()
                return self._connection.execute(statement, values, binary=True).fetchall()
            except psycopg.Error as error:
                self._disconnect()
                raise self._failed(error) from error

    def _connected(self) -> BoundedConnection:
        """A new connection, with the tables at its other end."""
        # No prepared statements: poolers between us and the server may not keep them.
        connection = BoundedConnection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        connection.answer_timeout_s = ANSWER_TIMEOUT_S
        try:
            connection.execute(_SESSION, [f"{STATEMENT_TIMEOUT_S * 1000:.0f}"])
            if connection.execute(_TABLES_EXIST).fetchone() != (True,):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_TABLES_LOCK])
                    connection.execute(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _failed(self, error: psycopg.Error) -> StoreError:
        reason = error.diag.message_primary or str(error) or type(error).__name__
        return StoreError(
            f"snapshots in {self.where} cannot be read or written: {reason}",
            "see to the server and its permissions, or set M1CEP_STATE_URL to another",
        )


def _superseded(partition: int, owner: int, generation: int) -> SupersededError:
    return SupersededError(
        f"partition {partition} belongs to another worker now (generation {owner}, this one's is {generation})",
        "nothing of it was saved; start the worker again if it is to take part",
    )
