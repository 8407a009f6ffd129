"""The ledger in three facts, for the demo: how much was booked, whether it is right, whether risk could write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.database import connect_reader, connect_writer, wait_replayed, wal_position
from streams.ledger import reports
from streams.ledger.access import writes_that_succeed
from streams.ledger.connections import readers

if TYPE_CHECKING:
    from streams.config import Settings

REPLAY_TIMEOUT_S = 30.0


def ledger_summary(settings: Settings) -> dict[str, Any]:
    """Of a ledger of one shard: ``postings``, ``balanced``, ``risk_can_write`` (tried). All is read as risk, from the replica.

    Raises:
        UsageError: an address is missing.
        ServerError: a server does not answer, or the replica does not catch up with what was booked until now.
    """
    assert settings.db_read_url is not None
    assert settings.db_write_url is not None
    with connect_writer(settings) as writer, connect_reader(settings) as reader:
        wait_replayed(reader, wal_position(writer), REPLAY_TIMEOUT_S)
    shards = readers(settings)
    done = writes_that_succeed(settings.db_read_url, settings.db_write_url, allow_plaintext=settings.allow_plaintext)
    return {
        "postings": reports.counts(shards)["postings"],
        "balanced": not reports.faults(shards),
        "risk_can_write": bool(done),
    }
