"""What an operator does about an account that may not trade: take back what an alert has brought upon it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import orjson
from kafka import KafkaProducer

from m1cep.model.time import to_rfc3339
from m1cep.pretrade.records import LIFT
from streams import codec
from streams.errors import ServerError, UsageError
from streams.topics import admin_client, broker_errors

if TYPE_CHECKING:
    from streams.config import Settings

_SOURCE = "/m1cep/cli"
_ACK_S = 10.0


def lift(settings: Settings, account: str, alert_id: str, by: str) -> None:
    """Write to the topic of actions that a person has dealt with an alert. What it says is for the pre-trade check alone: custody
    takes such words only with a signature.

    Args:
        settings: where the broker is.
        account: on which the alert stands.
        alert_id: of the alert; ``*`` are those beyond the hundred that an account names.
        by: who has dealt with it.

    Raises:
        UsageError: one of these is empty: the check would take such a record for none, and nothing would be lifted.
        ServerError: no broker answers, or it has no such topic.
    """
    for what, given in (("an account", account), ("the id of an alert", alert_id), ("--by", by)):
        if not given.strip():
            raise UsageError(
                f"expected {what}, got {given!r}", "m1cep pretrade account ACCOUNT says what stands against it"
            )
    with admin_client(settings) as admin:
        there = set(admin.list_topics())
    if codec.ACTIONS not in there:
        raise ServerError(
            f"the broker at {settings.broker} has no topic {codec.ACTIONS}", "make it: m1cep topics create"
        )
    now_ms = time.time_ns() // 1_000_000
    name = f"lift/{uuid.uuid4().hex}"
    body = {"id": name, "action": LIFT, "account": account, "lifts": alert_id, "by": by, "event_time_ms": now_ms}
    about = codec.headers(f"action/{name}", "m1cep.action.v1", _SOURCE, to_rfc3339(now_ms, "ms"))
    with broker_errors(settings):
        producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
        try:
            producer.send(codec.ACTIONS, orjson.dumps(body), key=account.encode(), headers=about).get(timeout=_ACK_S)
        finally:
            producer.close()
