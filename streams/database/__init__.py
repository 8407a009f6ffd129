"""Connections to the ledger's PostgreSQL: writes go to the primary, reads to a replica, each by a role that can do no more.

    with connect_writer(settings) as writer:             # role m1cep_ledger, M1CEP_DB_WRITE_URL
        writer.execute("INSERT ...")
        position = wal_position(writer)
    with connect_reader(settings) as reader:             # role m1cep_risk, M1CEP_DB_READ_URL
        wait_replayed(reader, position, timeout_s=1.0)   # where a read must see what was just written

Needs the extra ``postgres``. Page: docs/database.md.
"""

from streams.database.addresses import owner_address, reader_address, writer_address
from streams.database.connection import (
    BoundedConnection,
    NoAnswerError,
    NotReplicatedError,
    connect_owner,
    connect_reader,
    connect_writer,
)
from streams.database.heartbeat import Heartbeat
from streams.database.replica import ReplicaWatch, StaleError, require_fresh, staleness_s, wait_replayed, wal_position

__all__ = [
    "BoundedConnection",
    "Heartbeat",
    "NoAnswerError",
    "NotReplicatedError",
    "ReplicaWatch",
    "StaleError",
    "connect_owner",
    "connect_reader",
    "connect_writer",
    "owner_address",
    "reader_address",
    "require_fresh",
    "staleness_s",
    "wait_replayed",
    "wal_position",
    "writer_address",
]
