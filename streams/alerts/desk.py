"""Somebody takes an alert on, closes or reopens it: the records of that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from m1cep.alert_states import AlertState, Closing, State, change, later
from m1cep.errors import AlertStateError
from m1cep.model.time import to_rfc3339
from streams import codec
from streams.alerts.topic import find_alerts, read_states, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.config import Settings
    from streams.custody.mail import Pen

SOURCE = "/m1cep/alerts"


def state_message(record: AlertState, source: str = SOURCE) -> codec.Message:
    """The record for its topic."""
    about = codec.headers(
        f"alert-state/{record.alert}/{record.time_ms}",
        "m1cep.alert-state.v1",
        source,
        to_rfc3339(record.time_ms, "ms"),
    )
    return codec.Message(codec.ALERT_STATES, record.alert.encode(), record.to_json(), about)


def new_state(
    known: AlertState | None,
    alert: dict[str, Any] | None,
    alert_id: str,
    to: State,
    by: str,
    now_ms: int,
    *,
    note: str = "",
    pen: Pen | None = None,
) -> AlertState:
    """The record of a change.

    Args:
        known: the last record of the alert.
        alert: as on its topic; None: the topic does not hold it any more, and ``known`` says what it was about.
        alert_id: its id.
        to: where it shall stand.
        by: who says so.
        now_ms: epoch.
        note: for people.
        pen: of whom the custody policy names: with its signature signers heed a closing. Of an alert that is closed already the
            signature is added to those that are there.

    Raises:
        AlertStateError: it stands there already, or there is no such alert.
    """
    if alert is None and known is None:
        raise AlertStateError(f"there is no alert {alert_id!r} on {codec.ALERTS}, nor was anything said of it")
    again = known is not None and pen is not None and to is known.state is State.CLOSED
    if known is not None and again:
        record = replace(known, by=by, time_ms=later(known, now_ms), note=note or known.note)
    else:
        about = (known.rule, known.key) if known is not None else _about(alert or {})
        record = change(known, alert_id, to, by, now_ms, about=about, note=note)
    if pen is None or to is not State.CLOSED:
        return record
    others = tuple(one for one in record.signed if one.by != pen.sender)
    return replace(record, signed=(*others, signed_closing(pen, alert_id, record.time_ms)))


def signed_closing(pen: Pen, alert_id: str, time_ms: int) -> Closing:
    """A person's word that an alert is dealt with."""
    from m1cep.custody.policy.closings import closing_message  # the extra custody

    word = Closing(pen.sender, time_ms)
    return replace(word, signature=pen.sign(closing_message(alert_id, word)).hex())


def set_states(
    settings: Settings, ids: Sequence[str], to: State, by: str, *, note: str = "", pen: Pen | None = None
) -> list[AlertState]:
    """Bring alerts to another state: all of them, or none where one cannot be.

    Raises:
        AlertStateError: see ``new_state``.
        ServerError: no broker answers, or it lacks a topic.
    """
    states = read_states(settings).last
    unknown = [one for one in ids if one not in states]
    found = find_alerts(settings, unknown) if unknown else {}
    now_ms = time.time_ns() // 1_000_000
    records = [
        new_state(states.get(one), found[one].alert if one in found else None, one, to, by, now_ms, note=note, pen=pen)
        for one in dict.fromkeys(ids)
    ]
    write(settings, *map(state_message, records))
    return records


def _about(alert: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    key = alert.get("key")
    return str(alert.get("rule", "")), key if isinstance(key, dict) else {}
