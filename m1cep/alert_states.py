"""Where people stand with alerts: open, acknowledged, closed; records of ``m1cep.alert-states.v1``, folded.

    open ──acknowledge──▶ acknowledged ──close──▶ closed        an alert of which there is no record is open
      ▲ └───────────────────────────close──────────▲ │
      └───────────────────────reopen─────────────────┘          (an acknowledged one too)

The last record of an alert counts, in the order of the topic.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from m1cep.errors import AlertStateError

MAX_BYTES = 65_536
MAX_NOTE = 1_000
MAX_SIGNED = 50
#: A record that claims to be from so much later than now has a wrong clock behind it; the next one need not be later still.
CLOCKS_DIFFER_MS = 60_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class State(StrEnum):
    """Of an alert."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Closing(msgspec.Struct, frozen=True):
    """A person's signed word that an alert is dealt with: what custody takes it from (``m1cep.custody.policy.closings``).

    Attributes:
        by: name of the person in the policy.
        time_ms: epoch; signed.
        signature: hexadecimal.
    """

    by: Name
    time_ms: Millis
    signature: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,512}\Z")] = "00"


class AlertState(msgspec.Struct, frozen=True):
    """A record.

    Attributes:
        alert: its id.
        rule, key: of the alert.
        by: who says so; nobody checks it.
        time_ms: epoch.
        note: for people.
        signed: of a closing, for custody; empty: custody does not heed it.
    """

    alert: Name
    rule: Annotated[str, msgspec.Meta(max_length=256)]
    key: dict[str, Any]
    state: State
    by: Name
    time_ms: Millis
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE)] = ""
    signed: Annotated[tuple[Closing, ...], msgspec.Meta(max_length=MAX_SIGNED)] = ()

    def to_json(self) -> bytes:
        """The value of the record; without ``signed`` where nobody has signed."""
        content = msgspec.to_builtins(self)
        if not self.signed:
            del content["signed"]
        return msgspec.json.encode(content)


_decode = msgspec.json.Decoder(AlertState).decode


def parse_state(value: bytes | None) -> AlertState:
    """A record from its value.

    Raises:
        AlertStateError: it is none.
    """
    if value is None or len(value) > MAX_BYTES:
        raise AlertStateError(
            f"expected a record of at most {MAX_BYTES} bytes, got {None if value is None else len(value)}"
        )
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AlertStateError(f"expected the state of an alert: {error}") from None


class AlertStates:
    """The last record of each alert."""

    def __init__(self) -> None:
        self.last: dict[str, AlertState] = {}

    def hear(self, key: bytes | None, value: bytes | None) -> AlertState | None:
        """Take a record in; what it says, or None of one that has been deleted (a tombstone): the alert is open again.

        Raises:
            AlertStateError: it is no such record; nothing has changed.
        """
        if value is None:
            self.last.pop((key or b"").decode(errors="replace"), None)
            return None
        record = parse_state(value)
        self.last[record.alert] = record
        return record

    def of(self, alert_id: str) -> State:
        """Where an alert stands."""
        record = self.last.get(alert_id)
        return State.OPEN if record is None else record.state


def change(
    known: AlertState | None,
    alert_id: str,
    to: State,
    by: str,
    now_ms: int,
    *,
    about: tuple[str, dict[str, Any]],
    note: str = "",
) -> AlertState:
    """The record that brings an alert to another state; its time is later than that of the one before.

    Args:
        known: the last record; None: there is none.
        alert_id: of the alert.
        to: where it shall stand.
        by: who says so.
        now_ms: epoch.
        about: rule and key of the alert.
        note: for people.

    Raises:
        AlertStateError: it stands there already, a closed one would be acknowledged, or a text is too long.
    """
    before = State.OPEN if known is None else known.state
    if before is to:
        said = f" by {known.by}" if known is not None else ""
        raise AlertStateError(f"alert {alert_id} is {before.value} already{said}")
    if before is State.CLOSED and to is State.ACKNOWLEDGED:
        raise AlertStateError(
            f"alert {alert_id} is closed by {known and known.by}; reopen it before somebody takes it on"
        )
    rule, key = about
    found = {
        "alert": alert_id,
        "rule": rule,
        "key": key,
        "state": to,
        "by": by,
        "time_ms": later(known, now_ms),
        "note": note,
    }
    try:
        return msgspec.convert(found, AlertState)
    except msgspec.ValidationError as error:
        raise AlertStateError(f"expected a state of alert {alert_id}: {error}") from None


def later(known: AlertState | None, now_ms: int) -> int:
    """Now, or right after the record before, whose writer's clock may be a little ahead."""
    if known is None or known.time_ms > now_ms + CLOCKS_DIFFER_MS:
        return now_ms
    return max(now_ms, known.time_ms + 1)
