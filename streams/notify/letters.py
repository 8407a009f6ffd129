"""What a target did not get, on the topic of dead letters; and reading it from there again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from streams import codec
from streams.notify.queue import ALERT, RESOLVED, Delivery

if TYPE_CHECKING:
    from streams.notify.queue import Dead

SOURCE = "/m1cep/notify"


def undelivered(target: str, dead: Dead) -> codec.Message:
    """The dead letter: the form of all others, and ``target``, ``alert``, ``what``, ``event_time_ms``."""
    one = dead.delivery
    body = {
        "topic": codec.ALERTS,
        "partition": one.partition,
        "offset": one.offset,
        "timestamp": one.since_ms,
        "key": None,
        "column": None,
        "reason": f"target {target}: {dead.reason}",
        **codec.raw_value(one.value),
        "target": target,
        "alert": one.alert,
        "what": one.what,
        "event_time_ms": one.time_ms,
    }
    about = codec.headers(f"notify/{target}/{one.alert}/{one.what}", "m1cep.dead-letter.v1", SOURCE, None)
    return codec.Message(codec.DEAD_LETTERS, f"notify/{target}".encode(), orjson.dumps(body), about)


def read_letter(value: bytes | None) -> tuple[str, Delivery, bool] | None:
    """Target and delivery of a dead letter, and whether its alert was cut; None: it is another one's."""
    try:
        body: Any = orjson.loads(value or b"")
        target, what = body["target"], body["what"]
        raw, cut = body["raw"].encode(), bool(body["note"])
        one = Delivery(
            body["alert"], what, raw, body["event_time_ms"], body["partition"], body["offset"], body["timestamp"]
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(target, str) or what not in (ALERT, RESOLVED) or not isinstance(one.alert, str):
        return None
    return target, one, cut
