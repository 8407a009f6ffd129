"""Every topic with the messages that it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from m1cep.alert_states import AlertState
from m1cep.grid import wire
from m1cep.grid.machine import GridSpec
from m1cep.model.alert import Alert
from streams import codec
from streams.files import load_streams, packaged_rules_dir, read_text
from streams.grid.log import COMMANDS, GRID_LOG, GRIDS, PAPER_LOG
from streams.rules.record import RuleRecord
from streams.schemas.events import column_notes, event_schema
from streams.schemas.records import (
    Action,
    DeadLetter,
    GridStatus,
    LateEvent,
    Lift,
    Severity,
    Undelivered,
    WorkerStatus,
)
from streams.schemas.structs import refer, schemas_of, tagged
from streams.topic_table import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.model.stream import Stream
    from streams.schemas.events import Schema

Way = Literal["receive", "send"]

_READ: tuple[Way, ...] = ("receive",)
_WRITTEN: tuple[Way, ...] = ("send",)
_BOTH: tuple[Way, ...] = ("send", "receive")


@dataclass(frozen=True)
class Message:
    """A kind of record.

    Attributes:
        name: in the document, and of its definition.
        schema: of the value.
        event_type: the CloudEvents type in the header ce_type; None: there need not be such headers.
        content_type: of the value.
    """

    name: str
    schema: Schema
    summary: str
    event_type: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Channel:
    """A topic.

    Attributes:
        address: its name; {number} in it stands for a number.
        key: what the Kafka key holds, in words.
        ways: what M1CEP does: receive, send.
        definitions: what the messages' schemas refer to.
        tombstones: a record without a value removes what its key names.
    """

    address: str
    key: str
    ways: tuple[Way, ...]
    description: str
    messages: tuple[Message, ...]
    definitions: dict[str, Schema] = field(default_factory=dict)
    tombstones: bool = False


def channels(streams: Mapping[str, Stream] | None = None, ddl: str = "") -> list[Channel]:
    """The channels of all built-in topics and of further streams, by address.

    Args:
        streams: further ones, by name.
        ddl: their text, for the comments behind columns.
    """
    built_in = load_streams(None)
    notes = column_notes(read_text(packaged_rules_dir() / "streams.sql")) | column_notes(ddl)
    every = {**built_in, **(streams or {})}
    found = [_of_stream(one, notes.get(one.name, {})) for one in every.values() if not one.is_view]
    found += [*_of_rules(), *_of_grids(), *_of_custody()]
    keys = {topic.name: topic.key for topic in BUILT_IN}
    assert keys.keys() <= {one.address for one in found}, sorted(keys.keys() - {one.address for one in found})
    return sorted(found, key=lambda one: one.address)


def _of_stream(stream: Stream, notes: dict[str, str]) -> Channel:
    name = "".join(part.capitalize() for part in stream.name.split("_")) + "Event"
    message = Message(name, refer(name), f"An event of the stream {stream.name}.")
    key = ", ".join(stream.key)
    text = f"The stream {stream.name}. Further fields are allowed and ignored."
    ways = _BOTH if stream.topic == "m1cep.fills.v1" else _READ  # the paper exchange and venues write fills too
    return Channel(stream.topic, key, ways, text, (message,), {name: event_schema(stream, notes)})


def _channel(
    address: str,
    ways: tuple[Way, ...],
    description: str,
    types: Sequence[tuple[type, str]],
    *,
    tombstones: bool = False,
) -> Channel:
    """A topic of classes, each with its CloudEvents type."""
    _, definitions = schemas_of([type_ for type_, _ in types])
    messages = tuple(
        Message(type_.__name__, refer(type_.__name__), definitions[type_.__name__].get("description", ""), event_type)
        for type_, event_type in types
    )
    key = next(topic.key for topic in BUILT_IN if topic.name == address)
    return Channel(address, key, ways, description, messages, definitions, tombstones)


def _of_rules() -> list[Channel]:
    alert = [(Alert, "m1cep.alert.v1")]
    alerts = [
        _channel(codec.ALERTS, _BOTH, "What rules found. An alert may come twice: its id says so.", alert),
        _channel(codec.SHADOW, _WRITTEN, "What rules found that are only tried out: nobody acts on it.", alert),
    ]
    for one in alerts:
        one.definitions["Alert"]["properties"]["severity"]["enum"] = list(get_args(Severity))
    return [
        *alerts,
        _channel(codec.ALERT_STATES, _BOTH, "Where people stand with alerts; one without a record is open.", [
            (AlertState, "m1cep.alert-state.v1"),
        ], tombstones=True),
        _channel(codec.ACTIONS, _BOTH, "What alerts ask others to do, and people who take that back.", [
            (Action, "m1cep.action.v1"), (Lift, "m1cep.action.v1"),
        ]),
        _channel(codec.DEAD_LETTERS, _WRITTEN, "Records that could not be read or carried out.", [
            (DeadLetter, "m1cep.dead-letter.v1"), (Undelivered, "m1cep.dead-letter.v1"),
        ]),
        _channel(codec.LATE, _WRITTEN, "Events that came too late to be judged.", [(LateEvent, "m1cep.late.v1")]),
        _channel("m1cep.rules.v1", _BOTH, "Rules that were deployed.", [(RuleRecord, "m1cep.rule.v1")], tombstones=True),
        _channel(codec.STATUS, _BOTH, "How each worker does, a record a second.", [
            (WorkerStatus, "m1cep.status.v1"),
        ], tombstones=True),
    ]  # fmt: skip


def _of_grids() -> list[Channel]:
    commands = tagged(wire.COMMANDS, "Command")
    text = {"type": "string"}
    fields = {
        "grid": text,
        "account": text,
        "venue": text,
        "symbol": text,
        "tick": {**text, "description": "The smallest step of a price, in which ticks are counted."},
        "lot": {**text, "description": "The smallest step of a quantity, in which lots are counted."},
        "command": {"anyOf": [refer(f"{cls.__name__}Command") for cls in wire.COMMANDS.values()]},
    }
    commands["OrderCommand"] = {
        "title": "OrderCommand",
        "description": "A command of a grid for its venue. price and qty are for people: the venue counts in ticks and lots.",
        "type": "object",
        "properties": {**fields, "price": text, "qty": text},
        "required": list(fields),
    }
    more: dict[str, dict[str, Any]] = {
        "start": {"spec": GridSpec, "account": str, "venue": str},
        "price": {"symbol": str},
        "halt": {"symbol?": str, "account?": str},
    }
    events = tagged(wire.EVENTS, "Event", more)
    events["GridEvent"] = {
        "title": "GridEvent",
        "description": "What grids hear. A record with a key is for the grid of that name, one without for all that it concerns.",
        "anyOf": [refer(f"{cls.__name__}Event") for cls in wire.EVENTS.values()],
    }
    command = Message(
        "OrderCommand", refer("OrderCommand"), "A command of a grid for its venue.", "m1cep.order-command.v1"
    )
    event = Message("GridEvent", refer("GridEvent"), "What a grid hears.", "m1cep.grid-event.v1")
    lines = Message(
        "PaperLogLines",
        text,
        "Records of one topic, one a line; the header m1cep-from says which. Internal.",
        content_type="text/plain",
    )
    return [
        Channel(COMMANDS, "grid", _BOTH, "Commands of grids, in the partition of their symbol.", (command,), commands),
        Channel(GRID_LOG, "grid", _BOTH, "All that grids hear, in one order.", (event,), events),
        Channel(PAPER_LOG, "", _BOTH, "Commands and market events in one order: what the paper exchange reads. Internal.",
                (lines,), {}),
        _channel(GRIDS, _WRITTEN, "How each grid stands.", [(GridStatus, "m1cep.grid.v1")]),
    ]  # fmt: skip


def _of_custody() -> list[Channel]:
    from streams.schemas.custody import custody_channels

    return custody_channels()
