"""What is posted: a webhook's body with its signature, and Alertmanager's alerts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any

import orjson

from m1cep.model.time import to_rfc3339
from streams.alerts.topic import account_of
from streams.notify.queue import RESOLVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.notify.queue import Delivery
    from streams.notify.targets import Target

#: What a message id may be made of: it is a header, and a full stop in it would blur what is signed.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MOST_LABEL = 1_000
_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_MOST_ANNOTATION = 4_000


def message_id(alert_id: str) -> str:
    """The alert's id, or a digest of one that cannot be a header. The same at every attempt."""
    return alert_id if _PLAIN_ID.fullmatch(alert_id) else hashlib.sha256(alert_id.encode()).hexdigest()


def request(target: Target, deliveries: Sequence[Delivery], now_ms: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an attempt now: of a webhook with one delivery, of Alertmanager with any number."""
    headers = {"content-type": "application/json", "user-agent": "m1cep"}
    if target.token:
        headers["authorization"] = f"Bearer {target.token}"
    if target.kind == "alertmanager":
        return orjson.dumps([postable_alert(target, one, now_ms) for one in deliveries]), headers
    (one,) = deliveries
    body = webhook_body(one)
    name, seconds = message_id(one.alert), str(now_ms // 1_000)
    headers |= {"webhook-id": name, "webhook-timestamp": seconds}
    if target.secrets:
        headers["webhook-signature"] = signature(target.secrets, name, seconds, body)
    return body, headers


def webhook_body(one: Delivery) -> bytes:
    """The same at every attempt."""
    about = orjson.dumps({"type": "m1cep.alert.v1", "timestamp": _moment(one.time_ms), "dedup_key": one.alert})
    return (
        about[:-1] + b',"data":' + one.value + b"}"
    )  # the alert's own bytes: reading numbers and writing them changes some


def signature(secrets: Iterable[bytes], name: str, seconds: str, body: bytes) -> str:
    """Standard Webhooks 1.0, symmetric: one signature by each secret, of which the receiver needs to know one."""
    content = b".".join((name.encode(), seconds.encode(), body))
    made = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return " ".join(f"v1,{one}" for one in made)


def postable_alert(target: Target, one: Delivery, now_ms: int) -> dict[str, Any]:
    """An alert of Alertmanager's API v2. Its labels are its identity: they are the same when it is resolved."""
    alert = orjson.loads(one.value)
    found = {"startsAt": _moment(one.time_ms), "labels": labels(alert), "annotations": _annotations(alert)}
    ends_ms = one.time_ms if one.what == RESOLVED else now_ms + round(target.firing_for_s * 1_000)
    found["endsAt"] = _moment(max(ends_ms, one.time_ms))
    if one.what == RESOLVED:
        del found["startsAt"]
    if target.page:
        found["generatorURL"] = f"{target.page}/?alert={message_id(one.alert)}"
    return found


def labels(alert: dict[str, Any]) -> dict[str, str]:
    """Names and values; Alertmanager takes an empty one for one that is missing."""
    symbol = next((part["symbol"] for part in (_part(alert, "key"), _part(alert, "row")) if part.get("symbol")), None)
    named = {
        "alertname": alert.get("rule"),
        "rule": alert.get("rule"),
        "severity": alert.get("severity"),
        "account": account_of(alert),
        "symbol": symbol,
        "alert_id": alert.get("id"),
    }
    return {name: _utf8(str(value), _MOST_LABEL) for name, value in named.items() if value not in (None, "")}


def essence(alert: dict[str, Any]) -> bytes:
    """So much of an alert as its labels need, to say later that it is resolved."""
    named = labels(alert)
    key = {name: named[name] for name in ("account", "symbol") if name in named}
    return orjson.dumps(
        {"id": alert.get("id"), "rule": named.get("rule"), "severity": named.get("severity"), "key": key}
    )


def _annotations(alert: dict[str, Any]) -> dict[str, str]:
    of = ", ".join(f"{name} {value}" for name, value in _part(alert, "key").items())
    summary = f"{alert.get('rule')}: {of}" if of else str(alert.get("rule"))
    found = {"summary": _utf8(summary, _MOST_LABEL)}
    if row := _part(alert, "row"):
        found["description"] = _utf8(orjson.dumps(row).decode(), _MOST_ANNOTATION)
    return found


def _moment(epoch_ms: int) -> str:
    """RFC 3339; what lies beyond its years is brought into them: whoever may write to a topic can name any time."""
    return to_rfc3339(min(max(epoch_ms, 0), _LAST_MS), "ms")


def _part(alert: dict[str, Any], name: str) -> dict[str, Any]:
    found = alert.get(name)
    return found if isinstance(found, dict) else {}


def _utf8(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
