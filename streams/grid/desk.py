"""What an operator does with grids over Kafka: ask something of one, see how they stand."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer, TopicPartition

from m1cep.errors import GridError
from m1cep.grid import wire
from m1cep.grid.machine import Pause, Resume, Start, Stop
from streams.errors import ServerError, ShellError
from streams.grid.log import GRID_LOG, GRIDS, event_record, parse_object
from streams.topics import admin_client, broker_errors, consumer

if TYPE_CHECKING:
    from m1cep.grid.machine import GridSpec
    from m1cep.grid.machine.events import Request
    from streams.config import Settings

_SOURCE = "/m1cep/cli"
_ANSWER_S = 15.0
_ACK_S = 10.0
#: What every record of a grid says.
_TOLD = frozenset({"grid", "state", "reason", "requests", "spec"})
REQUESTS: dict[str, type[Pause | Resume | Stop]] = {"pause": Pause, "resume": Resume, "stop": Stop}


def start_grid(settings: Settings, name: str, spec: GridSpec, *, account: str, venue: str) -> dict[str, Any]:
    """Start a grid and wait until it has begun; how it stands.

    Raises:
        ShellError: there is a grid of that name already.
        ServerError: no broker answers, or no worker.
    """
    if name in standing(settings):
        raise ShellError(f"there is or was a grid {name!r} already", "a name is used once: order ids are made of it")
    request = Start(_new_id())
    return _ask(settings, name, request, spec=wire.spec_plain(spec), account=account, venue=venue)


def ask_grid(settings: Settings, name: str, what: str) -> dict[str, Any]:
    """Pause, resume or stop a grid and wait until it has heard; how it stands.

    Raises:
        ShellError: there is no such grid.
        ServerError: no broker answers, or no worker.
    """
    known = standing(settings)
    if name not in known:
        raise ShellError(f"there is no grid {name!r}", f"there are: {', '.join(sorted(known)) or 'none'}")
    return _ask(settings, name, REQUESTS[what](_new_id()))


def standing(settings: Settings) -> dict[str, dict[str, Any]]:
    """How each grid stands, by name, as last written to the compacted topic.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    found: dict[str, dict[str, Any]] = {}
    with consumer(settings) as reader:
        partitions = [TopicPartition(GRIDS, p) for p in sorted(reader.partitions_for_topic(GRIDS) or ())]
        if not partitions:
            raise ServerError(f"the broker at {settings.broker} has no topic {GRIDS}", "make it: m1cep topics create")
        ends = reader.end_offsets(partitions)
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        # The embedded broker names an end before the last batch: what is behind it comes with the same answers.
        while (batch := reader.poll(timeout_ms=200)) or any(reader.position(tp) < ends[tp] for tp in partitions):
            for record in (record for records in batch.values() for record in records):
                name = (record.key or b"").decode(errors="replace")
                if record.value is None:
                    found.pop(name, None)
                elif (stands := _stands(record.value)) is not None:
                    found[name] = stands
    return found


def _stands(value: bytes) -> dict[str, Any] | None:
    """How a grid stands; None: it is no such record. Whoever may write to the topic can put anything there."""
    try:
        found = parse_object(value)
    except GridError:
        return None
    return found if found.keys() >= _TOLD else None


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _ask(settings: Settings, name: str, request: Request, **more: Any) -> dict[str, Any]:
    send_event(settings, name, request, **more)
    known = f"{type(request).__name__}:{request.request_id}"  # type: ignore[union-attr]
    deadline_s = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline_s:
        stands = standing(settings).get(name)
        if stands and known in stands["requests"]:
            return stands
        time.sleep(0.1)
    raise ServerError(
        f"no worker has answered within {_ANSWER_S:.0f} s; the request stays in {GRID_LOG} and will be heard",
        "is one running? m1cep worker --agents grid,paper_exchange; what it refuses is in m1cep.dead-letters.v1",
    )


def send_event(settings: Settings, name: str, request: Request, **more: Any) -> None:
    """Write a request to the log of the grids.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    with admin_client(settings) as admin:
        there = GRID_LOG in admin.list_topics()
    if not there:
        raise ServerError(f"the broker at {settings.broker} has no topic {GRID_LOG}", "make it: m1cep topics create")
    key, value, headers = event_record(name, request, _new_id(), _SOURCE, **more)
    with broker_errors(settings):
        producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
        try:
            producer.send(GRID_LOG, value, key=key, headers=headers).get(timeout=_ACK_S)
        finally:
            producer.close()
